"""What /stats of exercise 5 tells of the workers, the queue and the tasks."""
from __future__ import annotations

import time
from typing import Any, Callable, Sequence

from harness.checks.tasks.tasks import AT_ONCE
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

Stats = dict[str, Any]
NUMBERS = {"workers": ("total", "available", "busy"), "queue": ("size", "max"),
           "tasks": ("submitted", "completed", "failed", "rejected", "requeued")}
STATS_FIRST = {"likely": "`/stats` lacks something, or does not answer; most checks look there for "
                         "what goes on",
               "hint": "`/stats` first: then these checks can say more"}


def stats(cluster: Cluster) -> Stats:
    """The statistics, whole."""
    answer = cluster.client.get("/stats", patience=5)
    body = answer.json
    bad = [f"{group}.{key}" for group, keys in NUMBERS.items() for key in keys
           if not isinstance(body.get(group), dict) or not whole(body[group].get(key))]
    rows = body.get("perWorker")
    listed = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    if answer.status != 200 or bad or not listed:
        raise CheckFailed(f"{answer}: no whole number in {', '.join(bad) or 'perWorker'}; "
                          f"body {answer.body[:400]!r}",
                          expected="200 to /stats with all that the exercise's README names",
                          **(STATS_FIRST if answer.outcome in ("answer", "waiting") else {}))
    slots = [row.get("worker") for row in body["perWorker"]]
    # A slot without a process may be left out.
    wanted = [slot for slot in range(1, cluster.workers + 1) if slot in slots]
    if slots != wanted or any(not isinstance(row.get("busy"), bool) for row in body["perWorker"]):
        raise CheckFailed(f"perWorker is {rows}",
                          expected=f"one object for each worker from 1 to {cluster.workers}, with "
                                   "`busy`")
    return body


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def await_stats(cluster: Cluster, condition: Callable[[Stats], object], what: str,
                within: float = AT_ONCE) -> Stats:
    began = time.monotonic()
    while not condition(body := stats(cluster)):
        if overdue(began, within):
            told = ", ".join(f"{group} {body[group]}" for group in NUMBERS)
            cluster.refuse_late(within, began, f"{what}: {told}")
        time.sleep(0.01)
    return body


def expect_numbers(cluster: Cluster, group: str, when: str, **wanted: int) -> Stats:
    """These numbers of the statistics, now or in a moment."""
    def fits(body: Stats) -> bool:
        return all(int(body[group][key]) == value for key, value in wanted.items())
    return await_stats(cluster, fits, f"{when}, {group} should have {wanted}")


def completed_by(cluster: Cluster, slot: int) -> int:
    """How many tasks the slot's workers have completed, as the statistics tell."""
    return sum(row["completed"] for row in stats(cluster)["perWorker"]
               if row["worker"] == slot and whole(row.get("completed")))


def expect_no_contradiction(cluster: Cluster, body: Stats) -> None:
    workers, busy = body["workers"], sum(row["busy"] for row in body["perWorker"])
    if workers["busy"] != busy or workers["total"] != cluster.workers \
            or workers["available"] > cluster.workers - busy:
        raise CheckFailed(f"workers {workers}, but {busy} of perWorker are busy",
                          expected="numbers that fit together")


def expect_available(cluster: Cluster, count: int, when: str) -> Stats:
    """So many workers have nothing to do, all others are busy."""
    return expect_numbers(cluster, "workers", when, busy=cluster.workers - count, available=count)


def expect_all_busy(cluster: Cluster, at_work: Sequence[str], most: int, submitted: int) -> None:
    """Each worker is listed with its pid and one of these tasks; the queue holds at most so many.

    None of the tasks that were submitted is done.
    """
    body = stats(cluster)
    expect_no_contradiction(cluster, body)
    children = set(processes.children(cluster.pid))
    wrong = [row for row in body["perWorker"] if row.get("pid") not in children
             or not row["busy"] or row.get("taskId") not in at_work]
    if wrong or body["queue"]["max"] != most:
        raise CheckFailed(f"perWorker has {wrong}, queue is {body['queue']}; the master's children "
                          f"are {sorted(children)}, the tasks {at_work}",
                          expected=f"the workers' pids and tasks, and max {most}")
    expect_numbers(cluster, "tasks", f"with {submitted} tasks submitted", submitted=submitted,
                   completed=0, failed=0, rejected=0, requeued=0)


def expect_all_idle(cluster: Cluster, completed: int) -> None:
    """So many tasks are completed, each by one of the workers, and no worker has one any more."""
    body = expect_numbers(cluster, "tasks", f"when {completed} tasks are done",
                          submitted=completed, completed=completed, failed=0)
    expect_no_contradiction(cluster, body)
    rows = body["perWorker"]
    total = sum(row["completed"] for row in rows if whole(row.get("completed")))
    if total != completed or any(row.get("taskId") for row in rows):
        raise CheckFailed(f"perWorker is {rows}",
                          expected=f"`completed` of all workers is {completed} in all, no "
                                   "`taskId` any more")
