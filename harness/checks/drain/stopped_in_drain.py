"""A worker is stopped while its cluster drains."""
from __future__ import annotations

from signal import SIGSTOP, SIGTERM

from harness.checks import process_end
from harness.checks.drain import drain, forced_end
from harness.clients import worker_slots
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import Inconclusive
from harness.system import processes


class StoppedInDrainChecks:
    """Mixed into exercise 1's class for what all workers do together."""

    @check(expected="one worker stopped, a request in flight on the other, timeout far away: a "
                    "second signal ends everything within a second, exit 1",
           likely="after the second signal the master waits for workers for as long as the timeout "
                  "leaves, instead of killing those that do not go",
           hint="when the end is forced, workers get a moment to cut and go; then SIGKILL",
           needs=("test_second_signal_forces",), seconds=0.7)
    def test_second_signal_kills_a_stopped_worker(self, fixture: Fixture) -> None:
        """A second signal ends a stopped worker, too"""
        cluster = fixture.start({"SLOW_MS": 20000, "SHUTDOWN_TIMEOUT_MS": 20000})
        held = drain.hold(cluster, 1, [2])
        cluster.signal_worker(1, SIGSTOP)
        drain.begin_noticed(cluster, held, SIGTERM)
        process_end.expect_end(cluster, 1, cluster.signal(SIGTERM), within=1.0)

    @check(expected="a worker that was stopped after it had drained is killed at the timeout; the "
                    "other one's request is answered before; exit 1, since one was killed",
           likely="whether anything was forced is asked when the killed workers are gone, or the "
                  "exit code only tells whether all had drained",
           hint="note whether somebody had to be killed before you kill",
           needs=("test_new_connections_get_503", "test_stopped_worker_does_not_hold_the_rest"),
           seconds=2.5)
    def test_stopped_after_its_drain(self, fixture: Fixture) -> None:
        """A worker that is stopped after it has drained is killed at the timeout: exit code 1"""
        work = int(fixture.pace(1200, 5000))
        cluster, timeout = forced_end.start_with_short_timeout(fixture, SLOW_MS=work)
        worker_slots.find_workers(cluster)
        drained = worker_slots.pid_of(cluster, 1)
        draining = drain.begin_noticed(cluster, drain.hold(cluster, 1, [2]), SIGTERM)
        if drain.any_ended(draining.held):
            raise Inconclusive("the harness was too slow: the drain was over before the worker "
                               "could be stopped")
        if not processes.alive(drained):
            return  # one that has drained may go at once, if another still accepts
        cluster.signal_worker(1, SIGSTOP)
        drain.expect_whole(draining.held[0].wait(timeout + 1))
        forced_end.expect_forced_end(cluster, draining.signalled, timeout)
