"""The end of a cluster, or of some of its processes, in time."""
from __future__ import annotations

import time
from signal import SIGCONT, SIGKILL, SIGSTOP

from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import BoundBroken, Inconclusive

KILL_SLACK = 1.0
"""Seconds. A process killed at a timeout must be gone by 110 % of the timeout plus this."""


def expect_end(cluster: Cluster, code: int, since: float, within: float) -> None:
    """The master ends in time with that exit code, and nothing of the cluster is left."""
    cluster.expect_exit(code, since, within)
    cluster.expect_nothing_left(since, within)


def expect_processes_gone(cluster: Cluster, pids: list[int], since: float, within: float,
                          when: str) -> None:
    left = cluster.watcher.wait_gone(pids, since + within * 1.5 + 2 - time.monotonic())
    if left:
        cluster.refuse_late(within, since, f"the end of process {left[0]} {when} (still there)")
    for pid in pids:
        cluster.expect_within(within, since, cluster.watcher.gone_at(pid) or since,
                              f"the end of process {pid} {when}")


def expect_killed_at(cluster: Cluster, pid: int, since: float, bound: float, what: str) -> None:
    """The process ends about `bound` seconds after `since`.

    At most 10 % + 100 ms earlier, and at most 10 % + KILL_SLACK later.
    """
    latest = bound * 1.1 + KILL_SLACK
    if cluster.watcher.wait_gone([pid], since + latest * 1.5 + 1 - time.monotonic()):
        try:
            cluster.refuse_late(latest, since, f"the end of {what} (still there)",
                                due=since + bound)
        except BoundBroken as late:
            late.likely = "nobody kills it when its time is over: the wait for it has no limit"
            raise
    at = cluster.watcher.gone_at(pid)
    if at is None:
        raise Inconclusive(f"the harness was too slow to see when {what} ended")
    cluster.expect_within(latest, since, at, f"the end of {what}", due=since + bound)
    try:
        expect_not_before(bound * 0.9 - 0.1, since, at, f"the end of {what}")
    except BoundBroken as early:
        early.likely = "it is killed at once: it is given no time, or less than the timeout"
        early.hint = "SIGTERM first; SIGKILL only when the timeout is over"
        raise


def expect_no_orphan(cluster: Cluster, stopped: int, others: list[int]) -> None:
    """After SIGKILL of the master its workers end. A stopped one ends when it is continued."""
    stopped_pid = worker_slots.pid_of(cluster, stopped)
    other_pids = [worker_slots.pid_of(cluster, slot) for slot in others]
    cluster.signal_worker(stopped, SIGSTOP)
    killed = cluster.signal(SIGKILL)
    expect_processes_gone(cluster, other_pids, killed, 1.0, "after SIGKILL of the master")
    continued = cluster.signal_worker(stopped, SIGCONT)
    expect_processes_gone(cluster, [stopped_pid], continued, 1.0,
                          "after the stopped worker was continued")
    cluster.expect_nothing_left(max(killed, continued), 1.0)
