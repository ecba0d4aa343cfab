"""Steps of exercise 5 in which workers are killed while they have tasks."""
from __future__ import annotations

import random
import time
from signal import SIGKILL

from harness.checks import tasks
from harness.clients import worker_search
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

NOTICED = 0.05
"""Seconds within which a master knows of a death."""
MOST_KILLS = 12
"""A worker that keeps dying young is replaced with growing pauses: with many more kills nobody would be left."""


def kill_at_work(cluster: Cluster, name: str, attempt: int) -> None:
    """Kill the only worker while it computes the task for that time."""
    within = 3.0
    began = time.monotonic()
    while (body := tasks.task(cluster, name))["status"] != "processing" or body["attempts"] != attempt:
        if body["status"] == "failed":
            raise CheckFailed(f"after {attempt - 1} deaths the task is failed, with attempts {body['attempts']}",
                              expected=f"processing, with attempts {attempt}", likely="it has failed too early: its attempts are counted wrongly",
                              hint="it has failed when the worker of its last attempt has died")
        if overdue(began, within):
            cluster.refuse_late(within, began, f"after {attempt - 1} deaths the task is {body['status']} with attempts {body['attempts']}, "
                                               f"not processing with {attempt}")
        time.sleep(0.01)
    worker_search.find_workers(cluster)
    cluster.signal_worker(1, SIGKILL)


def kill_all_at_once(cluster: Cluster) -> bool:
    """Kill all workers, each with a task, and judge the order; False if that tells nothing: one that was killed on a busy machine
    may take so long to be gone that successors of the others are done with all that was given back, and take what waits."""
    at_work, waiting = tasks.occupy(cluster, 5)
    workers, killed = dict(cluster.slots), time.time()
    for slot in workers:
        cluster.signal_worker(slot, SIGKILL)
    again = tasks.await_completed(cluster, at_work)
    tasks.expect_started_after(killed, again)
    later = tasks.await_completed(cluster, waiting)
    if any(body["attempts"] != 2 for body in again):
        raise CheckFailed(f"attempts {[body['attempts'] for body in again]}", expected="2 of each that was killed")
    last = max(again, key=lambda body: float(body["startedAt"]))
    gone = max(cluster.watcher.gone_at(pid) or time.monotonic() for pid in workers.values()) - time.monotonic() + time.time()
    if later[0]["startedAt"] < min(last["startedAt"], (gone + NOTICED) * 1000):
        return False
    tasks.expect_order([last, later[0]], "after four kills")
    tasks.expect_order(later, "after four kills")
    tasks.expect_numbers(cluster, "tasks", "after four kills", requeued=len(workers), completed=len(workers) + len(waiting))
    return True


def await_failed(cluster: Cluster, name: str, most: int) -> tasks.Body:
    """Its worker has died for the last time that it may."""
    within = 2.0
    began = time.monotonic()
    while (body := tasks.task(cluster, name))["status"] != "failed":
        if body["attempts"] > most:
            raise CheckFailed(f"after {most} deaths the task is {body['status']} with attempts {body['attempts']}", expected="failed",
                              likely="it has one attempt too many, or goes round for ever",
                              hint="when the worker of attempt MAX_ATTEMPTS has died, there is no other")
        if overdue(began, within):
            cluster.refuse_late(within, began, f"after {most} deaths: the task is {body['status']}, not failed")
        time.sleep(0.01)
    return body


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
                cluster.log.add("signal", cluster=cluster.number, pid=victim, text="SIGKILL", data={"to": "a worker"})
                processes.kill(victim)
            kills += 1
            next_kill = time.monotonic() + chance.uniform(0.05, 0.3)
    return sent
