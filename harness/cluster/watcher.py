"""Watches the processes of one cluster: which there are, since when, and when each ended."""
from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable

from harness.cluster.limits import MOST_PROCESSES
from harness.judging.events import EventLog, Kind
from harness.system import processes

SCAN_SECONDS = 0.04
SCAN_MOST = 0.25
"""Seconds between two scans of a program with very many threads: nothing goes unseen for longer."""


@dataclass
class Seen:
    """A process of the cluster. The handle is a pidfd: it refers to just this process even if its
    pid is used again."""

    pid: int
    here: int
    """Its pid among the harness's own processes; `pid` is the one that the program itself sees."""
    born: float
    first: float
    handle: int
    last: float = 0.0
    gone: float | None = None


class Watcher(threading.Thread):
    """Scans the process tree again and again. When a process ends, the kernel tells at once."""

    def __init__(self, master: int, supervisor: int, log: EventLog, cluster: int,
                 look: Callable[[list[int]], None]) -> None:
        """`look` is called at each scan with the living processes."""
        super().__init__(daemon=True, name="watcher")
        self.master, self.supervisor, self.log, self.cluster = master, supervisor, log, cluster
        self._look = look
        self.seen: dict[int, Seen] = {}
        self.changed = threading.Condition()
        self._poll = select.poll()
        self._guard = threading.RLock()
        self._ending = False
        self._note(master)

    def _note(self, *pids: int) -> None:
        with self._guard:
            new = []
            for pid in pids:
                known = self.seen.get(pid)
                if known is not None and known.gone is None:
                    known.last = time.monotonic()
                else:
                    new.append(pid)
            for pid, here in processes.numbers_here(new).items():
                self._note_new(pid, here)

    def _note_new(self, pid: int, here: int) -> None:
        with suppress(OSError):  # it is gone
            handle = os.pidfd_open(here)
            now = time.monotonic()
            self.seen[pid] = Seen(pid, here, processes.born(pid) or now, now, handle, now)
            self._poll.register(handle, select.POLLIN)
            kind: Kind = "child" if pid != self.master else "spawn"
            self.log.add(kind, pid=pid, cluster=self.cluster, t=now)

    def scan(self) -> None:
        """Look now at all processes below the cluster supervisor. No more than MOST_PROCESSES of
        them are noted."""
        found = [pid for pid in self.below() if processes.alive(pid)]
        self._note(*found[:MOST_PROCESSES])
        self._look(found)

    def below(self) -> list[int]:
        """The descendants of the cluster supervisor. If that is gone: the living processes that
        were seen, and their descendants."""
        return processes.descendants(self.supervisor) or [
            one for pid in self.pids() for one in (pid, *processes.descendants(pid))]

    def living(self) -> list[Seen]:
        with self._guard:
            return [one for one in self.seen.values() if one.gone is None]

    def pids(self) -> list[int]:
        return [one.pid for one in self.living()]

    def run(self) -> None:
        next_scan = 0.0
        while not self._ending:
            if (began := time.monotonic()) >= next_scan:
                used = time.thread_time()
                self.scan()
                least = (time.thread_time() - used) / processes.LOOK_SHARE
                next_scan = began + min(SCAN_MOST, max(SCAN_SECONDS, least))
            ended = {number for number, _ in self._poll.poll(SCAN_SECONDS * 1000)}
            now = time.monotonic()
            for one in self.living():
                if one.handle in ended:
                    self._poll.unregister(one.handle)
                    one.gone = now
                    self.log.add("death", pid=one.pid, cluster=self.cluster, t=now)
            if ended:
                with self.changed:
                    self.changed.notify_all()

    def wait_gone(self, pids: list[int], patience: float) -> list[int]:
        """Wait until these processes have ended; returns those that are still there when the
        patience is over. A process that no scan has found yet is noted now."""
        deadline = time.monotonic() + patience
        for pid in pids:
            if pid not in self.seen and processes.alive(pid):
                self._note(pid)
        with self.changed:
            while True:
                left = [pid for pid in pids if pid in self.seen and self.seen[pid].gone is None]
                remaining = deadline - time.monotonic()
                if not left or remaining <= 0:
                    return left
                self.changed.wait(min(remaining, 0.1))

    def gone_at(self, pid: int) -> float | None:
        return self.seen[pid].gone if pid in self.seen else None

    def newcomers(self, since: float) -> list[Seen]:
        """The processes that were started and first seen after that moment, and lived long enough
        to be seen at least twice."""
        with self._guard:
            return [one for one in self.seen.values()
                    if min(one.first, one.born + processes.BIRTH_TICK) > since
                    and one.last - one.first > SCAN_SECONDS / 2]

    def stop(self) -> None:
        self._ending = True
        self.join(1)
        for one in self.seen.values():
            os.close(one.handle)
