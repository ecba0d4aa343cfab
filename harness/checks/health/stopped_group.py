"""The whole process group is stopped, and goes on."""
from __future__ import annotations

import time
from signal import SIGCONT, SIGSTOP

from harness.checks.health import health
from harness.checks.health.heartbeats import await_heartbeats
from harness.clients import worker_slots
from harness.cluster.cluster import CHILD_AGE, Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.time_bounds import await_true
from harness.system import processes


class StoppedGroupChecks:
    """Mixed into exercise 3's class for silence."""

    @check(expected="the whole group is stopped for longer than HEARTBEAT_TIMEOUT_MS and goes on "
                    "then: nobody is replaced", needs=("test_stopped_worker_is_replaced",),
           likely="the time in which the master itself was stopped counts as the workers' silence: "
                  "they are judged at once, before their next heartbeats are read",
           hint="a wait that took much longer than planned was interrupted: leave that time out",
           seconds=4)
    def test_stopped_group_is_not_judged(self, fixture: Fixture) -> None:
        """A whole group that was stopped replaces nobody when it goes on"""
        timeout = fixture.ample(1.5, 10.0)
        cluster = fixture.start({"HEARTBEAT_TIMEOUT_MS": int(timeout * 1000)})
        before = dict(worker_slots.find_workers(cluster))
        stop_group_for(cluster, timeout * 1.3)
        health.expect_left_alone(cluster, before, timeout, "the whole group was stopped")


def stop_group_for(cluster: Cluster, wait: float) -> None:
    """Stop the master and all workers for so many seconds, as Ctrl+Z and `fg` do."""
    for slot in cluster.slots:
        await_heartbeats(cluster, slot, 1, 3)
    time.sleep(CHILD_AGE)
    group = [cluster.pid, *cluster.slots.values()]
    stopped = cluster.signal_group(SIGSTOP)
    await_true(lambda: all(map(processes.stopped, group)), 5, "the group did not stop")
    time.sleep(max(0.0, stopped + wait - time.monotonic()))
    cluster.signal_group(SIGCONT)
