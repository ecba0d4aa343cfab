"""Steps of exercise 5: tasks are submitted, and waited for."""
from __future__ import annotations

import json
import time
import uuid
from typing import Iterable, Sequence

from harness.checks.common_ground.http import expect_form
from harness.checks.tasks import task_status
from harness.checks.tasks.task_status import Body
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes, scheduling

AT_ONCE = 1.0
"""Seconds for what needs no computing."""
QUIET = 5.0
"""Seconds without processor time after which nobody is computing any more."""
LOOKS_EVERY = 0.1
LONGEST = 300.0
ENDLESS = ("fibonacci", 50)
"""A task that takes minutes in any language."""


# ----- submitting


def post(cluster: Cluster, kind: str, n: object, connection: Connection | None = None) -> Answer:
    body = json.dumps({"type": kind, "n": n}).encode()
    if connection is not None:
        return connection.send("/task", "POST", body).wait(10)
    return cluster.client.ask("/task", "POST", body)


def post_at_once(cluster: Cluster, count: int, kind: str, n: int) -> list[Answer]:
    """Requests on as many connections that come at the same moment: each lacks its last byte until
    all are there."""
    body = json.dumps({"type": kind, "n": n}).encode()
    connections = [cluster.client.connect() for _ in range(count)]
    exchanges = [one.send("/task", "POST", body, held_back=1) for one in connections]
    for connection in connections:
        connection.more(body[-1:])
    return [exchange.wait(5) for exchange in exchanges]


def submit(cluster: Cluster, kind: str, n: object, connection: Connection | None = None) -> str:
    """An accepted task's id."""
    return accepted(post(cluster, kind, n, connection))


def accepted(answer: Answer) -> str:
    """The id in a 202 that is whole."""
    if answer.outcome != "answer" or answer.status != 202:
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected="202 to POST /task",
                          **why_not_accepted(answer))
    expect_form(answer, identified=False)
    name, status = answer.json.get("taskId"), answer.json.get("status")
    location = answer.headers.get("location")
    try:
        uuid.UUID(name)
    except (ValueError, TypeError, AttributeError):
        raise CheckFailed(f"taskId {name!r}", expected="a UUID") from None
    if status != "queued" or not (location or "").endswith(f"/task/{name}"):
        raise CheckFailed(f"{answer}: Location {location!r}, body {answer.json}",
                          expected=f"Location: /task/{name}, status queued")
    return str(name)


def why_not_accepted(answer: Answer) -> dict[str, str]:
    if answer.outcome == "waiting":
        return task_status.HANGS
    if answer.status == 400:
        return {"likely": "a right order is refused: it is not read yet, or `n` is kept in a type "
                          "that does not hold it, as a floating-point number",
                "hint": "every whole number from 0 to 2^63-1 must come through unchanged"}
    return {}


def submit_patiently(cluster: Cluster, connection: Connection, kind: str, n: int) -> str:
    """Submit again as long as the queue is full and somebody computes."""
    progress = Progress(cluster)
    while True:
        answer = post(cluster, kind, n, connection if connection.usable else None)
        if answer.status != 429:
            return accepted(answer)
        progress.refuse_if_none("the queue is full and stays so: nobody computes")
        time.sleep(0.005)


def submit_all(cluster: Cluster, count: int) -> list[str]:
    """That many small tasks, one after another."""
    connection, names = cluster.client.connect(), []
    for number in range(count):
        connection = connection if connection.usable else cluster.client.connect()
        names.append(submit(cluster, "fibonacci", number % 10 + 1, connection))
    return names


# ----- waiting


class Progress:
    """Whether anybody computes: tasks may take as long as the workers use processor time, or stand
    ready to."""

    def __init__(self, cluster: Cluster, longest: float = LONGEST) -> None:
        self.cluster, self.used, self.longest = cluster, -1.0, longest
        self.began = self.last = self.looked = time.monotonic()

    def refuse_if_none(self, what: str) -> None:
        now = time.monotonic()
        if now < self.looked + LOOKS_EVERY:
            return
        self.looked, workers = now, processes.children(self.cluster.pid)
        total = sum(map(scheduling.processor_time, workers))
        if total != self.used or any(map(scheduling.ready_threads, workers)):
            self.last, self.used = now, total
        if overdue(self.last, QUIET) or now - self.began > self.longest:
            self.cluster.refuse_late(QUIET, self.last, what)


def await_status(cluster: Cluster, name: str, status: str, why: str,
                 within: float = AT_ONCE) -> Body:
    """Wait until the task has that status, which needs no computing."""
    began = time.monotonic()
    while (body := task_status.task(cluster, name))["status"] != status:
        if overdue(began, within):
            cluster.refuse_late(within, began,
                                f"{why}: its status is {body['status']}, not {status}")
        time.sleep(0.01)
    return body


def await_over(cluster: Cluster, names: Iterable[str], what: str = "the tasks") -> dict[str, Body]:
    """Wait until all are completed or failed, as long as somebody computes; id → task."""
    progress = Progress(cluster)
    left, over = list(names), {}
    connection = cluster.client.connect()
    while left:
        for name in list(left):
            connection = connection if connection.usable else cluster.client.connect()
            body = task_status.task(cluster, name, connection)
            if body["status"] not in ("completed", "failed"):
                break
            over[name] = body
            left.remove(name)
            progress.last = time.monotonic()
        progress.refuse_if_none(f"{what}: {len(left)} of {len(left) + len(over)} are not finished, "
                                f"the first is {body}")
        if left:
            time.sleep(0.01)
    return over


def await_completed(cluster: Cluster, names: Sequence[str], what: str = "the tasks") -> list[Body]:
    """Wait until all are completed; in the order of the names."""
    over = await_over(cluster, names, what)
    failed = [body for body in over.values() if body["status"] != "completed"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(over)} have failed; the first: {failed[0]}",
                          expected="all completed")
    return [over[name] for name in names]
