"""The order in which old workers leave and successors come: looks at the master's children."""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from harness.checks.restart.restart_causes import NOT_PROMOTED
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

SAMPLE_SECONDS = 0.004
MOST_LISTS = 40
"""Lists of children that one look takes at most."""
ENDED_FIRST = {"likely": "the old worker is ended first, and its successor started afterwards",
               "hint": "start the successor first; the old one goes when the successor is ready"}
NOT_AWAITED = {"likely": "the old worker is told to go when its successor was started: nobody "
                         "waits until that is ready",
               "hint": "wait until the successor itself says that it is ready"}
ALL_AT_ONCE = {"likely": "all successors are started at once",
               "hint": "one slot after another: start, wait for `ready`, drain the old one"}
END_NOT_AWAITED = {"likely": "the next slot's turn comes while the old worker of the last still "
                             "drains: nobody waits until it is gone",
                   "hint": "wait until the old worker is gone before the next slot"}


@dataclass(frozen=True)
class Sample:
    t: float
    children: frozenset[int]


def look(cluster: Cluster) -> Sample:
    """The children that live at one moment: two equal lists, and nobody came or went in between.

    One list may lack a child while another ends (proc(5), "children"). A child in it may have been
    replaced before it is asked whether it lives.
    """
    found: tuple[list[int], Sample] | None = None
    for _ in range(MOST_LISTS):
        now, listed = time.monotonic(), sorted(processes.children(cluster.pid))
        if found is not None and listed == found[0]:
            return found[1]
        found = listed, Sample(now, frozenset(filter(processes.alive, listed)))
    raise Inconclusive("the master's children come and go so fast that the harness cannot count "
                       "them")


def await_settled(cluster: Cluster, count: int, since: float, bound: float) -> None:
    """Wait until the master has exactly `count` children."""
    while len(look(cluster).children) != count:
        if overdue(since, bound):
            cluster.refuse_late(bound, since, f"{count} worker processes again, and no more")
        time.sleep(0.01)


class Sampler(threading.Thread):
    """Looks at the master's children every few milliseconds, from `start` to `stop`."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True, name="sampler")
        self.cluster = cluster
        self.samples = [look(cluster)]
        self._fault: Exception | None = None
        self._ending = threading.Event()

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ending.set()
        self.join()
        if self._fault is not None and kind is None:
            raise self._fault

    def run(self) -> None:
        ending = False
        try:
            while not ending:
                ending = self._ending.wait(SAMPLE_SECONDS)
                # Once more at the end: for the successor of the worker that has left just now.
                self.samples.append(look(self.cluster))
        except Exception as fault:  # told to the thread that judges
            self._fault = fault

    # ----- judging

    def first_seen(self, pid: int) -> float:
        return next(sample.t for sample in self.samples if pid in sample.children)

    def last_without(self, pid: int) -> float:
        """The last look before it was first seen: it may have come any time since."""
        return max((sample.t for sample in self.samples if sample.t < self.first_seen(pid)),
                   default=0.0)

    def newcomers(self) -> list[tuple[float, int]]:
        """When each new process was first seen, and its pid, in that order."""
        pids = {pid for one in self.samples for pid in one.children} - self.samples[0].children
        return sorted((self.first_seen(pid), pid) for pid in pids)

    def expect_at_most_one_extra(self) -> None:
        most = max(len(sample.children) for sample in self.samples)
        if most > len(self.samples[0].children) + 1:
            raise CheckFailed(f"{most} worker processes at once",
                              expected="never more than one extra process")

    def expect_one_at_a_time(self, old: dict[int, int], startup: float) -> None:
        """Never more than one extra process, never fewer than before; no old worker (slot → pid)
        leaves before its successor is ready.

        `startup`: seconds that a successor needs to be ready. If it is 0 nothing tells when a
        successor is ready: then no old worker leaves before its successor has come.
        """
        new = self.newcomers()
        self._expect_counts(len(self.samples[0].children), new, startup)
        gone = sorted((left, pid) for pid in old.values()
                      if (left := self.cluster.watcher.gone_at(pid)) is not None)
        if len(gone) < len(old):
            raise Inconclusive(f"of {len(old)} old workers the harness has seen only {len(gone)} "
                               "leave")
        for number, (successor, former) in enumerate(zip(new, gone), start=1):
            self._expect_order(number, successor, former, startup)
        if len(new) < len(gone):
            raise Inconclusive(f"the harness has seen {len(new)} successors of {len(gone)} old "
                               "workers")

    def _expect_counts(self, before: int, new: list[tuple[float, int]], startup: float) -> None:
        most = max((sample.children for sample in self.samples), key=len)
        least = min((sample.children for sample in self.samples), key=len)
        if len(most) > before + 1:
            young = most - self.samples[0].children
            at_once = new[1][0] - new[0][0] < startup / 2
            cause = ALL_AT_ONCE if at_once else END_NOT_AWAITED
            if len(young) > before:  # each of the old ones has left, and there are two for each
                cause = dict(zip(("likely", "hint"), NOT_PROMOTED))
            raise CheckFailed(f"{len(most)} worker processes at once: {sorted(most)}",
                              expected=f"never more than {before} + 1",
                              **cause)
        if len(least) < before:
            raise CheckFailed(f"only {len(least)} worker processes at one moment: {sorted(least)}",
                              expected=f"never fewer than {before}", **ENDED_FIRST)

    def _expect_order(self, number: int, new: tuple[float, int], old: tuple[float, int],
                      startup: float) -> None:
        """The successor was ready before the old worker left, as far as the looks tell it.

        `new`: when the successor was first seen, and its pid. `old`: when the old worker left, and
        its pid. `number`: its place in the order of leaving.
        """
        (came, successor), (left, former) = new, old
        not_before = self.last_without(successor)
        leaver = f"the old process {former}, the {number}. to leave, left"
        if left < not_before:
            raise CheckFailed(f"{leaver} before its successor {successor} had appeared",
                              **ENDED_FIRST)
        if startup and left - came < startup / 2:
            if left - not_before >= startup:
                raise Inconclusive(f"the harness did not look for {came - not_before:.2f} s: too "
                                   "long to tell the order")
            raise CheckFailed(f"{leaver} {(left - came) * 1000:.0f} ms after its successor "
                              f"{successor} had appeared, which needs {startup * 1000:.0f} ms to "
                              "be ready", **(ENDED_FIRST if left < came else NOT_AWAITED))
