"""Checks of exercise 5 on the end of the pool: accepted tasks are finished, or are cut."""
from __future__ import annotations

import time
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Sequence

from harness.checks.common_ground.http import expect_form
from harness.checks.drain import forced_end
from harness.checks.tasks import held_workers, task_kills, tasks
from harness.checks.tasks.backpressure import REQUEUES
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

SHUTS = "test_sigterm_finishes_what_was_accepted"
"""The check on which the others of the end build."""
READ_WITHIN = 0.3
"""Seconds after which the first bytes of a request are surely read."""
REST_AFTER = 0.5
"""Seconds from SIGTERM to the last bytes of a request that had begun before."""


class PoolEndChecks:
    """Mixed into the item on backpressure, after the checks on the queue's limit."""

    @check(expected="on SIGTERM, and on Ctrl+C (SIGINT to the whole group), new tasks get 503; "
                    "those at work and those that wait are finished, and each is logged; then "
                    "exit 0",
           likely="the master ends at once, or new tasks are still accepted, or waiting tasks are "
                  "forgotten, or until the timeout the end waits for something that never comes",
           hint="close the pool first; end the workers when nothing waits or is at work any more",
           seconds=0.5)
    def test_sigterm_finishes_what_was_accepted(self, fixture: Fixture) -> None:
        """On SIGTERM or Ctrl+C new tasks get 503, and accepted ones are finished"""
        for ctrl_c in (False, True):
            cluster = fixture.start()
            at_work, waiting = held_workers.occupy(cluster, 5)
            signalled = begin(cluster, ctrl_c)
            held_workers.release(cluster)
            expect_finished(cluster, fixture, [*at_work, *waiting], signalled, within=2.0)

    @check(expected="a worker that is killed during the end is replaced as long as tasks remain: "
                    "all are finished, exit 0; with MAX_ATTEMPTS=1 its task is lost: exit 1",
           likely="no worker is started any more after SIGTERM, so that the dead one's task is "
                  "never finished", hint="go on replacing until the pool has finished",
           needs=(REQUEUES, SHUTS), seconds=0.6)
    def test_worker_killed_during_the_end(self, fixture: Fixture) -> None:
        """A worker that is killed during the end is replaced as long as tasks remain"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, 3)
        signalled = begin(cluster)
        task_kills.kill_all(cluster)
        expect_finished(cluster, fixture, [*at_work, *waiting], signalled, within=3.0,
                        explained=True)
        expect_lost_task_is_exit_1(fixture.start({"MAX_ATTEMPTS": 1}))

    @check(expected="tasks that are not finished at SHUTDOWN_TIMEOUT_MS are cut: exit 1, nothing "
                    "left; a second SIGTERM does that at once",
           likely="the end waits for ever for a task that takes long, or each part of the end gets "
                  "the whole timeout instead of what is left, or cut tasks are no failure",
           hint="wait with a timeout, or until a second signal; then kill, and exit with 1",
           needs=(SHUTS,), seconds=3)
    def test_the_timeout_cuts(self, fixture: Fixture) -> None:
        """Tasks that outlast the timeout are cut: exit 1; a second signal cuts at once"""
        expect_cut_at_second_signal(fixture.start({"SHUTDOWN_TIMEOUT_MS": 30000}))
        timeout = int(fixture.pace(2000, 10000))
        cluster = fixture.start({"SHUTDOWN_TIMEOUT_MS": timeout})
        held_workers.occupy(cluster)
        forced_end.expect_forced_end(cluster, cluster.signal(SIGTERM), timeout / 1000)

    @check(expected="a request of which the last bytes come half a second after SIGTERM is "
                    "answered (200 or 503), though no task is left; then exit 0",
           likely="when no task is left all connections are cut, those with a request under way, "
                  "too", hint="idle connections may be closed at once; a request that has begun is "
                              "waited for, up to the timeout", needs=(SHUTS,), seconds=1)
    def test_request_under_way_is_answered(self, fixture: Fixture) -> None:
        """A request that is under way at SIGTERM is answered, and costs no exit code"""
        cluster = fixture.start()
        connection = cluster.client.connect()
        half = connection.send("/stats", held_back=2)
        time.sleep(READ_WITHIN)
        cluster.signal(SIGTERM)
        time.sleep(REST_AFTER)
        connection.more(b"\r\n")
        answer = half.wait(3)
        if answer.status not in (200, 503):
            raise CheckFailed(f"{answer}, {REST_AFTER:.1f} s after SIGTERM; its first bytes came "
                              "before it")
        cluster.expect_exit(0, answer.ended, 2.0)


def begin(cluster: Cluster, ctrl_c: bool = False) -> float:
    """SIGTERM to the master, or Ctrl+C: wait until it refuses new tasks; returns when it was sent.

    Ctrl+C is SIGINT to the whole process group.
    """
    signalled = cluster.signal_group(SIGINT) if ctrl_c else cluster.signal(SIGTERM)
    expect_new_tasks_refused(cluster, signalled)
    return signalled


def expect_new_tasks_refused(cluster: Cluster, signalled: float) -> None:
    """New tasks get 503; one that straddles the signal may still be accepted."""
    while (answer := tasks.post(cluster, "fibonacci", 1)).status == 202:
        if answer.started > signalled + 0.3 + cluster.meter.allowance(signalled, answer.ended):
            raise CheckFailed(f"{answer}, {answer.started - signalled:.2f} s after SIGTERM",
                              expected="503 for new tasks")
        time.sleep(0.02)
    if answer.outcome != "answer" or answer.status != 503:
        raise CheckFailed(f"a new task after SIGTERM: {answer}", expected="503")
    expect_form(answer, identified=False)


def expect_finished(cluster: Cluster, fixture: Fixture, names: Sequence[str], signalled: float,
                    within: float, explained: bool = False) -> None:
    """The master ends in time with exit code 0, has logged each of these tasks, and leaves nothing.

    `explained`: the check itself knows a likelier cause of another exit code.
    """
    since = time.monotonic()
    if cluster.wait_exit(within * 1.5 + 3) == 1:
        expect_logged(cluster, names, signalled)  # forgotten tasks are the cause of the exit code
    cluster.expect_exit(0, since, within, explained=explained)
    expect_logged(cluster, names, signalled)
    cluster.expect_nothing_left(signalled, fixture.figure("SHUTDOWN_TIMEOUT_MS"))


def expect_logged(cluster: Cluster, names: Sequence[str], since: float) -> None:
    """Each of these tasks is in the log after the moment."""
    cluster.output()
    later = "\n".join(line.text for line in cluster.lines if line.t >= since)
    missing = [name for name in names if name not in later]
    if missing:
        raise CheckFailed(f"{len(missing)} tasks that were accepted before SIGTERM are not in the "
                          f"log after it, the first is {missing[0]}" + cluster.said(),
                          expected="each task that is finished during the end is logged with its "
                                   "id")


def expect_lost_task_is_exit_1(cluster: Cluster) -> None:
    """With MAX_ATTEMPTS=1 the task of a worker that is killed during the end is lost."""
    held_workers.occupy(cluster)
    begin(cluster)
    cluster.signal_worker(1, SIGKILL)
    held_workers.release(cluster, [2, 3, 4])
    cluster.expect_exit(1, time.monotonic(), 3.0)


def expect_cut_at_second_signal(cluster: Cluster) -> None:
    """Tasks are at work, and none of them ends: a second SIGTERM ends the cluster at once."""
    held_workers.occupy(cluster, 1)
    begin(cluster)
    forced = cluster.signal(SIGTERM)
    cluster.expect_exit(1, forced, 1.5)
    cluster.expect_nothing_left(forced, 1.5)
