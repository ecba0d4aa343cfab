"""Exercise 5, worker pool with backpressure: one class an item of the checklist, one method a check."""
from __future__ import annotations

import time
import uuid
from signal import SIGCONT, SIGINT, SIGKILL, SIGTERM

from harness.checks import forced_end, memory, task_kills, task_results, tasks
from harness.checks.common_ground.http import HttpChecks, expect_error
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks
from harness.checks.common_ground.start import StartChecks
from harness.clients import worker_search
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

EXERCISE = Exercise(
    number=5,
    name="worker pool",
    folder="exercises/ex5_worker_pool",
    start_first="open exercises/ex5_worker_pool/main.cpp at the first step that is still to do, and go on to step 9 and 11, until a task that is submitted is "
                "completed. Nothing else can be tried before that works.",
    endpoints="GET /|POST /task|GET /stats",
    master_serves=True,
    scaled={"SHUTDOWN_TIMEOUT_MS": 5000},
    real={"SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("MAX_QUEUE", "MAX_ATTEMPTS", "RESULT_LIMIT"),
)
GATE = ("test_a_task_is_completed",)
REQUEUES = "test_killed_workers_task_goes_first"
SHUTS = "test_sigterm_finishes_what_was_accepted"
WORKERS, QUEUE = 4, 20


class TestItem1Waiting:
    """Tasks wait when all workers are busy"""

    item = 1
    needs = GATE

    @check(expected="a ready line with workers=4; 202 to POST /task, with a UUID and where to ask; then status completed, with a result",
           likely="the task is not handed to a worker, or the worker's result does not find its way back to the task",
           hint="follow one task: queue, assignment, message to the worker, message back, result", seconds=0.1)
    def test_a_task_is_completed(self, fixture: Fixture) -> None:
        """A task is accepted, computed by a worker, and completed"""
        cluster = fixture.start()
        if cluster.workers != WORKERS:
            raise CheckFailed(f"the ready line says workers={cluster.workers}", expected=f"workers={WORKERS}")
        name = tasks.submit(cluster, "fibonacci", 10)
        tasks.await_status(cluster, name, "completed", "fibonacci of 10", 2.0)
        if not processes.children(cluster.pid):
            raise CheckFailed("the master has no child process", expected="the workers compute, the master serves")

    @check(expected="with all four workers stopped, four tasks are processing, one on each, and just those after them wait",
           likely="tasks wait although a worker is free, since nobody hands out the next one when a result comes; or a worker is given a second "
                  "task while it has one, or those at work count as waiting",
           hint="a worker is free or has one task; only when none is free a task stays in the queue", seconds=0.7)
    def test_tasks_wait_only_when_all_are_busy(self, fixture: Fixture) -> None:
        """Four tasks are at work, one on each worker; only those after them wait"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, 3)
        tasks.expect_numbers(cluster, "workers", "with four tasks at work", busy=WORKERS, available=0)
        slots = tasks.with_worker(cluster, at_work)
        if sorted(slots) != [1, 2, 3, 4]:
            raise CheckFailed(f"(worker: task) {slots}", expected="one task on each worker")
        for name in waiting:
            if (body := tasks.task(cluster, name))["status"] != "queued":
                raise CheckFailed(f"all workers have a task, but task {name} is {body['status']}", expected="queued")
        tasks.release(cluster)
        tasks.await_completed(cluster, [*at_work, *waiting])
        tasks.expect_numbers(cluster, "workers", "when all is done", busy=0, available=WORKERS)

    @check(expected="with three workers stopped and busy, ten more tasks are done one after another by the fourth",
           likely="tasks are dealt out to the workers beforehand, so that some wait for a worker that is busy while another is free",
           hint="one queue for all; a worker gets its next task when it has finished the last", seconds=0.2)
    def test_a_free_worker_takes_the_next_task(self, fixture: Fixture) -> None:
        """No task waits for a busy worker while another is free"""
        cluster = fixture.start()
        at_work, _ = tasks.occupy(cluster)
        tasks.release(cluster, [4])
        tasks.await_stats(cluster, lambda body: body["workers"]["busy"] == WORKERS - 1, "with worker 4 awake its task should end", tasks.QUIET)
        more = tasks.submit_all(cluster, 10)
        others = {body["worker"] for body in tasks.await_completed(cluster, more, "ten tasks with worker 4 free")} - {4}
        if others:
            raise CheckFailed(f"the workers {sorted(others)} have completed tasks while they were stopped", expected="worker 4 has done them")
        tasks.release(cluster, [1, 2, 3])
        tasks.await_completed(cluster, at_work)

    @check(expected="`perWorker` names each worker's pid, and who is busy with which task; the counts follow what happens",
           likely="numbers are kept in several places and drift apart", hint="count where the state changes, under the same lock", seconds=0.2)
    def test_statistics_tell_who_does_what(self, fixture: Fixture) -> None:
        """`/stats` tells who does what"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, 2)
        body = tasks.stats(cluster)
        tasks.expect_no_contradiction(cluster, body)
        children = set(processes.children(cluster.pid))
        wrong = [row for row in body["perWorker"] if row.get("pid") not in children or not row["busy"] or row.get("taskId") not in at_work]
        if wrong or body["queue"]["max"] != QUEUE:
            raise CheckFailed(f"perWorker has {wrong}, queue is {body['queue']}; the master's children are {sorted(children)}, the tasks {at_work}",
                              expected=f"the workers' pids and tasks, and max {QUEUE}")
        tasks.expect_numbers(cluster, "tasks", "with six tasks submitted", submitted=6, completed=0, failed=0, rejected=0, requeued=0)
        tasks.release(cluster)
        tasks.await_completed(cluster, [*at_work, *waiting])
        body = tasks.expect_numbers(cluster, "tasks", "when six tasks are done", submitted=6, completed=6, failed=0)
        tasks.expect_no_contradiction(cluster, body)
        each = [row.get("completed") for row in body["perWorker"]]
        if sum(count for count in each if tasks.whole(count)) != 6 or any(row.get("taskId") for row in body["perWorker"]):
            raise CheckFailed(f"perWorker is {body['perWorker']}", expected="`completed` of all workers is 6 in all, no `taskId` any more")

    @check(expected="a worker that dies while it has nothing to do is replaced within 1 s, and no task is touched",
           likely="the death of a worker always requeues something, or the dead one is still given a task, or its counts start anew",
           hint="the seat of a dead worker is empty until its successor is ready", seconds=0.6)
    def test_death_of_an_idle_worker_touches_no_task(self, fixture: Fixture) -> None:
        """A worker that dies idle is replaced, and no task is touched"""
        cluster = fixture.start()
        done = tasks.submit_all(cluster, 4)
        tasks.await_completed(cluster, done)
        workers = worker_search.find_workers(cluster)
        victim = max(workers, key=lambda slot: tasks.completed_by(cluster, slot))
        before = tasks.completed_by(cluster, victim)
        killed = cluster.signal_worker(victim, SIGKILL)
        processes.await_reaped(workers[victim])
        more = tasks.submit_all(cluster, 12)
        tasks.await_successor(cluster, victim, workers[victim], killed)
        tasks.await_completed(cluster, more)
        each = {slot: tasks.completed_by(cluster, slot) for slot in workers}
        if sum(each.values()) != 16:
            raise CheckFailed(f"`completed` of worker {victim} was {before} before its death; when 16 tasks are done it is (slot: number) {each}",
                              expected="it is the slot's, and goes on: 16 in all")
        tasks.expect_numbers(cluster, "tasks", "after the death of an idle worker", submitted=16, completed=16, failed=0)
        tasks.expect_numbers(cluster, "workers", "when its successor is ready", available=WORKERS)


class TestItem2Order:
    """First in, first out"""

    item = 2
    needs = GATE

    @check(expected="twelve waiting tasks are started in the order in which they were accepted (startedAt), by the one worker that is awake",
           likely="the queue is a stack, or a table without an order", hint="in at the back, out at the front", seconds=0.3)
    def test_first_in_first_out(self, fixture: Fixture) -> None:
        """One worker takes waiting tasks in the order in which they came"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, 12)
        tasks.release(cluster, [3])
        done = tasks.await_completed(cluster, waiting)
        tasks.expect_order(done, "with one worker awake")
        others = {body["worker"] for body in done} - {3}
        if others:
            raise CheckFailed(f"the workers {sorted(others)} have completed tasks while they were stopped", expected="worker 3 has done them")
        tasks.release(cluster)
        tasks.await_completed(cluster, at_work)

    @check(expected="eighty tasks under way on four workers are started in the order in which they were accepted",
           likely="a worker that becomes free is given another task than the one that has waited longest",
           hint="take from the front of the queue and note startedAt under one lock", seconds=0.5)
    def test_order_holds_with_all_workers(self, fixture: Fixture) -> None:
        """All workers together start tasks in the order in which they came"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        at_work, waiting = tasks.occupy(cluster, 80)
        tasks.release(cluster)
        tasks.expect_order(tasks.await_completed(cluster, [*at_work, *waiting]), "with four workers")

    @check(expected="the task of a worker that is killed is started again before all that wait, with attempts 2; the others keep their order",
           likely="it is put at the back of the queue, or is lost, or is not counted as a second attempt",
           hint="a dead worker's task goes to the front of the queue, and its next start counts as another attempt", seconds=0.3)
    def test_killed_workers_task_goes_first(self, fixture: Fixture) -> None:
        """The task of a killed worker goes first"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, 6)
        name = tasks.with_worker(cluster, at_work)[2]
        killed = time.time()
        cluster.signal_worker(2, SIGKILL)
        first, *later = tasks.await_completed(cluster, [name, *waiting], "the killed worker's task and those that wait, with one worker awake")
        tasks.expect_order([first, *later], "after a kill")
        tasks.expect_started_after(killed, [first])
        if first["finishedAt"] > min(body["finishedAt"] for body in later):
            raise CheckFailed(f"the killed worker's task was finished {first['finishedAt'] - later[0]['finishedAt']:.1f} ms after the first of "
                              "those that had waited, by the only worker that is awake", expected="it goes first")
        if first["attempts"] != 2 or any(body["attempts"] != 1 for body in later):
            raise CheckFailed(f"attempts: {first['attempts']} of the killed worker's task, {[body['attempts'] for body in later]} of the others",
                              expected="2, and 1 of each other")
        tasks.expect_numbers(cluster, "tasks", "after one kill", requeued=1, failed=0)
        tasks.release(cluster, [1, 3, 4])
        tasks.await_completed(cluster, at_work)

    @check(expected="four workers that die at once: their four tasks are all started again before those that wait",
           likely="one SIGCHLD is taken for one death, or the tasks of those that died later go to the back",
           hint="reap until no child is left to reap; each dead worker's task goes to the front", needs=(REQUEUES,), seconds=0.6)
    def test_all_workers_die_at_once(self, fixture: Fixture) -> None:
        """When all die at once, all their tasks go first"""
        for _ in range(3):
            if task_kills.kill_all_at_once(fixture.start()):
                return
        raise Inconclusive("three times the workers died so slowly, one after another, that a successor was at work before the last was dead")


class TestItem3Followed:
    """A task can be followed by its id"""

    item = 3
    needs = GATE

    @check(expected="queued → processing → completed; each with what is known by then, and times that are in order",
           likely="the state is only changed when the result is there, or a time is missing or in another unit",
           hint="change the state where the thing happens: at submission, at assignment, at the result", seconds=0.2)
    def test_queued_processing_completed(self, fixture: Fixture) -> None:
        """queued → processing → completed"""
        cluster = fixture.start()
        at_work, (name,) = tasks.occupy(cluster, 1)
        seen = [tasks.task(cluster, name)]
        tasks.release(cluster, [1])
        tasks.await_stats(cluster, lambda body: body["queue"]["size"] == 0, "with worker 1 awake the queue should be empty", tasks.QUIET)
        seen.append(tasks.task(cluster, name))
        tasks.release(cluster)
        seen.append(tasks.await_completed(cluster, [name])[0])
        if [body["status"] for body in seen] not in (["queued", "processing", "completed"], ["queued", "completed", "completed"]):
            raise CheckFailed(f"seen: {[body['status'] for body in seen]}", expected="queued, processing, completed")
        for body in tasks.await_completed(cluster, [*at_work, name]):
            tasks.expect_times(body)
        if any(body["queuedAt"] != seen[0]["queuedAt"] or body["type"] != "fibonacci" for body in seen):
            raise CheckFailed(f"one task, three times: {seen}", expected="the same queuedAt, type and n")

    @check(expected="a task whose worker is killed three times is failed, with attempts 3 and the reason; with MAX_ATTEMPTS=1 after the "
                    "first time; the next task is done as usual",
           likely="a task that kills its workers goes round for ever, or attempts are not counted, or the error has no text",
           hint="count attempts when a task is started; when its worker dies, look whether it may have another", needs=(REQUEUES,), seconds=3.5)
    def test_three_deaths_are_a_failure(self, fixture: Fixture) -> None:
        """After three killed workers the task is failed"""
        for most in (3, 1):
            cluster = fixture.start({"WORKERS": 1, "RESULT_LIMIT": 1} | ({"MAX_ATTEMPTS": 1} if most == 1 else {}))
            name = tasks.submit(cluster, *tasks.ENDLESS)
            for attempt in range(1, most + 1):
                task_kills.kill_at_work(cluster, name, attempt)
            body = task_kills.await_failed(cluster, name, most)
            if body["attempts"] != most or body.get("result") is not None:
                raise CheckFailed(f"after {most} deaths: {body}", expected=f"attempts {most}, no result")
            after = tasks.submit(cluster, "fibonacci", 12)
            tasks.await_completed(cluster, [after], "a task after the failed one")
            tasks.expect_numbers(cluster, "tasks", "then", failed=1, completed=1, requeued=most - 1)
            if (answer := cluster.client.get(f"/task/{name}")).status != 404:
                raise CheckFailed(f"{answer}, although another task has been finished since, with RESULT_LIMIT=1", expected="404",
                                  likely="finished tasks are never forgotten, or failed ones are not", hint="a failed task is a finished one, too")

    @check(expected="404 with an error for ids that were never given",
           likely="an unknown id is answered with 200 and an empty task", hint="look the id up; what is not there is 404", seconds=0.1)
    def test_unknown_ids_are_404(self, fixture: Fixture) -> None:
        """An unknown id is 404"""
        cluster = fixture.start()
        name = tasks.submit(cluster, "fibonacci", 1)
        for other in (str(uuid.uuid4()), name[:-1], name + "0", "0", "1", "x" * 300):
            expect_error(cluster.client.get(f"/task/{other}"), 404, identified=False)

    @check(expected="with RESULT_LIMIT=10 the last ten finished tasks can be asked for, older ones are 404; those that wait are never forgotten; "
                    "the master does not grow with every 1,500 tasks more",
           likely="finished tasks, or something of them, are kept for ever", hint="remember in which order tasks were finished, and forget the oldest", seconds=3)
    def test_old_results_are_forgotten(self, fixture: Fixture) -> None:
        """The last RESULT_LIMIT results are kept, older ones are forgotten"""
        cluster = fixture.start({"RESULT_LIMIT": 10, "WORKERS": 1, "MAX_QUEUE": 64})
        old = tasks.submit_all(cluster, 15)
        tasks.expect_numbers(cluster, "tasks", "with 15 tasks done", completed=15)
        tasks.expect_shown(cluster, old, 10)
        tasks.hold(cluster)
        more = tasks.submit_all(cluster, 12)
        tasks.release(cluster)
        tasks.expect_numbers(cluster, "tasks", "with 27 tasks done", completed=27)
        tasks.expect_shown(cluster, old, 0)
        tasks.expect_shown(cluster, more, 10)
        memory.expect_rest([cluster.pid], lambda _: tasks.many_tasks(cluster, 1500), 2, "1,500 tasks")


class TestItem4Backpressure:
    """Backpressure"""

    item = 4
    needs = GATE

    @check(expected="with all workers stopped 4 + 20 tasks are accepted and the next one gets 429 with Retry-After; nothing of it is stored; "
                    "when the workers go on, all 24 are completed",
           likely="the limit is off by one, or tasks at work are counted as waiting, or the queue has no limit",
           hint="refuse when MAX_QUEUE tasks wait; those being processed do not count", seconds=1.5)
    def test_queue_has_a_limit(self, fixture: Fixture) -> None:
        """4 + 20 tasks are accepted, the next one gets 429"""
        for limit in (QUEUE, 1):
            cluster = fixture.start({"MAX_QUEUE": limit if limit != QUEUE else None})
            at_work, waiting = tasks.occupy(cluster, limit)
            for _ in range(3):
                tasks.expect_full(cluster)
            tasks.expect_numbers(cluster, "tasks", "after three refusals", submitted=WORKERS + limit, rejected=3)
            tasks.expect_numbers(cluster, "queue", "after three refusals", size=limit)
            tasks.release(cluster)
            tasks.await_completed(cluster, [*at_work, *waiting])
            tasks.expect_numbers(cluster, "tasks", "in the end", submitted=WORKERS + limit, completed=WORKERS + limit)

    @check(expected="after one task is done there is room for just one more",
           likely="room is only made when the queue is empty, or is never made again", hint="the limit looks at the queue as it is now", seconds=0.4)
    def test_there_is_room_again(self, fixture: Fixture) -> None:
        """When a task is done, there is room for another"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, QUEUE)
        tasks.expect_full(cluster)
        cluster.signal_worker(1, SIGCONT)
        tasks.await_stats(cluster, lambda body: body["queue"]["size"] < QUEUE, "with one worker awake the queue should shrink", tasks.QUIET)
        more = tasks.submit(cluster, "fibonacci", 2)
        tasks.release(cluster)
        tasks.await_completed(cluster, [*at_work, *waiting, more])

    @check(expected="of 60 tasks that come at the same moment just 20 are accepted, the others get 429; the 24 are completed; three times",
           likely="the look at the queue and the push are two steps, and others come in between",
           hint="look and push under one lock, or in one thread", seconds=1)
    def test_many_at_once(self, fixture: Fixture) -> None:
        """Of 60 at once just as many are accepted as there is room for"""
        cluster = fixture.start()
        for _ in range(3):
            at_work, _ = tasks.occupy(cluster)
            answers = tasks.post_at_once(cluster, 60, "fibonacci", 5)
            strange = [answer for answer in answers if answer.status not in (202, 429)]
            names = [tasks.accepted(answer) for answer in answers if answer.status == 202]
            if strange or len(names) != QUEUE or len(set(names)) != len(names):
                off_by_one = abs(len(names) - QUEUE) == 1 and not strange
                raise CheckFailed(f"{len(names)} of 60 were accepted" + (f"; {strange[0]}" if strange else ""), expected=f"{QUEUE}, and 429 to the others",
                                  likely="the limit is off by one, or the look at the queue and the push are two steps" if off_by_one else "")
            tasks.release(cluster)
            tasks.await_completed(cluster, [*at_work, *names])

    @check(expected="with a full queue, the task of a killed worker still goes back to it; all 24 are completed, none is lost",
           likely="the requeue is refused by the limit, and the task is lost", hint="an accepted task is never refused: the limit is for new ones",
           needs=(REQUEUES,), seconds=0.5)
    def test_killed_task_returns_to_a_full_queue(self, fixture: Fixture) -> None:
        """A killed worker's task returns even to a full queue"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, QUEUE)
        name = tasks.with_worker(cluster, at_work)[1]
        cluster.signal_worker(1, SIGKILL)
        if tasks.await_completed(cluster, [name], "the killed worker's task")[0]["attempts"] != 2:
            raise CheckFailed(f"{tasks.task(cluster, name)}", expected="attempts 2")
        tasks.release(cluster, [2, 3, 4])
        tasks.await_completed(cluster, [*at_work, *waiting])
        tasks.expect_numbers(cluster, "tasks", "in the end", submitted=24, completed=24, failed=0, requeued=1)

    @check(expected="on SIGTERM, and on Ctrl+C (SIGINT to the whole group), new tasks get 503; those at work and those that wait are finished, and each is logged; then exit 0",
           likely="the master ends at once, or new tasks are still accepted, or waiting tasks are forgotten",
           hint="close the pool first; end the workers when nothing waits or is at work any more", seconds=0.5)
    def test_sigterm_finishes_what_was_accepted(self, fixture: Fixture) -> None:
        """On SIGTERM or Ctrl+C new tasks get 503, and accepted ones are finished"""
        for whole_group in (False, True):
            cluster = fixture.start()
            at_work, waiting = tasks.occupy(cluster, 5)
            signalled = cluster.signal_group(SIGINT) if whole_group else cluster.signal(SIGTERM)
            tasks.expect_refused(cluster, signalled)
            tasks.release(cluster)
            cluster.expect_exit(0, time.monotonic(), 2.0)
            tasks.expect_logged(cluster, [*at_work, *waiting], signalled)
            cluster.expect_nothing_left(signalled, fixture.figure("SHUTDOWN_TIMEOUT_MS"))

    @check(expected="a worker that is killed during the end is replaced as long as tasks remain: all are finished, exit 0; with MAX_ATTEMPTS=1 "
                    "its task is lost: exit 1",
           likely="no worker is started any more after SIGTERM, so that the dead one's task is never finished",
           hint="go on replacing until the pool has finished", needs=(REQUEUES, SHUTS), seconds=0.6)
    def test_worker_killed_during_the_end(self, fixture: Fixture) -> None:
        """A worker that is killed during the end is replaced as long as tasks remain"""
        cluster = fixture.start()
        at_work, waiting = tasks.occupy(cluster, 3)
        signalled = cluster.signal(SIGTERM)
        tasks.expect_refused(cluster, signalled)
        for slot in range(1, WORKERS + 1):
            cluster.signal_worker(slot, SIGKILL)
        cluster.expect_exit(0, time.monotonic(), 3.0, explained=True)
        tasks.expect_logged(cluster, [*at_work, *waiting], signalled)
        cluster.expect_nothing_left(signalled, fixture.figure("SHUTDOWN_TIMEOUT_MS"))
        cluster = fixture.start({"MAX_ATTEMPTS": 1})
        tasks.occupy(cluster)
        tasks.expect_refused(cluster, cluster.signal(SIGTERM))
        cluster.signal_worker(1, SIGKILL)
        tasks.release(cluster, [2, 3, 4])
        cluster.expect_exit(1, time.monotonic(), 3.0)

    @check(expected="tasks that are not finished at SHUTDOWN_TIMEOUT_MS are cut: exit 1, nothing left; a second SIGTERM does that at once",
           likely="the end waits for ever for a task that takes long, or cut tasks are no failure",
           hint="wait with a timeout, or until a second signal; then kill, and exit with 1", needs=(SHUTS,), seconds=3)
    def test_the_timeout_cuts(self, fixture: Fixture) -> None:
        """Tasks that outlast the timeout are cut: exit 1; a second signal cuts at once"""
        timeout = int(fixture.pace(1200, 10000))
        urged = fixture.start({"SHUTDOWN_TIMEOUT_MS": 30000})
        tasks.occupy(urged, 1)
        tasks.expect_refused(urged, urged.signal(SIGTERM))
        forced = urged.signal(SIGTERM)
        urged.expect_exit(1, forced, 1.5)
        urged.expect_nothing_left(forced, 1.5)
        patient = fixture.start({"SHUTDOWN_TIMEOUT_MS": timeout})
        tasks.await_status(patient, tasks.submit(patient, *tasks.ENDLESS), "processing", "with a free worker")
        forced_end.expect_forced_end(patient, patient.signal(SIGTERM), timeout / 1000)


class TestItem5Types:
    """All task types work"""

    item = 5
    needs = GATE

    @check(expected="fibonacci(0) = 0, fibonacci(1) = 1 … fibonacci(40) = 102334155, as numbers",
           likely="the recursion starts with 1, 1, or the result is a text, or it has only 32 bits", hint="fibonacci(0) is 0", seconds=3)
    def test_fibonacci(self, fixture: Fixture) -> None:
        """Fibonacci numbers from 0 to 40"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        further = [*range(31, 41), 47] if fixture.real_time else [34, 40]  # 47: beyond 32 bits, which takes half a minute
        task_results.expect_results(cluster, [("fibonacci", n) for n in [*range(31), *further]])

    @check(expected="0 and 1 are no primes, 2 is; 2^31-1 and 2^61-1 are; squares and products of two primes are not",
           likely="0 and 1 count as primes, or the loop ends before the square root, or overflows before it",
           hint="divide as long as d * d <= n, without computing d * d", seconds=7.5)
    def test_primes(self, fixture: Fixture) -> None:
        """Primes: edges, squares, products, large ones"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        small = [*range(32), 49, 121, 169, 961, 7919, 7919 * 7919, 99991 * 99989, 65521 * 65537]
        large = [2 ** 31 - 1, 2 ** 31, 2 ** 32 + 15, 46337 * 46349, 2 ** 53 + 5, 2147483647 * 2, 2 ** 61 - 1, 2 ** 63 - 1]
        task_results.expect_results(cluster, [("prime", n) for n in [*reversed(large), *small]])
        if fixture.real_time:
            task_results.expect_largest_prime(cluster)

    @check(expected="n hashes in all: SHA-256 of `start`, then of the last lower-case hex digest",
           likely="the raw bytes are hashed instead of the hex digits, or it is one hash too many or too few",
           hint="the first of the n hashes is that of `start`", seconds=1)
    def test_hash_chains(self, fixture: Fixture) -> None:
        """Hash chains as Python's hashlib has them"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        task_results.expect_results(cluster, [("hash", n) for n in (1, 2, 3, 10, 100, 1000, 50_000)])

    @check(expected="bodies that are no task get 400 with an error, and nothing is stored",
           likely="a missing, fractional or too large n is taken for 0 or cut off, or a bad body ends the connection or the master",
           hint="look at each of `type` and `n`: is it there, is it of the right kind, is it in the range?", seconds=0.5)
    def test_bad_input_is_refused(self, fixture: Fixture) -> None:
        """Bad input is refused with 400"""
        cluster = fixture.start()
        connection = cluster.client.connect()
        for body in BAD_BODIES:
            answer = (connection if connection.usable else cluster.client.connect()).send("/task", "POST", body, {"Content-Length": str(len(body))}).wait(5)
            if answer.status != 400:
                raise CheckFailed(f"{answer}, body of the request {body[:80]!r}", expected="400")
            expect_error(answer, 400, identified=False)
        tasks.expect_numbers(cluster, "tasks", "after bad input only", submitted=0, completed=0)
        task_results.expect_result(tasks.await_completed(cluster, [tasks.submit(cluster, "fibonacci", 9)])[0])

    @check(expected="n is shown exactly, beyond 2^53 too; 40.0 is 40; the edges of each range are accepted",
           likely="n is kept as a floating-point number", hint="read a whole number as a 64-bit integer", seconds=0.3)
    def test_numbers_are_exact(self, fixture: Fixture) -> None:
        """`n` is kept exactly; 40.0 is 40"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        tasks.hold(cluster)
        for sent, wanted in (("9223372036854775807", 2 ** 63 - 1), ("9007199254740993", 2 ** 53 + 1), ("40.0", 40), ("4e1", 40), ("0", 0)):
            answer = cluster.client.ask("/task", "POST", f'{{"type":"prime","n":{sent}}}'.encode())
            shown = tasks.task(cluster, tasks.accepted(answer))["n"]
            if shown != wanted or isinstance(shown, float) and wanted > 2 ** 53:
                raise CheckFailed(f"n was sent as {sent}, shown is {shown!r}", expected=str(wanted))
        for kind, n in (("fibonacci", 50), ("fibonacci", 0), ("hash", 1), ("hash", 10_000_000)):
            tasks.submit(cluster, kind, n)

    @check(expected="a task whose worker is killed is finished by another process, with the right result and attempts 2",
           likely="the task is lost with its worker", hint="when a worker dies, look which task it had", needs=(REQUEUES,), seconds=0.4)
    def test_killed_workers_task_is_done_by_another(self, fixture: Fixture) -> None:
        """The task of a killed worker is done by another"""
        cluster = fixture.start()
        at_work, _ = tasks.occupy(cluster)
        held = tasks.with_worker(cluster, at_work)
        if 3 not in held:
            raise CheckFailed(f"of four tasks none is with worker 3; (worker: task) {held}", expected="one task on each worker")
        name = held[3]
        cluster.signal_worker(1, SIGCONT)
        cluster.signal_worker(3, SIGKILL)
        body = tasks.await_completed(cluster, [name])[0]
        task_results.expect_result(body)
        if body["attempts"] != 2:
            raise CheckFailed(f"{body}", expected="attempts 2")
        tasks.release(cluster)
        tasks.await_completed(cluster, at_work)

    @check(expected="of 2,000 small tasks, while workers are killed at random, each accepted one ends just once: completed with the right "
                    "result, or failed after three deaths",
           likely="a task is lost or done twice when its worker dies just as it answers, or another's result is taken for it",
           hint="read all that a dead worker had sent before its task is requeued; a result bears its task's id",
           needs=(REQUEUES,), seconds=7, heavy=True)
    def test_random_kills(self, fixture: Fixture) -> None:
        """2,000 tasks under random kills: each ends once, with the right result"""
        cluster = fixture.start({"MAX_QUEUE": 64})
        sent = task_kills.under_kills(cluster, 2000)
        over = tasks.await_over(cluster, list(sent))
        for name, body in over.items():
            if (body["type"], body["n"]) != sent[name]:
                raise CheckFailed(f"{sent[name]} was submitted as {name}; shown is {body}")
            if body["status"] == "completed":
                task_results.expect_result(body)
            elif body["attempts"] != 3:
                raise CheckFailed(f"{body}", expected="failed only after three attempts")
        completed = sum(body["status"] == "completed" for body in over.values())
        tasks.expect_numbers(cluster, "tasks", "in the end", submitted=2000, completed=completed, failed=2000 - completed)


class TestCommonGround(StartChecks, HttpChecks, LoadChecks, ProcessChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("MAX_QUEUE", "0"), ("MAX_ATTEMPTS", "1000001"), ("RESULT_LIMIT", ""), ("MAX_QUEUE", "20.0"))
    own_edges: tuple[dict[str, int], ...] = ({"MAX_QUEUE": 1, "MAX_ATTEMPTS": 1, "RESULT_LIMIT": 1},
                                             {"MAX_QUEUE": 1_000_000, "MAX_ATTEMPTS": 1_000_000, "RESULT_LIMIT": 1_000_000, "WORKERS": 64})

    @check(expected="405 with Allow to GET /task and to POST /stats", likely="a path is looked up together with its method, so that a wrong method is 404",
           hint="look up the path first, then the method", seconds=0.7)
    def test_wrong_methods(self, fixture: Fixture) -> None:
        """A wrong method on a path of the pool is 405 with `Allow`"""
        cluster = fixture.start()
        for method, path, allowed in (("GET", "/task", "post"), ("DELETE", "/task", "post"), ("POST", "/stats", "get")):
            answer = cluster.client.ask(path, method, b"{}" if method == "POST" else b"")
            expect_error(answer, 405, identified=False)
            if allowed not in answer.headers.get("allow", "").lower():
                raise CheckFailed(f"{answer}, Allow: {answer.headers.get('allow')!r}", expected=f"Allow: {allowed.upper()}")

    @check(expected="after SIGKILL of the master all workers are gone within 1 s, those too that are computing",
           likely="a worker notices the death of its master only when it reads the next message",
           hint="PR_SET_PDEATHSIG: the kernel ends a worker whose parent is gone", seconds=0.3)
    def test_workers_go_with_their_master(self, fixture: Fixture) -> None:
        """Workers that compute are gone within 1 s of their master's death"""
        cluster = fixture.start()
        for name in [tasks.submit(cluster, *tasks.ENDLESS) for _ in range(2)]:
            tasks.await_status(cluster, name, "processing", "with a free worker")
        killed = cluster.signal(SIGKILL)
        cluster.expect_processes_gone(killed, 1.0)


BAD_BODIES = (b"", b"{", b"null", b"[]", b'"fibonacci"', b"{}", b'{"type":"fibonacci"}', b'{"n":1}', b'{"type":"sleep","n":1}',
              b'{"type":7,"n":1}', b'{"type":null,"n":1}', b'{"type":"Fibonacci","n":1}', b'{"type":"fibonacci","n":"1"}',
              b'{"type":"fibonacci","n":null}', b'{"type":"fibonacci","n":true}', b'{"type":"fibonacci","n":[1]}',
              b'{"type":"fibonacci","n":1.5}', b'{"type":"fibonacci","n":-1}', b'{"type":"fibonacci","n":51}',
              b'{"type":"fibonacci","n":4294967297}', b'{"type":"prime","n":-2}', b'{"type":"prime","n":9223372036854775808}',
              b'{"type":"prime","n":18446744073709551617}', b'{"type":"prime","n":1e300}', b'{"type":"hash","n":0}',
              b'{"type":"hash","n":10000001}', b'{"type":"fibonacci","n":NaN}', b'{"type":"fibonacci","n":1} x', b"\xff\xfe{}",
              b"[" * 30000)
