"""How far the machine was behind: measured while a check runs, so that no program is blamed for it.

Three things are measured:
- how long threads of the program and of the harness stood ready but got no processor (the kernel
  counts that for each thread);
- for how long the machine below kept a virtual machine's processors from it;
- how much too late a sleeping thread of the harness woke.
A program cannot buy time: it counts only what others have taken of the processors. What the
program's own threads took meanwhile made nobody wait but the program itself.
"""
from __future__ import annotations

import bisect
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import Callable, Iterable

from harness.system import processes, scheduling

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
    how long threads have waited since the last scan, `others` how much processor time was taken by
    others than the program meanwhile, and `free` how much the program left."""

    t: float
    span: float
    oversleep: float
    waited: float = 0.0
    others: float = 0.0
    free: float = 0.0
    scan: bool = False
    stolen: float = 0.0
    """For how long the machine below kept a processor, since the last scan."""


class DelayMeter(threading.Thread):
    """Samples the delay from its start to its stop; `watched` tells the program's processes,
    `ended` the processor time of those that have ended."""

    def __init__(self, watched: Callable[[], Iterable[int]],
                 ended: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(daemon=True, name="delay-meter")
        self._watched, self._ended = watched, ended
        self.excused = 0.0
        """The most seconds by which something was late and was forgiven."""
        self._samples: list[Sample] = []
        self._known = {(0, thread): had for thread, had
                       in scheduling.run_queue_wait(os.getpid(), processes.OWN).items()}
        self._stolen, self._processors = scheduling.stolen(), os.cpu_count() or 1
        self._others = scheduling.busy() - ended()
        """Processor time of others than the program so far; it never falls."""
        self._program = ended()
        self._pids: set[int] = set()
        self._credited: dict[tuple[int, int], float] = {}
        """Process and thread → the seconds already counted of a wait that still lasts."""
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
            oversleep = max(0.0, now - before - TICK)
            found = self._scan() if scan else (0.0, 0.0, 0.0, False, 0.0)
            self._samples.append(Sample(now, now - last, oversleep, *found))
            last = now
            if scan:
                next_scan = now + pause_after(time.thread_time() - used)

    def _scan(self) -> tuple[float, float, float, bool, float]:
        """`waited`, `others`, `free`, `scan` and `stolen` of a sample."""
        had_stolen, self._stolen = self._stolen, scheduling.stolen()
        stolen = max((now - had for had, now in zip(had_stolen, self._stolen)), default=0.0)
        total = 0.0
        now, before = time.monotonic(), self._scanned
        # This very thread is left out: it wakes so often that it would count all the time.
        own = {thread.native_id for thread in threading.enumerate() if thread.name in COUNTED}
        for thread, had in scheduling.run_queue_wait(os.getpid(), processes.OWN).items():
            if thread in own:
                total += self._waited(0, thread, had, now - before)
        program, pids = self._ended(), set(self._watched())
        for pid in pids:
            had_by = scheduling.run_queue_wait(pid)
            program += max(scheduling.processor_time(pid), sum(ran for ran, _ in had_by.values()))
            program += scheduling.processor_time_of_ended(pid)
            total += sum(self._waited(pid, thread, had, now - before)
                         for thread, had in had_by.items())
        self._scanned = now
        others, free = self._left_by(program, now - before)
        # What a process took that came or went meanwhile need not be known: nobody may have
        # collected it. All of that is taken for the program's.
        settled, self._pids = pids == self._pids, pids
        return (total, *((others, free) if settled else (0.0, 0.0)), True, stolen)

    def _left_by(self, program: float, elapsed: float) -> tuple[float, float]:
        """How much processor time others have taken since the last scan, and how much the program
        has left; `program` is what it has taken so far."""
        took, self._program = program - self._program, max(program, self._program)
        before, self._others = self._others, max(self._others, scheduling.busy() - program)
        return self._others - before, max(0.0, elapsed * self._processors - max(0.0, took))

    def _waited(self, pid: int, thread: int, had: tuple[float, float], elapsed: float) -> float:
        """How long the thread has waited since the last scan. `pid`: 0 for the harness's own.

        The kernel counts a wait when it ends, and the process may end with it. So a wait that still
        lasts is counted here as it goes on, and taken off again when the kernel tells of it.
        """
        key = pid, thread
        known = self._known.get(key, (0.0, 0.0))
        self._known[key] = had
        if had == known:
            waited = elapsed if scheduling.thread_state(pid, thread) == "R" else 0.0
            self._credited[key] = self._credited.get(key, 0.0) + waited
        else:
            waited = max(0.0, had[1] - known[1] - self._credited.pop(key, 0.0))
        own_will = pid and waited and scheduling.lets_others_go_first(pid, thread)
        return 0.0 if own_will else waited

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
        inside = [found for sample, found in zip(samples, each_by_itself(samples))
                  if sample.t <= last and not quiet_from < sample.t < quiet_to]
        late = [one.oversleep for one in inside]
        woken_late = max(late, default=0.0) if self._counted else sum(late)
        waited = min(sum(one.waited for one in inside), sum(one.others for one in inside))
        return woken_late + waited + sum(one.stolen for one in inside)

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
                for thread, had in scheduling.ready_threads(pid).items()}


def pause_after(used: float) -> float:
    """Seconds from a scan to the next, by the processor time that it took."""
    return min(SCAN_MOST, max(SCAN_SECONDS, used / processes.LOOK_SHARE))


def each_by_itself(samples: list[Sample]) -> list[Sample]:
    """The same samples, each with its own part of the waits that were counted later; and a sleep
    ended too late only as far as the program left a processor for others."""
    found = []
    free = float("inf")  # after the last scan nothing is known yet
    waits = spread(samples, [sample.waited for sample in samples])
    stolen = spread(samples, [sample.stolen for sample in samples])
    for sample, waited, kept in reversed(list(zip(samples, waits, stolen))):
        free = sample.free if sample.scan else free
        found.append(replace(sample, oversleep=min(sample.oversleep, free), waited=waited,
                             stolen=kept))
    return found[::-1]


def spread(samples: list[Sample], counted: list[float]) -> list[float]:
    """For each sample the seconds in which at least one thread was kept waiting: waits of several
    threads at once are not added up.

    The kernel counts a long wait when it ends, so the part that does not fit into a sample's own
    span lies before it.
    """
    parts: list[float] = []
    rest = 0.0
    for sample, seconds in zip(reversed(samples), reversed(counted)):
        rest += seconds
        parts.append(min(rest, sample.span))
        rest -= parts[-1]
    return parts[::-1]
