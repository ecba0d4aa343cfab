"""The end of the cluster is asked for while a restart is under way."""
from __future__ import annotations

from signal import SIGSTOP, SIGTERM

from harness.checks.drain import drain
from harness.checks.replacement import expect_replaced
from harness.checks.restart import newcomers, restart, versions
from harness.checks.settings import seconds
from harness.clients.exchange import Exchange
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check

END_SLACK = 1.0
"""Seconds beyond SHUTDOWN_TIMEOUT_MS in which what was killed is gone."""


class EndDuringRestartChecks:
    """Mixed into exercise 2's class for dropped requests."""

    @check(expected="SIGTERM in the middle of a restart: requests in flight are answered, all "
                    "processes end, exit code 0",
           likely="the restart goes on and starts workers while the cluster ends, or the "
                  "half-started successor is left behind",
           hint="every wait of the restart ends, too, when the end is asked for", seconds=2.5)
    def test_sigterm_during_a_restart(self, fixture: Fixture) -> None:
        """SIGTERM during a restart ends the cluster gracefully"""
        cluster = fixture.start({"STARTUP_MS": 1000, "WORK_MS": 700})
        restart.await_successor(restart.begin(cluster, old={}))
        held = versions.flood(cluster, 12)
        expect_graceful_end(cluster, held, cluster.signal(SIGTERM))

    @check(expected="SIGTERM while a successor hangs: all processes are gone after "
                    "SHUTDOWN_TIMEOUT_MS, not after READY_TIMEOUT_MS",
           likely="the wait for the successor does not end when the end is asked for, or who "
                  "hangs is not killed at the end's own timeout",
           hint="`master.ending()` belongs into the condition of every wait", seconds=2.5,
           needs=("test_sigterm_during_a_restart",))
    def test_sigterm_while_a_successor_hangs(self, fixture: Fixture) -> None:
        """SIGTERM while a successor hangs ends the cluster in time"""
        cluster = fixture.start({"STARTUP_MS": 400, "SHUTDOWN_TIMEOUT_MS": 1000})
        born, successor = restart.await_successor(restart.begin(cluster, old={}))
        newcomers.signal_starting(cluster, successor, born, SIGSTOP)
        expect_end_in_time(cluster)

    @check(expected="SIGTERM while an old worker hangs in its drain: all processes are gone after "
                    "SHUTDOWN_TIMEOUT_MS, not after DRAIN_TIMEOUT_MS",
           likely="the wait for the old worker's end does not end when the end is asked for, or "
                  "who hangs is not killed at the end's own timeout",
           hint="`master.ending()` belongs into the condition of every wait", seconds=2.5,
           needs=("test_sigterm_during_a_restart",))
    def test_sigterm_while_an_old_worker_hangs(self, fixture: Fixture) -> None:
        """SIGTERM while an old worker hangs in its drain ends the cluster in time"""
        cluster = fixture.start({"STARTUP_MS": 100, "SHUTDOWN_TIMEOUT_MS": 1000})
        under_way = restart.begin_stuck(cluster, 1)
        expect_replaced(cluster, 1, under_way.old[1], under_way.signalled, within=5.0)
        expect_end_in_time(cluster)


def expect_graceful_end(cluster: Cluster, held: list[Exchange], signalled: float) -> None:
    """Requests in flight are answered in full, then the cluster ends with exit code 0."""
    answers = [exchange.wait(4) for exchange in held]
    for answer in answers:
        drain.expect_whole(answer)
    last = max(answer.ended for answer in answers)
    cluster.expect_exit(0, last, 2.5)
    cluster.expect_nothing_left(max(signalled, last), 2.5)


def expect_end_in_time(cluster: Cluster) -> None:
    """After SIGTERM nothing is left, although one process does not end by itself."""
    cluster.expect_nothing_left(cluster.signal(SIGTERM),
                                seconds(cluster, "SHUTDOWN_TIMEOUT_MS") + END_SLACK)
