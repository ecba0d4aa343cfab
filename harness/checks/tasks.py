"""Steps and expectations of exercise 5: tasks, the queue, the workers."""
from __future__ import annotations

import json
import time
import uuid
from signal import SIGCONT, SIGSTOP
from typing import Any, Callable, Iterable, Sequence

from harness.checks.common_ground.http import expect_error, expect_form
from harness.clients import worker_search
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import expect_within, overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

Body = dict[str, Any]
AT_ONCE = 1.0
"""Seconds for what needs no computing."""
QUIET = 5.0
"""Seconds without processor time after which nobody is computing any more."""
LOOKS_EVERY = 0.1
LONGEST = 300.0
STATUSES = ("queued", "processing", "completed", "failed")
COUNTS = ("submitted", "completed", "failed", "rejected", "requeued")
STATS_FIRST = {"likely": "`/stats` lacks something, or does not answer; most checks look there for what goes on",
               "hint": "`/stats` first: then these checks can say more"}
ENDLESS = ("fibonacci", 50)
"""A task that takes minutes in any language."""


def post(cluster: Cluster, kind: str, n: object, connection: Connection | None = None) -> Answer:
    body = json.dumps({"type": kind, "n": n}).encode()
    if connection is not None:
        return connection.send("/task", "POST", body).wait(10)
    return cluster.client.ask("/task", "POST", body)


def post_at_once(cluster: Cluster, count: int, kind: str, n: int) -> list[Answer]:
    """Requests on as many connections that come at the same moment: each lacks its last byte until all are there."""
    body = json.dumps({"type": kind, "n": n}).encode()
    connections = [cluster.client.connect() for _ in range(count)]
    exchanges = [connection.send("/task", "POST", body, held_back=1) for connection in connections]
    for connection in connections:
        connection.more(body[-1:])
    return [exchange.wait(5) for exchange in exchanges]


def submit(cluster: Cluster, kind: str, n: object, connection: Connection | None = None) -> str:
    """An accepted task's id."""
    return accepted(post(cluster, kind, n, connection))


def accepted(answer: Answer) -> str:
    if answer.outcome != "answer" or answer.status != 202:
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected="202 to POST /task", **why_not_accepted(answer))
    expect_form(answer, identified=False)
    task, status = answer.json.get("taskId"), answer.json.get("status")
    try:
        uuid.UUID(task)
    except (ValueError, TypeError, AttributeError):
        raise CheckFailed(f"taskId {task!r}", expected="a UUID") from None
    if status != "queued" or not answer.headers.get("location", "").endswith(f"/task/{task}"):
        raise CheckFailed(f"{answer}: Location {answer.headers.get('location')!r}, body {answer.json}",
                          expected=f"Location: /task/{task}, status queued")
    return str(task)


def why_not_accepted(answer: Answer) -> dict[str, str]:
    if answer.outcome == "waiting":
        return {"likely": "a handler waits for ever: for a mutex that its own thread holds, or for what only that thread could do",
                "hint": "which locks are held when something is sent, or handed out?"}
    if answer.status == 400:
        return {"likely": "a right order is refused: it is not read yet, or `n` is kept in a type that does not hold it, as a floating-point number",
                "hint": "every whole number from 0 to 2^63-1 must come through unchanged"}
    return {}


def submit_patiently(cluster: Cluster, connection: Connection, kind: str, n: int) -> str:
    """Submit again as long as the queue is full and somebody computes."""
    progress = Progress(cluster)
    while (answer := post(cluster, kind, n, connection if connection.usable else None)).status == 429:
        progress.refuse_if_none("the queue is full and stays so: nobody computes")
        time.sleep(0.005)
    return accepted(answer)


def submit_all(cluster: Cluster, count: int) -> list[str]:
    """That many small tasks, one after another."""
    connection, names = cluster.client.connect(), []
    for number in range(count):
        connection = connection if connection.usable else cluster.client.connect()
        names.append(submit(cluster, "fibonacci", number % 10 + 1, connection))
    return names


# ----- what /task/<id> says


def task(cluster: Cluster, name: str, connection: Connection | None = None) -> Body:
    path = f"/task/{name}"
    return shown(connection.get(path, patience=5) if connection else cluster.client.get(path, patience=5), name)


def shown(answer: Answer, name: str) -> Body:
    """A task as it is shown, whole for its status."""
    body = answer.json
    if answer.outcome != "answer" or answer.status != 200 or body.get("taskId") != name or body.get("status") not in STATUSES:
        raise CheckFailed(f"{answer}, body {answer.body[:300]!r}", expected=f"200 with taskId {name} and a status")
    status = body["status"]
    numbers = ["attempts", "queuedAt"]
    numbers += ["startedAt"] if status in ("processing", "completed") else []
    numbers += ["worker"] if status in ("processing", "completed") else []
    numbers += ["finishedAt"] if status in ("completed", "failed") else []
    bad = [key for key in numbers if isinstance(body.get(key), bool) or not isinstance(body.get(key), (int, float))]
    bad += [key for key in ("type", "n") if key not in body]
    bad += ["result"] if (status == "completed") != ("result" in body) else []
    bad += ["error"] if (status == "failed") != bool(body.get("error")) else []
    bad += ["finishedAt"] if status in ("queued", "processing") and body.get("finishedAt") is not None else []
    bad += ["worker"] if status in ("queued", "failed") and body.get("worker") is not None else []
    bad += ["startedAt"] if status == "queued" and not body.get("attempts") and body.get("startedAt") is not None else []
    if bad:
        raise CheckFailed(f"{answer}, status {status}: wrong or missing {', '.join(sorted(set(bad)))} in {body}",
                          expected="what is known, and nothing that is not known yet; `worker` only while one has the task, or has completed it",
                          likely="what is shown does not follow the status", hint="go through the statuses: which fields has a task then?")
    return body


def await_status(cluster: Cluster, name: str, status: str, why: str, within: float = AT_ONCE) -> Body:
    """Wait until the task has that status, which needs no computing."""
    began = time.monotonic()
    while (body := task(cluster, name))["status"] != status:
        if overdue(began, within):
            cluster.refuse_late(within, began, f"{why}: its status is {body['status']}, not {status}")
        time.sleep(0.01)
    return body


class Progress:
    """Whether anybody computes: tasks may take as long as the workers use processor time, or stand ready to."""

    def __init__(self, cluster: Cluster, longest: float = LONGEST) -> None:
        self.cluster, self.used, self.longest = cluster, -1.0, longest
        self.began = self.last = self.looked = time.monotonic()

    def refuse_if_none(self, what: str) -> None:
        now = time.monotonic()
        if now < self.looked + LOOKS_EVERY:
            return
        self.looked, workers = now, processes.children(self.cluster.pid)
        total = sum(map(processes.processor_time, workers))
        if total != self.used or any(map(processes.ready_threads, workers)):
            self.last, self.used = now, total
        if overdue(self.last, QUIET) or now - self.began > self.longest:
            self.cluster.refuse_late(QUIET, self.last, what)


def await_over(cluster: Cluster, names: Iterable[str], what: str = "the tasks") -> dict[str, Body]:
    """Wait until all are completed or failed, as long as somebody computes; id → task."""
    progress = Progress(cluster)
    left, over = list(names), {}
    connection = cluster.client.connect()
    while left:
        for name in list(left):
            connection = connection if connection.usable else cluster.client.connect()
            body = task(cluster, name, connection)
            if body["status"] not in ("completed", "failed"):
                break
            over[name] = body
            left.remove(name)
            progress.last = time.monotonic()
        progress.refuse_if_none(f"{what}: {len(left)} of {len(left) + len(over)} are not finished, the first is {body}")
        if left:
            time.sleep(0.01)
    return over


def await_completed(cluster: Cluster, names: Sequence[str], what: str = "the tasks") -> list[Body]:
    """Wait until all are completed; in the order of the names."""
    over = await_over(cluster, names, what)
    failed = [body for body in over.values() if body["status"] != "completed"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(over)} have failed; the first: {failed[0]}", expected="all completed")
    return [over[name] for name in names]


def expect_shown(cluster: Cluster, names: Sequence[str], count: int) -> None:
    """Just so many of these finished tasks can still be asked for; the others are 404."""
    answers = [cluster.client.get(f"/task/{name}") for name in names]
    known = sum(answer.status != 404 for answer in answers)
    if known != count:
        raise CheckFailed(f"of {len(names)} finished tasks {known} are not 404", expected=f"{count}: the last that were finished")
    for answer, name in zip(answers, names):
        shown(answer, name) if answer.status != 404 else expect_error(answer, 404, identified=False)


def expect_order(tasks: Sequence[Body], what: str) -> None:
    """They were started in this order."""
    for former, latter in zip(tasks, tasks[1:]):
        if former["startedAt"] > latter["startedAt"]:
            raise CheckFailed(f"{what}: task {latter['taskId']}, accepted at {latter['queuedAt']:.3f}, was started "
                              f"{former['startedAt'] - latter['startedAt']:.3f} ms before {former['taskId']}, accepted at "
                              f"{former['queuedAt']:.3f}", expected="first in, first out")


def expect_started_after(moment: float, tasks: Sequence[Body]) -> None:
    """`startedAt` is that of the last attempt, which came after this moment (Unix seconds)."""
    for body in tasks:
        if body["startedAt"] < moment * 1000 - 5:
            raise CheckFailed(f"task {body['taskId']} was started again {moment * 1000 - body['startedAt']:.1f} ms before its worker was killed",
                              expected="after a requeue startedAt is that of the last attempt")


def expect_times(body: Body) -> None:
    """Stamps are ordered, are Unix milliseconds, and give the duration."""
    queued, started, finished = (body[key] for key in ("queuedAt", "startedAt", "finishedAt"))
    duration = body.get("durationMs")
    fits = isinstance(duration, (int, float)) and abs(duration - (finished - started)) < 1.5
    if not queued <= started <= finished or abs(queued / 1000 - time.time()) > 600 or not fits:
        raise CheckFailed(f"queuedAt {queued}, startedAt {started}, finishedAt {finished}, durationMs {duration}",
                          expected="queuedAt ≤ startedAt ≤ finishedAt in Unix milliseconds, durationMs from start to finish")


# ----- what /stats says


def stats(cluster: Cluster) -> Body:
    """The statistics, whole."""
    answer = cluster.client.get("/stats", patience=5)
    body = answer.json
    wanted = {"workers": ("total", "available", "busy"), "queue": ("size", "max"), "tasks": COUNTS}
    bad = [f"{group}.{key}" for group, keys in wanted.items() for key in keys
           if not isinstance(body.get(group), dict) or not whole(body[group].get(key))]
    rows = body.get("perWorker")
    if answer.status != 200 or bad or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CheckFailed(f"{answer}: no whole number in {', '.join(bad) or 'perWorker'}; body {answer.body[:400]!r}",
                          expected="200 to /stats with all that the exercise's README names",
                          **(STATS_FIRST if answer.outcome in ("answer", "waiting") else {}))
    slots = [row.get("worker") for row in rows]
    wanted_slots = [slot for slot in range(1, cluster.workers + 1) if slot in slots]  # one without a process may be left out
    if slots != wanted_slots or any(not isinstance(row.get("busy"), bool) for row in rows):
        raise CheckFailed(f"perWorker is {rows}", expected=f"one object for each worker from 1 to {cluster.workers}, with `busy`")
    return body


def expect_no_contradiction(cluster: Cluster, body: Body) -> None:
    workers, busy = body["workers"], sum(row["busy"] for row in body["perWorker"])
    if workers["busy"] != busy or workers["total"] != cluster.workers or workers["available"] > cluster.workers - busy:
        raise CheckFailed(f"workers {workers}, but {busy} of perWorker are busy", expected="numbers that fit together")


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def await_stats(cluster: Cluster, condition: Callable[[Body], object], what: str, within: float = AT_ONCE) -> Body:
    began = time.monotonic()
    while not condition(body := stats(cluster)):
        if overdue(began, within):
            cluster.refuse_late(within, began, f"{what}: workers {body['workers']}, queue {body['queue']}, tasks {body['tasks']}")
        time.sleep(0.01)
    return body


def expect_numbers(cluster: Cluster, group: str, when: str, **wanted: int) -> Body:
    """These numbers of the statistics, now or in a moment."""
    def fits(body: Body) -> bool:
        return all(int(body[group][key]) == value for key, value in wanted.items())
    return await_stats(cluster, fits, f"{when}, {group} should have {wanted}")


def completed_by(cluster: Cluster, slot: int) -> int:
    return sum(row["completed"] for row in stats(cluster)["perWorker"] if row["worker"] == slot and whole(row.get("completed")))


# ----- holding workers


def hold(cluster: Cluster, slots: Sequence[int] | None = None) -> None:
    """Stop the workers (all, or these) while they have nothing to do."""
    await_stats(cluster, lambda body: body["workers"]["available"] == cluster.workers, "before the first task all workers are available", 5.0)
    worker_search.find_workers(cluster)
    for slot in slots or range(1, cluster.workers + 1):
        cluster.signal_worker(slot, SIGSTOP)


def release(cluster: Cluster, slots: Sequence[int] | None = None) -> None:
    for slot in slots or range(1, cluster.workers + 1):
        cluster.signal_worker(slot, SIGCONT)


def occupy(cluster: Cluster, waiting: int = 0) -> tuple[list[str], list[str]]:
    """All workers stopped, each with a task, and that many waiting: the ids of both."""
    hold(cluster)
    at_work = submit_all(cluster, cluster.workers)
    for name in at_work:
        await_status(cluster, name, "processing", "with a free worker for each task")
    queued = submit_all(cluster, waiting)
    expect_numbers(cluster, "queue", f"with every worker busy and {waiting} tasks more", size=waiting)
    return at_work, queued


def with_worker(cluster: Cluster, names: Iterable[str]) -> dict[int, str]:
    """Slot → the task that it has."""
    return {task(cluster, name)["worker"]: name for name in names}


def await_successor(cluster: Cluster, slot: int, old: int, since: float, within: float = 1.0) -> int:
    """The slot has another process that lives, as the statistics tell. It was late if a look after the bound still missed it: when the
    first look that finds it comes is the harness's own doing."""
    missing = since
    while True:
        asked = time.monotonic()
        pid = next((row.get("pid") for row in stats(cluster)["perWorker"] if row["worker"] == slot), None)
        if isinstance(pid, int) and pid != old and processes.alive(pid):
            expect_within(cluster.meter, within, since, missing, f"the successor of worker {slot}")
            cluster.slots[slot] = pid
            return pid
        missing = asked
        if missing > since + within + 2:
            cluster.refuse_late(within, since, f"a successor of worker {slot} (none came)")
        time.sleep(0.01)


# ----- the end


def expect_refused(cluster: Cluster, signalled: float) -> None:
    """New tasks get 503; one that straddles the signal may still be accepted."""
    while (answer := post(cluster, "fibonacci", 1)).status == 202:
        if answer.started > signalled + 0.3 + cluster.meter.allowance(signalled, answer.ended):
            raise CheckFailed(f"{answer}, {answer.started - signalled:.2f} s after SIGTERM", expected="503 for new tasks")
        time.sleep(0.02)
    if answer.outcome != "answer" or answer.status != 503:
        raise CheckFailed(f"a new task after SIGTERM: {answer}", expected="503")
    expect_form(answer, identified=False)


def expect_logged(cluster: Cluster, names: Iterable[str], since: float) -> None:
    """Each of these tasks is in the log after the moment."""
    cluster.output()
    later = "\n".join(line.text for line in cluster.lines if line.t >= since)
    missing = [name for name in names if name not in later]
    if missing:
        raise CheckFailed(f"{len(missing)} tasks that were accepted before SIGTERM are not in the log after it, the first is {missing[0]}"
                          + cluster.said(), expected="each task that is finished during the end is logged with its id")


# ----- reference results


def expect_full(cluster: Cluster) -> None:
    answer = post(cluster, "fibonacci", 1)
    if answer.outcome != "answer" or answer.status != 429 or not answer.headers.get("retry-after", "").strip():
        raise CheckFailed(f"a task more: {answer}, Retry-After: {answer.headers.get('retry-after')!r}", expected="429 with Retry-After")
    expect_error(answer, 429, identified=False)


def many_tasks(cluster: Cluster, count: int) -> None:
    """That many small tasks, as quickly as the program takes them."""
    connection = cluster.client.connect()
    done = stats(cluster)["tasks"]["completed"]
    for number in range(count):
        connection = connection if connection.usable else cluster.client.connect()
        submit_patiently(cluster, connection, "fibonacci", number % 5)
    await_stats(cluster, lambda body: body["tasks"]["completed"] == done + count, f"{count} more tasks should be completed", 10.0)
