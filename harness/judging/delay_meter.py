"""How far the machine was behind: measured while a check runs, so that no program is blamed for it.

Three things are measured:
- how long threads of the program and of the harness stood ready but got no processor (the kernel
  counts that for each thread);
- for how long the machine below kept a virtual machine's processors from it;
- how much too late a sleeping thread of the harness woke.
"""
from __future__ import annotations

import bisect
import os
import threading
import time
from dataclasses import dataclass
from typing import Callable, Iterable

from harness.system import processes

TICK = 0.010
SCAN_SECONDS = 0.05
NEAR = 0.5
"""Seconds after the start, and before the due moment, that count as near to it (see allowance)."""
SCAN_MOST = NEAR / 2
"""Seconds between two scans of a program with very many threads; more would blur when a thread
waited."""
COUNTED = ("MainThread", "http-reader")
"""The harness's own threads that can make an answer look late."""
LONGEST_WAIT = 10.0
"""Seconds for which a judgement is put off while a thread stands ready and gets no processor."""


@dataclass(frozen=True)
class Sample:
    """One measurement, at `t`, `span` seconds after the one before. If it is a scan, `waited` tells
    how long threads have waited since the last scan."""

    t: float
    span: float
    oversleep: float
    waited: float = 0.0
    scan: bool = False


class DelayMeter(threading.Thread):
    """Samples the delay from its start to its stop; `watched` tells the program's processes."""

    def __init__(self, watched: Callable[[], Iterable[int]]) -> None:
        super().__init__(daemon=True, name="delay-meter")
        self._watched = watched
        self._samples: list[Sample] = []
        self._known = dict(processes.run_queue_wait(os.getpid()))
        self._stolen = processes.stolen()
        self._credited: dict[int, float] = {}
        """Thread → the seconds already counted of a wait that still lasts."""
        self._scanned = time.monotonic()
        self._counted = bool(self._known)
        self._ending = threading.Event()

    def run(self) -> None:
        last, next_scan = time.monotonic(), 0.0
        while not self._ending.is_set():
            before = time.monotonic()
            time.sleep(TICK)
            now, used = time.monotonic(), time.thread_time()
            scan = now >= next_scan
            waited = self._newly_waited() if scan else 0.0
            oversleep = max(0.0, now - before - TICK)
            self._samples.append(Sample(now, now - last, oversleep, waited, scan))
            last = now
            if scan:
                next_scan = now + pause_after(time.thread_time() - used)

    def _newly_waited(self) -> float:
        stolen, self._stolen = self._stolen, processes.stolen()
        total = max((now - before for before, now in zip(stolen, self._stolen)), default=0.0)
        now, before = time.monotonic(), self._scanned
        own = {thread.native_id for thread in threading.enumerate() if thread.name in COUNTED}
        for pid in (os.getpid(), *self._watched()):
            for thread, had in processes.run_queue_wait(pid).items():
                # This very thread is left out: it wakes so often that it would count all the time.
                if pid != os.getpid() or thread in own:
                    total += self._waited(pid, thread, had, now - before)
        self._scanned = now
        return total

    def _waited(self, pid: int, thread: int, had: tuple[float, float], elapsed: float) -> float:
        """How long the thread has waited since the last scan.

        The kernel counts a wait when it ends, and the process may end with it. So a wait that still
        lasts is counted here as it goes on, and taken off again when the kernel tells of it.
        """
        known = self._known.get(thread, (0.0, 0.0))
        self._known[thread] = had
        if had == known:
            still = elapsed if processes.thread_state(pid, thread) == "R" else 0.0
            self._credited[thread] = self._credited.get(thread, 0.0) + still
            return still
        grown = had[1] - known[1]
        credited = self._credited.pop(thread, 0.0)
        return max(0.0, grown - credited)

    def stop(self) -> None:
        self._ending.set()

    def allowance(self, start: float, end: float, due: float | None = None) -> float:
        """Seconds by which something between these two moments may be late through no fault of the
        program.

        If it was due at a known moment, only delays near the start, and from shortly before that
        moment on, can have made it late: in between a timer waits anyway.
        """
        margin = SCAN_SECONDS + TICK
        counted_until = max(end, self._let_stuck_threads_run())
        while self.is_alive() and self._scan_after(counted_until) is None:
            time.sleep(TICK)
        last = max(end + margin, self._scan_after(end) or 0.0)
        samples = list(self._samples)
        first = bisect.bisect_left(samples, start - margin, key=lambda sample: sample.t)
        samples = samples[first:]
        quiet_from, quiet_to = start + NEAR, (due if due is not None else start) - NEAR
        inside = [(sample.oversleep, waited) for sample, waited in zip(samples, spread(samples))
                  if sample.t <= last and not quiet_from < sample.t < quiet_to]
        late = [oversleep for oversleep, _ in inside]
        woken_late = max(late, default=0.0) if self._counted else sum(late)
        return woken_late + sum(waited for _, waited in inside)

    def _scan_after(self, moment: float) -> float | None:
        """The first scan from that moment on; None as long as there was none."""
        begin = bisect.bisect_left(self._samples, moment, key=lambda sample: sample.t)
        return next((sample.t for sample in self._samples[begin:] if sample.scan), None)

    def _let_stuck_threads_run(self) -> float:
        """Wait until each thread that stands ready now has got a processor, but at most
        LONGEST_WAIT seconds: the kernel counts a wait only when it ends. Returns the moment."""
        began = time.monotonic()
        stuck = self._ready_threads()
        while stuck and self.is_alive() and time.monotonic() < began + LONGEST_WAIT:
            time.sleep(TICK)
            now = self._ready_threads()
            stuck = {thread: had for thread, had in stuck.items() if now.get(thread) == had}
        return time.monotonic()

    def _ready_threads(self) -> dict[int, tuple[float, float]]:
        return {thread: had for pid in self._watched()
                for thread, had in processes.ready_threads(pid).items()}


def pause_after(used: float) -> float:
    """Seconds from a scan to the next, by the processor time that it took."""
    return min(SCAN_MOST, max(SCAN_SECONDS, used / processes.LOOK_SHARE))


def spread(samples: list[Sample]) -> list[float]:
    """For each sample the seconds in which at least one thread was kept waiting: waits of several
    threads at once are not added up.

    The kernel counts a long wait when it ends, so the part that does not fit into a sample's own
    span lies before it.
    """
    parts: list[float] = []
    rest = 0.0
    for sample in reversed(samples):
        rest += sample.waited
        parts.append(min(rest, sample.span))
        rest -= parts[-1]
    return parts[::-1]
