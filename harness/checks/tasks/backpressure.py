"""Checks of exercise 5 on the queue's limit: how many tasks may wait, and which are refused."""
from __future__ import annotations

from signal import SIGCONT, SIGKILL

from harness.checks.common_ground.http import expect_error
from harness.checks.tasks import held_workers, pool_stats, task_kills, tasks
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

WORKERS, QUEUE = 4, 20
"""The contract's, for a program that is started without settings."""
REQUEUES = "test_killed_workers_task_goes_first"
"""All other checks in which a task is requeued build on this one."""


class QueueLimitChecks:
    """Mixed into the item on backpressure, as its first checks."""

    @check(expected="with all workers stopped 4 + 20 tasks are accepted and the next one gets 429 "
                    "with Retry-After; nothing of it is stored; when the workers go on, all 24 are "
                    "completed",
           likely="the limit is off by one, or tasks at work are counted as waiting, or the queue "
                  "has no limit",
           hint="refuse when MAX_QUEUE tasks wait; those being processed do not count", seconds=1.5)
    def test_queue_has_a_limit(self, fixture: Fixture) -> None:
        """4 + 20 tasks are accepted, the next one gets 429"""
        for limit, settings in ((QUEUE, None), (1, {"MAX_QUEUE": 1})):
            cluster = fixture.start(settings)
            at_work, waiting = held_workers.occupy(cluster, limit)
            for _ in range(3):
                expect_full(cluster)
            expect_nothing_stored(cluster, limit, refused=3)
            held_workers.finish(cluster, [*at_work, *waiting])
            pool_stats.expect_numbers(cluster, "tasks", "in the end", submitted=WORKERS + limit,
                                      completed=WORKERS + limit)

    @check(expected="after one task is done there is room for just one more",
           likely="room is only made when the queue is empty, or is never made again",
           hint="the limit looks at the queue as it is now", seconds=0.4)
    def test_there_is_room_again(self, fixture: Fixture) -> None:
        """When a task is done, there is room for another"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, QUEUE)
        expect_full(cluster)
        cluster.signal_worker(1, SIGCONT)
        pool_stats.await_stats(cluster, lambda body: body["queue"]["size"] < QUEUE,
                               "with one worker awake the queue should shrink", tasks.QUIET)
        more = tasks.submit(cluster, "fibonacci", 2)
        held_workers.finish(cluster, [*at_work, *waiting, more])

    @check(expected="of 60 tasks that come at the same moment just 20 are accepted, the others get "
                    "429; the 24 are completed; three times",
           likely="the look at the queue and the push are two steps, and others come in between",
           hint="look and push under one lock, or in one thread", seconds=1)
    def test_many_at_once(self, fixture: Fixture) -> None:
        """Of 60 at once just as many are accepted as there is room for"""
        cluster = fixture.start()
        for _ in range(3):
            at_work, _ = held_workers.occupy(cluster)
            names = expect_accepted_of_many(cluster, 60, QUEUE)
            held_workers.finish(cluster, [*at_work, *names])

    @check(expected="with MAX_QUEUE=1 and four free workers, five tasks that come at the same "
                    "moment are all accepted: four are begun, and one waits; ten times",
           likely="a task that a free worker will take at once counts as one that waits, so that "
                  "it takes the place of another",
           hint="what a free worker will take does not wait: leave room for it", seconds=0.5)
    def test_free_workers_make_room(self, fixture: Fixture) -> None:
        """A task that a free worker takes takes no place in the queue"""
        cluster = fixture.start({"MAX_QUEUE": 1})
        for _ in range(10):
            pool_stats.expect_numbers(cluster, "workers", "without a task", available=WORKERS)
            answers = tasks.post_at_once(cluster, WORKERS + 1, "fibonacci", 20)
            tasks.await_completed(cluster, [tasks.accepted(answer) for answer in answers])

    @check(expected="with a full queue, the task of a killed worker still goes back to it; all 24 "
                    "are completed, none is lost",
           likely="the requeue is refused by the limit, and the task is lost",
           hint="an accepted task is never refused: the limit is for new ones", needs=(REQUEUES,),
           seconds=0.5)
    def test_killed_task_returns_to_a_full_queue(self, fixture: Fixture) -> None:
        """A killed worker's task returns even to a full queue"""
        cluster = fixture.start()
        at_work, waiting = held_workers.occupy(cluster, QUEUE)
        name = held_workers.task_of(cluster, 1, at_work)
        cluster.signal_worker(1, SIGKILL)
        task_kills.expect_second_attempt(cluster, name)
        held_workers.finish(cluster, [*at_work, *waiting], [2, 3, 4])
        pool_stats.expect_numbers(cluster, "tasks", "in the end", submitted=24, completed=24,
                                  failed=0, requeued=1)


def expect_full(cluster: Cluster) -> None:
    answer = tasks.post(cluster, "fibonacci", 1)
    later = answer.headers.get("retry-after")
    if answer.outcome != "answer" or answer.status != 429 or not (later or "").strip():
        raise CheckFailed(f"a task more: {answer}, Retry-After: {later!r}",
                          expected="429 with Retry-After")
    expect_error(answer, 429, identified=False)


def expect_nothing_stored(cluster: Cluster, limit: int, refused: int) -> None:
    """The refused tasks are counted, but neither submitted nor queued."""
    when = f"after {refused} refusals"
    pool_stats.expect_numbers(cluster, "tasks", when, submitted=WORKERS + limit, rejected=refused)
    pool_stats.expect_numbers(cluster, "queue", when, size=limit)


def expect_accepted_of_many(cluster: Cluster, count: int, room: int) -> list[str]:
    """Of so many tasks at the same moment just so many are accepted: their ids."""
    answers = tasks.post_at_once(cluster, count, "fibonacci", 5)
    strange = [answer for answer in answers if answer.status not in (202, 429)]
    names = [tasks.accepted(answer) for answer in answers if answer.status == 202]
    if strange or len(names) != room or len(set(names)) != len(names):
        off_by_one = abs(len(names) - room) == 1 and not strange
        raise CheckFailed(f"{len(names)} of {count} were accepted"
                          + (f"; {strange[0]}" if strange else ""),
                          expected=f"{room}, and 429 to the others",
                          likely="the limit is off by one, or the look at the queue and the push "
                                 "are two steps" if off_by_one else "")
    return names
