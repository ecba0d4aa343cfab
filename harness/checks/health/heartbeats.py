"""Heartbeats, as the master's journal tells of them."""
from __future__ import annotations

import time
from signal import SIGSTOP
from typing import NoReturn

from harness.checks.journal_tells import ready_at
from harness.checks.settings import seconds
from harness.cluster.cluster import Cluster
from harness.judging.journal import read_journal
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed

FIRST_WITHIN = 0.5
"""The contract's: seconds from a worker's `ready` to its first heartbeat."""
LEAST = 3
"""Heartbeats of each worker that are needed to judge the interval."""
CLOCK_MARGIN = 1.0
"""Seconds by which a stamp may lie outside the cluster's life. Another clock is off by more."""


def interval(cluster: Cluster) -> float:
    return seconds(cluster, "HEARTBEAT_INTERVAL_MS")


def moments(cluster: Cluster, slot: int) -> list[float]:
    """When the master received a heartbeat from that slot."""
    return [float(entry["t"]) for entry in read_journal(cluster.journal)
            if entry.get("role") == "master" and entry.get("event") == "recv"
            and entry.get("type") == "heartbeat" and entry.get("peer") == slot
            and isinstance(entry.get("t"), (int, float))]


def await_heartbeats(cluster: Cluster, slot: int, count: int, patience: float) -> list[float]:
    began = time.monotonic()
    while len(found := moments(cluster, slot)) < count:
        if overdue(began, patience):
            cluster.refuse_late(patience, began, f"heartbeat {len(found) + 1} of worker {slot} in "
                                                 "the master's journal (recv)")
        time.sleep(0.02)
    return found


def stop_worker(cluster: Cluster, slot: int) -> float:
    """Stop a worker that has sent a heartbeat; returns the moment of its last one."""
    await_heartbeats(cluster, slot, 1, 3)
    cluster.signal_worker(slot, SIGSTOP)
    time.sleep(0.05)  # by then the master has noted what was sent just before
    found = moments(cluster, slot)
    expect_own_clock(cluster, slot, found, f"the last heartbeat of worker {slot}")
    return found[-1]


def expect_own_clock(cluster: Cluster, slot: int, found: list[float], what: str) -> None:
    """The moments in the journal lie within the cluster's life. `what` cannot be found else."""
    begin, end = cluster.started - CLOCK_MARGIN, time.monotonic() + CLOCK_MARGIN
    others = [moment for moment in found if not begin <= moment <= end]
    if others:
        raise CheckFailed(f"{what}: the master's journal has heartbeats of worker {slot}, but the "
                          f"last one bears t={others[-1]:.3f}, and CLOCK_MONOTONIC was between "
                          f"{begin + CLOCK_MARGIN:.3f} and {end - CLOCK_MARGIN:.3f}",
                          expected="`t` in the journal is CLOCK_MONOTONIC in seconds",
                          likely="the journal is stamped by another clock than CLOCK_MONOTONIC, so "
                                 "its heartbeats seem to come at another time",
                          hint="clock_gettime(CLOCK_MONOTONIC), steady_clock in C++, "
                               "time.monotonic() in Python")


def refuse_missing(cluster: Cluster, slot: int, bound: float, start: float, what: str,
                   found: list[float]) -> NoReturn:
    """A heartbeat has still not come, or those that were `found` are by another clock."""
    expect_own_clock(cluster, slot, found, what)
    cluster.refuse_late(bound, start, what)


def expect_first_at_once(cluster: Cluster, slot: int, pid: int) -> None:
    first = await_heartbeats(cluster, slot, 1, 2.0)[0]
    ready = ready_at(cluster, pid)
    cluster.expect_within(FIRST_WITHIN, ready or cluster.started, first,
                          f"the first heartbeat of worker {slot} after its ready")


def expect_interval_kept(cluster: Cluster, since: float) -> None:
    """Since then heartbeats came one interval apart, from every worker."""
    every = interval(cluster)
    for slot in range(1, cluster.workers + 1):
        judged = [moment for moment in moments(cluster, slot) if moment >= since]
        if len(judged) < LEAST:
            refuse_missing(cluster, slot, every * 1.1, since + every,
                           f"three heartbeats of worker {slot} (there were {len(judged)})",
                           moments(cluster, slot))
        expect_spacing(cluster, slot, judged, every)


def expect_spacing(cluster: Cluster, slot: int, judged: list[float], every: float) -> None:
    """Within 10 % + 50 ms of the interval. After one that the machine made late the next may come
    early."""
    tolerance = every * 0.1 + 0.05
    for before, after in zip(judged, judged[1:]):
        cluster.expect_within(every + tolerance, before, after,
                              f"the next heartbeat of worker {slot}")
        spacing = after - before
        if spacing < every - tolerance - cluster.meter.allowance(before - every, before):
            raise CheckFailed(f"two heartbeats of worker {slot} came {spacing * 1000:.0f} ms apart",
                              expected=f"one every {every * 1000:.0f} ms")
