"""The workers of exercise 5 themselves: who they are, and how one that dies idle is replaced."""
from __future__ import annotations

import time
from dataclasses import dataclass
from signal import SIGKILL

from harness.checks.tasks import pool_stats
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed
from harness.system import processes


def expect_announced(cluster: Cluster, count: int) -> None:
    if cluster.workers != count:
        raise CheckFailed(f"the ready line says workers={cluster.workers}",
                          expected=f"workers={count}")


def expect_child_processes(cluster: Cluster) -> None:
    if not processes.children(cluster.pid):
        raise CheckFailed("the master has no child process",
                          expected="the workers compute, the master serves")


@dataclass(frozen=True)
class Killed:
    """A worker that was killed while it was idle."""

    slot: int
    pid: int
    at: float
    completed: int
    """Tasks of its slot by then."""


def kill_busiest(cluster: Cluster) -> Killed:
    """Of idle workers, that which has completed most tasks; it is reaped when this returns."""
    workers = worker_slots.find_workers(cluster)
    slot = max(workers, key=lambda one: pool_stats.completed_by(cluster, one))
    completed = pool_stats.completed_by(cluster, slot)
    at = cluster.signal_worker(slot, SIGKILL)
    processes.await_reaped(workers[slot])
    return Killed(slot, workers[slot], at, completed)


def await_successor(cluster: Cluster, killed: Killed, within: float = 1.0) -> None:
    """The slot has another process that lives, as the statistics tell.

    It was late if a look after the bound still missed it: when the first look that finds it comes
    is the harness's own doing.
    """
    slot, since = killed.slot, killed.at
    missing = since
    while True:
        asked = time.monotonic()
        rows = pool_stats.stats(cluster)["perWorker"]
        pid = next((row.get("pid") for row in rows if row["worker"] == slot), None)
        if isinstance(pid, int) and pid != killed.pid and processes.alive(pid):
            cluster.expect_within(within, since, missing, f"the successor of worker {slot}")
            cluster.slots[slot] = pid
            return
        missing = asked
        if missing > since + within + 2:
            cluster.refuse_late(within, since, f"a successor of worker {slot} (none came)")
        time.sleep(0.01)


def expect_count_goes_on(cluster: Cluster, killed: Killed, total: int) -> None:
    """`completed` is the slot's, whichever process it has: all slots have completed so many tasks.

    None of these has failed, and all workers are available again.
    """
    each = {slot: pool_stats.completed_by(cluster, slot) for slot in range(1, cluster.workers + 1)}
    if sum(each.values()) != total:
        raise CheckFailed(f"`completed` of worker {killed.slot} was {killed.completed} before its "
                          f"death; when {total} tasks are done it is (slot: number) {each}",
                          expected=f"it is the slot's, and goes on: {total} in all")
    pool_stats.expect_numbers(cluster, "tasks", "after the death of an idle worker",
                              submitted=total, completed=total, failed=0)
    pool_stats.expect_numbers(cluster, "workers", "when its successor is ready",
                              available=cluster.workers)
