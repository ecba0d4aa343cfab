"""Bounds on time, judged fairly: the contract's bound plus what the machine is seen to have cost.

Two things are measured while a check runs. How long the program's own threads, and the harness's, stood ready but got no
processor (the kernel counts that for each thread); and how much too late a sleeping harness thread woke.
"""
from __future__ import annotations

import bisect
import os
import threading
import time
from dataclasses import dataclass
from typing import Callable, Iterable, NoReturn

from . import processes
from .verdict import CheckFailed, Inconclusive

TICK = 0.010
SCAN_EVERY = 5
NEAR = 0.5
COUNTED = ("MainThread", "http-reader")
"""The harness's own threads that can make an answer look late."""
FORGIVABLE = 1.0
"""Seconds by which a bound may be exceeded on account of the machine; beyond that nothing can be said."""
ABSURD = 5.0
"""Seconds of measured delay within one bound from which on the machine is not trusted to refuse anything."""


@dataclass(frozen=True)
class Sample:
    t: float
    oversleep: float
    waited: float


class DelayMeter(threading.Thread):
    """Samples the delay from its start to its stop; `watched` says which processes belong to the program."""

    def __init__(self, watched: Callable[[], Iterable[int]]) -> None:
        super().__init__(daemon=True, name="delay-meter")
        self._watched = watched
        self._samples: list[Sample] = []
        self._waits: dict[int, float] = {}
        self._own = processes.run_queue_wait(os.getpid())
        self._counted = bool(self._own)
        self._ending = threading.Event()

    def run(self) -> None:
        tick = 0
        while not self._ending.is_set():
            before = time.monotonic()
            time.sleep(TICK)
            now = time.monotonic()
            tick += 1
            waited = self._newly_waited() if tick % SCAN_EVERY == 0 else 0.0
            self._samples.append(Sample(now, max(0.0, now - before - TICK), waited))

    def _newly_waited(self) -> float:
        total = 0.0
        own = {thread.native_id for thread in threading.enumerate() if thread.name in COUNTED}
        for pid in (os.getpid(), *self._watched()):
            for thread, waited in processes.run_queue_wait(pid).items():
                if pid == os.getpid() and thread not in own:
                    continue  # this very thread, for one: it wakes so often that it would count all the time
                known = self._waits.get(thread, self._own.get(thread, 0.0))
                total += max(0.0, waited - known)
                self._waits[thread] = waited
        return total

    def stop(self) -> None:
        self._ending.set()

    def allowance(self, start: float, end: float, due: float | None = None) -> float:
        """Seconds by which things between these two moments may be late without being the program's fault.

        If it was due at a known moment, only what happened near the start and from shortly before that moment on can
        have made it late: waiting in between is what a timer does anyway.
        """
        margin = TICK * (SCAN_EVERY + 1)
        while self.is_alive() and (not self._samples or self._samples[-1].t < end + margin):
            time.sleep(TICK)
        samples = list(self._samples)
        first = bisect.bisect_left(samples, start - margin, key=lambda sample: sample.t)
        quiet_from, quiet_to = start + NEAR, (due if due is not None else start) - NEAR
        inside = [sample for sample in samples[first:] if sample.t <= end + margin and not quiet_from < sample.t < quiet_to]
        late = [sample.oversleep for sample in inside]
        woken_late = max(late, default=0.0) if self._counted else sum(late)
        return woken_late + self._some_waited(inside)

    @staticmethod
    def _some_waited(samples: list[Sample]) -> float:
        """Time in which at least one thread was kept waiting: what many waited at once is not added up.

        A long wait is counted by the kernel when it ends, so what does not fit into a sample's own time lies before it.
        """
        total = rest = 0.0
        for sample in reversed(samples):
            rest += sample.waited
            part = min(rest, TICK + sample.oversleep)
            total, rest = total + part, rest - part
        return total


def expect_within(meter: DelayMeter, bound: float, start: float, end: float, what: str) -> None:
    """Fail if more than `bound` seconds lie between the two moments and the machine does not account for it."""
    took = end - start
    if took <= bound:
        return
    allowance = meter.allowance(start, end, start + bound)
    forgiven = took <= bound + allowance
    if forgiven and took - bound <= max(FORGIVABLE, bound / 5):
        return
    if forgiven or allowance > ABSURD:
        raise Inconclusive(f"{what}: took {took:.2f} s (bound {bound:.2f} s), but the machine was {allowance:.2f} s behind then")
    delay = f" (the machine's own delay then: {allowance * 1000:.0f} ms)" if allowance >= 0.001 else ""
    raise CheckFailed(f"{what}: took {took * 1000:.0f} ms, the bound is {bound * 1000:.0f} ms{delay}")


def refuse_late(meter: DelayMeter, bound: float, start: float, what: str) -> NoReturn:
    """Something has still not happened now. Fail, or say that the machine may be the reason."""
    try:
        expect_within(meter, bound, start, time.monotonic(), what)
    except CheckFailed as failure:
        raise CheckFailed(failure.seen.replace(": took ", ": not yet after ", 1)) from None
    raise Inconclusive(f"{what}: it did not happen, but the machine was too slow to blame the program")


def expect_not_before(bound: float, start: float, end: float, what: str) -> None:
    """Fail if less than `bound` seconds lie between the two moments."""
    if end - start < bound:
        raise CheckFailed(f"{what}: already after {(end - start) * 1000:.0f} ms, not before {bound * 1000:.0f} ms is right")
