"""Exercise 5, worker pool with backpressure: one class an item of the checklist.

One method is one check. Some classes take checks from a class of harness/checks/: those come first.
"""
from __future__ import annotations

import uuid
from signal import SIGCONT, SIGKILL

from harness.checks import memory
from harness.checks.common_ground.http import HttpChecks, expect_error
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks
from harness.checks.common_ground.start import StartChecks
from harness.checks.tasks import (
    held_workers, pool_stats, pool_workers, result_limit, task_kills, task_results, task_status,
    tasks,
)
from harness.checks.tasks.backpressure import QUEUE, REQUEUES, WORKERS, QueueLimitChecks
from harness.checks.tasks.pool_common_ground import PoolChecks
from harness.checks.tasks.pool_end import PoolEndChecks
from harness.checks.tasks.task_types import TaskTypeChecks
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check
from harness.judging.verdict import Inconclusive

EXERCISE = Exercise(
    number=5,
    name="worker pool",
    folder="exercises/ex5_worker_pool",
    start_first="open exercises/ex5_worker_pool/main.cpp at the first step that is still to do, "
                "and go on in order to step 4, when a task that is submitted is completed. Nothing "
                "else can be tried before that works.",
    endpoints="GET /|POST /task|GET /stats",
    master_serves=True,
    scaled={"SHUTDOWN_TIMEOUT_MS": 5000},
    real={"SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("MAX_QUEUE", "MAX_ATTEMPTS", "RESULT_LIMIT"),
)
GATE = ("test_a_task_is_completed",)


class TestItem1Waiting:
    """Tasks wait when all workers are busy"""

    item = 1
    needs = GATE

    @check(expected="a ready line with workers=4; 202 to POST /task, with a UUID and where to ask; "
                    "then status completed, with a result",
           likely="the task is not handed to a worker, or the worker's result does not find its "
                  "way back to the task",
           hint="follow one task: queue, assignment, message to the worker, message back, result",
           seconds=0.1)
    def test_a_task_is_completed(self, fixture: Fixture) -> None:
        """A task is accepted, computed by a worker, and completed"""
        cluster = fixture.start()
        pool_workers.expect_announced(cluster, WORKERS)
        name = tasks.submit(cluster, "fibonacci", 10)
        tasks.await_status(cluster, name, "completed", "fibonacci of 10", 2.0)
        pool_workers.expect_child_processes(cluster)

    @check(expected="with all four workers stopped, four tasks are processing, one on each, and "
                    "just those after them wait",
           likely="tasks wait although a worker is free, since nobody hands out the next one when "
                  "a result comes; or a worker is given a second task while it has one, or those "
                  "at work count as waiting",
           hint="a worker is free or has one task; only when none is free a task stays in the "
                "queue", seconds=0.7)
    def test_tasks_wait_only_when_all_are_busy(self, fixture: Fixture) -> None:
        """Four tasks are at work, one on each worker; only those after them wait"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, 3)
        pool_stats.expect_available(cluster, 0, "with four tasks at work")
        held_workers.expect_one_on_each(cluster, at_work)
        task_status.expect_queued(cluster, waiting)
        held_workers.finish(cluster, [*at_work, *waiting])
        pool_stats.expect_available(cluster, WORKERS, "when all is done")

    @check(expected="with three workers stopped and busy, ten more tasks are done one after "
                    "another by the fourth",
           likely="tasks are dealt out to the workers beforehand, so that some wait for a worker "
                  "that is busy while another is free",
           hint="one queue for all; a worker gets its next task when it has finished the last",
           seconds=0.2)
    def test_a_free_worker_takes_the_next_task(self, fixture: Fixture) -> None:
        """No task waits for a busy worker while another is free"""
        cluster = fixture.start()
        at_work, _ = held_workers.occupy(cluster)
        held_workers.free(cluster, 4)
        more = tasks.submit_all(cluster, 10)
        done = tasks.await_completed(cluster, more, "ten tasks with worker 4 free")
        held_workers.expect_all_done_by(4, done)
        held_workers.finish(cluster, at_work, [1, 2, 3])

    @check(expected="`perWorker` names each worker's pid, and who is busy with which task; the "
                    "counts follow what happens",
           likely="numbers are kept in several places and drift apart",
           hint="count where the state changes, under the same lock", seconds=0.2)
    def test_statistics_tell_who_does_what(self, fixture: Fixture) -> None:
        """`/stats` tells who does what"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, 2)
        pool_stats.expect_all_busy(cluster, at_work, QUEUE, submitted=6)
        held_workers.finish(cluster, [*at_work, *waiting])
        pool_stats.expect_all_idle(cluster, completed=6)

    @check(expected="a worker that dies while it has nothing to do is replaced within 1 s, and no "
                    "task is touched",
           likely="the death of a worker always requeues something, or the dead one is still given "
                  "a task, or its counts start anew",
           hint="the seat of a dead worker is empty until its successor is ready", seconds=0.6)
    def test_death_of_an_idle_worker_touches_no_task(self, fixture: Fixture) -> None:
        """A worker that dies idle is replaced, and no task is touched"""
        cluster = fixture.start()
        tasks.await_completed(cluster, tasks.submit_all(cluster, 4))
        killed = pool_workers.kill_busiest(cluster)
        more = tasks.submit_all(cluster, 12)
        pool_workers.await_successor(cluster, killed)
        tasks.await_completed(cluster, more)
        pool_workers.expect_count_goes_on(cluster, killed, 16)


class TestItem2Order:
    """First in, first out"""

    item = 2
    needs = GATE

    @check(expected="twelve waiting tasks are started in the order in which they were accepted "
                    "(startedAt), by the one worker that is awake",
           likely="the queue is a stack, or a table without an order",
           hint="in at the back, out at the front", seconds=0.3)
    def test_first_in_first_out(self, fixture: Fixture) -> None:
        """One worker takes waiting tasks in the order in which they came"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, 12)
        done = held_workers.finish(cluster, waiting, [3])
        task_status.expect_order(done, "with one worker awake")
        held_workers.expect_all_done_by(3, done)
        held_workers.finish(cluster, at_work)

    @check(expected="eighty tasks under way on four workers are started in the order in which they "
                    "were accepted",
           likely="a worker that becomes free is given another task than the one that has waited "
                  "longest",
           hint="take from the front of the queue and note startedAt under one lock", seconds=0.5)
    def test_order_holds_with_all_workers(self, fixture: Fixture) -> None:
        """All workers together start tasks in the order in which they came"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        at_work, waiting = held_workers.occupy(cluster, 80)
        done = held_workers.finish(cluster, [*at_work, *waiting])
        task_status.expect_order(done, "with four workers")

    @check(expected="the task of a worker that is killed is started again before all that wait, "
                    "with attempts 2; the others keep their order",
           likely="it is put at the back of the queue, or is lost, or is not counted as a second "
                  "attempt, or the dead worker's seat stays busy",
           hint="a dead worker's task goes to the front of the queue, and its next start counts as "
                "another attempt", seconds=0.3)
    def test_killed_workers_task_goes_first(self, fixture: Fixture) -> None:
        """The task of a killed worker goes first"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, 6)
        task_kills.kill_and_expect_first(cluster, 2, at_work, waiting)
        held_workers.finish(cluster, at_work, [1, 3, 4])

    @check(expected="four workers that die at once: their four tasks are all started again before "
                    "those that wait",
           likely="one SIGCHLD is taken for one death, or the tasks of those that died later go to "
                  "the back",
           hint="reap until no child is left to reap; each dead worker's task goes to the front",
           needs=(REQUEUES,), seconds=0.6)
    def test_all_workers_die_at_once(self, fixture: Fixture) -> None:
        """When all die at once, all their tasks go first"""
        if not any(task_kills.kill_all_at_once(fixture.start()) for _ in range(3)):
            raise Inconclusive("three times the workers died so slowly, one after another, that a "
                               "successor was at work before the last was dead")


class TestItem3Followed:
    """A task can be followed by its id"""

    item = 3
    needs = GATE

    @check(expected="queued → processing → completed; each with what is known by then, and times "
                    "that are in order",
           likely="the state is only changed when the result is there, or a time is missing or in "
                  "another unit",
           hint="change the state where the thing happens: at submission, at assignment, at the "
                "result", seconds=0.2)
    def test_queued_processing_completed(self, fixture: Fixture) -> None:
        """queued → processing → completed"""
        cluster = fixture.start()
        at_work, (name,) = held_workers.occupy(cluster, 1)
        seen = held_workers.follow(cluster, name)
        task_status.expect_followed(seen)
        for body in tasks.await_completed(cluster, [*at_work, name]):
            task_status.expect_times(body)

    @check(expected="a task whose worker is killed three times is failed, with attempts 3 and the "
                    "reason; with MAX_ATTEMPTS=1 after the first time; the next task is done as "
                    "usual",
           likely="a task that kills its workers goes round for ever, or attempts are not counted, "
                  "or the error has no text",
           hint="count attempts when a task is started; when its worker dies, look whether it may "
                "have another", needs=(REQUEUES,), seconds=3.5)
    def test_three_deaths_are_a_failure(self, fixture: Fixture) -> None:
        """After three killed workers the task is failed"""
        for most, given in ((3, None), (1, 1)):
            cluster = fixture.start({"WORKERS": 1, "RESULT_LIMIT": 1, "MAX_ATTEMPTS": given})
            name = tasks.submit(cluster, *tasks.ENDLESS)
            task_kills.kill_until_failed(cluster, name, most)
            task_kills.expect_next_task_as_usual(cluster, name, most)

    @check(expected="404 with an error for ids that were never given",
           likely="an unknown id is answered with 200 and an empty task",
           hint="look the id up; what is not there is 404", seconds=0.1)
    def test_unknown_ids_are_404(self, fixture: Fixture) -> None:
        """An unknown id is 404"""
        cluster = fixture.start()
        name = tasks.submit(cluster, "fibonacci", 1)
        for other in (str(uuid.uuid4()), name[:-1], name + "0", "0", "1", "x" * 300):
            expect_error(cluster.client.get(f"/task/{other}"), 404, identified=False)

    @check(expected="with RESULT_LIMIT=10 the last ten finished tasks can be asked for, older ones "
                    "are 404; those that wait are never forgotten; the master does not grow with "
                    "every 1,500 tasks more",
           likely="finished tasks, or something of them, are kept for ever",
           hint="remember in which order tasks were finished, and forget the oldest", seconds=3)
    def test_old_results_are_forgotten(self, fixture: Fixture) -> None:
        """The last RESULT_LIMIT results are kept, older ones are forgotten"""
        cluster = fixture.start({"RESULT_LIMIT": 10, "WORKERS": 1, "MAX_QUEUE": 64})
        old = tasks.submit_all(cluster, 15)
        result_limit.expect_kept(cluster, old, 10, done=15)
        more = result_limit.submit_waiting(cluster, 12)
        result_limit.expect_kept(cluster, old, 0, done=27)
        result_limit.expect_kept(cluster, more, 10, done=27)
        memory.expect_rest([cluster.pid], lambda _: result_limit.complete_many(cluster, 1500), 2,
                           "1,500 tasks")


class TestItem4Backpressure(PoolEndChecks, QueueLimitChecks):
    """Backpressure"""

    item = 4
    needs = GATE


class TestItem5Types(TaskTypeChecks):
    """All task types work"""

    item = 5
    needs = GATE

    @check(expected="a task whose worker is killed is finished by another process, with the right "
                    "result and attempts 2", likely="the task is lost with its worker",
           hint="when a worker dies, look which task it had", needs=(REQUEUES,), seconds=0.4)
    def test_killed_workers_task_is_done_by_another(self, fixture: Fixture) -> None:
        """The task of a killed worker is done by another"""
        cluster = fixture.start()
        at_work, _ = held_workers.occupy(cluster)
        name = held_workers.task_of(cluster, 3, at_work)
        cluster.signal_worker(1, SIGCONT)
        cluster.signal_worker(3, SIGKILL)
        task_results.expect_result(task_kills.expect_second_attempt(cluster, name))
        held_workers.finish(cluster, at_work)

    @check(expected="of 2,000 small tasks, while workers are killed at random, each accepted one "
                    "ends just once: completed with the right result, or failed after three deaths",
           likely="a task is lost or done twice when its worker dies just as it answers, or "
                  "another's result is taken for it",
           hint="read all that a dead worker had sent before its task is requeued; a result bears "
                "its task's id", needs=(REQUEUES,), seconds=7, heavy=True)
    def test_random_kills(self, fixture: Fixture) -> None:
        """2,000 tasks under random kills: each ends once, with the right result"""
        cluster = fixture.start({"MAX_QUEUE": 64})
        sent = task_kills.under_kills(cluster, 2000)
        task_kills.expect_each_ends_once(cluster, sent)


class TestCommonGround(PoolChecks, StartChecks, HttpChecks, LoadChecks, ProcessChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("MAX_QUEUE", "0"), ("MAX_ATTEMPTS", "1000001"), ("RESULT_LIMIT", ""),
                   ("MAX_QUEUE", "20.0"))
    own_edges: tuple[dict[str, int], ...] = (
        {"MAX_QUEUE": 1, "MAX_ATTEMPTS": 1, "RESULT_LIMIT": 1},
        {"MAX_QUEUE": 1_000_000, "MAX_ATTEMPTS": 1_000_000, "RESULT_LIMIT": 1_000_000,
         "WORKERS": 64})
