"""Steps of exercise 5 in which workers are killed while they have tasks."""
from __future__ import annotations

import random
import time
from signal import SIGKILL
from typing import Sequence

from harness.checks.tasks import held_workers, pool_stats, task_results, task_status, tasks
from harness.checks.tasks.task_status import Body
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

NOTICED = 0.05
"""Seconds within which a master knows of a death."""
MOST_KILLS = 12
"""A worker that keeps dying young is replaced with growing pauses: with many more kills no worker
would be left."""


# ----- the killed worker's task is started again


def expect_second_attempt(cluster: Cluster, name: str) -> Body:
    """The task of a killed worker is completed by another process."""
    body = tasks.await_completed(cluster, [name], "the killed worker's task")[0]
    if body["attempts"] != 2:
        raise CheckFailed(f"{body}", expected="attempts 2")
    return body


def kill_and_expect_first(cluster: Cluster, slot: int, at_work: Sequence[str],
                          waiting: Sequence[str]) -> None:
    """The task of a killed worker is started again before those that wait, which keep their order.

    The other workers are stopped: the successor alone is awake.
    """
    name = held_workers.task_of(cluster, slot, at_work)
    killed = time.time()
    cluster.signal_worker(slot, SIGKILL)
    first, *later = tasks.await_completed(
        cluster, [name, *waiting],
        "the killed worker's task and those that wait, with one worker awake")
    task_status.expect_order([first, *later], "after a kill")
    task_status.expect_started_after(killed, [first])
    if first["finishedAt"] > min(body["finishedAt"] for body in later):
        late = first["finishedAt"] - later[0]["finishedAt"]
        raise CheckFailed(f"the killed worker's task was finished {late:.1f} ms after the first of "
                          "those that had waited, by the only worker that is awake",
                          expected="it goes first")
    attempts = [body["attempts"] for body in later]
    if first["attempts"] != 2 or any(count != 1 for count in attempts):
        raise CheckFailed(f"attempts: {first['attempts']} of the killed worker's task, "
                          f"{attempts} of the others", expected="2, and 1 of each other")
    pool_stats.expect_numbers(cluster, "tasks", "after one kill", requeued=1, failed=0)


def kill_all(cluster: Cluster) -> None:
    for slot in range(1, cluster.workers + 1):
        cluster.signal_worker(slot, SIGKILL)


def kill_all_at_once(cluster: Cluster) -> bool:
    """Kill all workers, each with a task, and judge the order; False if that tells nothing.

    On a busy machine a killed worker may take so long to be gone that successors of the others
    have done everything that was given back, and take tasks that wait.
    """
    at_work, waiting = held_workers.occupy(cluster, 5)
    pids, killed = list(cluster.slots.values()), time.time()
    kill_all(cluster)
    again = tasks.await_completed(cluster, at_work)
    task_status.expect_started_after(killed, again)
    later = tasks.await_completed(cluster, waiting)
    if any(body["attempts"] != 2 for body in again):
        raise CheckFailed(f"attempts {[body['attempts'] for body in again]}",
                          expected="2 of each that was killed")
    last = max(again, key=lambda body: float(body["startedAt"]))
    gone = max(cluster.watcher.gone_at(pid) or time.monotonic() for pid in pids)
    noticed = gone - time.monotonic() + time.time() + NOTICED
    if later[0]["startedAt"] < min(last["startedAt"], noticed * 1000):
        return False
    task_status.expect_order([last, later[0]], "after four kills")
    task_status.expect_order(later, "after four kills")
    pool_stats.expect_numbers(cluster, "tasks", "after four kills", requeued=len(pids),
                              completed=len(pids) + len(waiting))
    return True


# ----- a task that kills its workers


def kill_until_failed(cluster: Cluster, name: str, most: int) -> None:
    """Kill the worker in each of `most` attempts. Then the task is failed, and /task says so."""
    for attempt in range(1, most + 1):
        kill_at_work(cluster, name, attempt)
    body = await_failed(cluster, name, most)
    if body["attempts"] != most or body.get("result") is not None:
        raise CheckFailed(f"after {most} deaths: {body}", expected=f"attempts {most}, no result")


def kill_at_work(cluster: Cluster, name: str, attempt: int) -> None:
    """Kill the only worker while it computes the task for that time."""
    within = 3.0
    began = time.monotonic()
    while True:
        body = task_status.task(cluster, name)
        status, attempts = body["status"], body["attempts"]
        if status == "processing" and attempts == attempt:
            break
        if status == "failed":
            raise CheckFailed(f"after {attempt - 1} deaths the task is failed, with attempts "
                              f"{attempts}", expected=f"processing, with attempts {attempt}",
                              likely="it has failed too early: its attempts are counted wrongly",
                              hint="it has failed when the worker of its last attempt has died")
        if overdue(began, within):
            cluster.refuse_late(within, began, f"after {attempt - 1} deaths the task is {status} "
                                               f"with attempts {attempts}, not processing with "
                                               f"{attempt}")
        time.sleep(0.01)
    worker_slots.find_workers(cluster)
    cluster.signal_worker(1, SIGKILL)


def await_failed(cluster: Cluster, name: str, most: int) -> Body:
    """Wait until the task is failed: the worker of its last allowed attempt was killed."""
    within = 2.0
    began = time.monotonic()
    while (body := task_status.task(cluster, name))["status"] != "failed":
        if body["attempts"] > most:
            raise CheckFailed(f"after {most} deaths the task is {body['status']} with attempts "
                              f"{body['attempts']}", expected="failed",
                              likely="it has one attempt too many, or goes round for ever",
                              hint="when the worker of attempt MAX_ATTEMPTS has died, there is no "
                                   "other")
        if overdue(began, within):
            cluster.refuse_late(within, began, f"after {most} deaths: the task is "
                                               f"{body['status']}, not failed")
        time.sleep(0.01)
    return body


def expect_next_task_as_usual(cluster: Cluster, failed: str, deaths: int) -> None:
    """The task after a failed one is completed; with RESULT_LIMIT=1 the failed one is forgotten."""
    after = tasks.submit(cluster, "fibonacci", 12)
    tasks.await_completed(cluster, [after], "a task after the failed one")
    pool_stats.expect_numbers(cluster, "tasks", "then", failed=1, completed=1,
                              requeued=deaths - 1)
    answer = cluster.client.get(f"/task/{failed}")
    if answer.status != 404:
        raise CheckFailed(f"{answer}, although another task has been finished since, with "
                          "RESULT_LIMIT=1", expected="404",
                          likely="finished tasks are never forgotten, or failed ones are not",
                          hint="a failed task is a finished one, too")


# ----- workers are killed at random


def under_kills(cluster: Cluster, count: int) -> dict[str, tuple[str, int]]:
    """That many small tasks, while a worker is killed now and then; id → what was asked."""
    chance = random.Random(time.monotonic_ns())
    connection = cluster.client.connect()
    sent: dict[str, tuple[str, int]] = {}
    next_kill, kills = time.monotonic(), 0
    while len(sent) < count:
        kind = chance.choice(("fibonacci", "prime", "hash"))
        n = chance.randint(1, {"fibonacci": 18, "prime": 10 ** 9, "hash": 300}[kind])
        connection = connection if connection.usable else cluster.client.connect()
        sent[tasks.submit_patiently(cluster, connection, kind, n)] = (kind, n)
        if time.monotonic() >= next_kill and kills < MOST_KILLS:
            victim = chance.choice(processes.children(cluster.pid) or [0])
            if victim:
                cluster.log.add("signal", cluster=cluster.number, pid=victim, text="SIGKILL",
                                data={"to": "a worker"})
                processes.kill(victim)
            kills += 1
            next_kill = time.monotonic() + chance.uniform(0.05, 0.3)
    return sent


def expect_each_ends_once(cluster: Cluster, sent: dict[str, tuple[str, int]]) -> None:
    """Each task is completed with the right result, or failed after three deaths."""
    over = tasks.await_over(cluster, list(sent))
    for name, body in over.items():
        if (body["type"], body["n"]) != sent[name]:
            raise CheckFailed(f"{sent[name]} was submitted as {name}; shown is {body}")
        if body["status"] == "completed":
            task_results.expect_result(body)
        elif body["attempts"] != 3:
            raise CheckFailed(f"{body}", expected="failed only after three attempts")
    completed = sum(body["status"] == "completed" for body in over.values())
    pool_stats.expect_numbers(cluster, "tasks", "in the end", submitted=len(sent),
                              completed=completed, failed=len(sent) - completed)
