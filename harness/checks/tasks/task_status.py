"""What /task/<id> of exercise 5 tells: the status, what is known with it, and the times."""
from __future__ import annotations

import time
from typing import Any, Iterable, Sequence

from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed

Body = dict[str, Any]
"""A task as it is shown."""
HANGS = {"likely": "a handler waits for ever: for a mutex that its own thread holds, or for what "
                   "only that thread could do",
         "hint": "which locks are held when something is sent, or handed out?"}
STATUSES = ("queued", "processing", "completed", "failed")


def task(cluster: Cluster, name: str, connection: Connection | None = None) -> Body:
    return shown((connection or cluster.client).get(f"/task/{name}", patience=5), name)


def shown(answer: Answer, name: str) -> Body:
    """The task in an answer, whole for its status."""
    body = answer.json
    if answer.outcome != "answer" or answer.status != 200 or body.get("taskId") != name \
            or body.get("status") not in STATUSES:
        raise CheckFailed(f"{answer}, body {answer.body[:300]!r}",
                          expected=f"200 with taskId {name} and a status",
                          **(HANGS if answer.outcome == "waiting" else {}))
    if bad := faults(body):
        raise CheckFailed(f"{answer}, status {body['status']}: wrong or missing {', '.join(bad)} "
                          f"in {body}",
                          expected="what is known, and nothing that is not known yet; `worker` "
                                   "only while one has the task, or has completed it",
                          likely="what is shown does not follow the status, or what happened to "
                                 "the task was noted in a copy of it",
                          hint="go through the statuses: which fields has a task then?")
    return body


def faults(body: Body) -> list[str]:
    """The fields that a task of this status must have and lacks, or must not have."""
    status = body["status"]
    numbers = ["attempts", "queuedAt"]
    numbers += ["startedAt", "worker"] if status in ("processing", "completed") else []
    numbers += ["finishedAt"] if status in ("completed", "failed") else []
    bad = [key for key in numbers
           if isinstance(body.get(key), bool) or not isinstance(body.get(key), (int, float))]
    bad += [key for key in ("type", "n") if key not in body]
    bad += ["result"] if (status == "completed") != ("result" in body) else []
    bad += ["error"] if (status == "failed") != bool(body.get("error")) else []
    unknown = {"finishedAt": status in ("queued", "processing"),
               "worker": status in ("queued", "failed"),
               "startedAt": status == "queued" and not body.get("attempts")}
    bad += [key for key, wrong in unknown.items() if wrong and body.get(key) is not None]
    return sorted(set(bad))


def expect_queued(cluster: Cluster, names: Iterable[str]) -> None:
    for name in names:
        if (body := task(cluster, name))["status"] != "queued":
            raise CheckFailed(f"all workers have a task, but task {name} is {body['status']}",
                              expected="queued")


def expect_followed(seen: Sequence[Body]) -> None:
    """One task, looked at three times: while it waits, while it is at work, when it is done."""
    statuses = [body["status"] for body in seen]
    if statuses[0] != "queued" or statuses[1] not in ("processing", "completed") \
            or statuses[2] != "completed":
        raise CheckFailed(f"seen: {statuses}", expected="queued, processing, completed")
    if any(body["queuedAt"] != seen[0]["queuedAt"] or body["type"] != "fibonacci" for body in seen):
        raise CheckFailed(f"one task, three times: {seen}",
                          expected="the same queuedAt, type and n")


# ----- order and times


def expect_order(bodies: Sequence[Body], what: str) -> None:
    """They were started in this order."""
    for former, latter in zip(bodies, bodies[1:]):
        if former["startedAt"] > latter["startedAt"]:
            early = former["startedAt"] - latter["startedAt"]
            raise CheckFailed(f"{what}: task {latter['taskId']}, accepted at "
                              f"{latter['queuedAt']:.3f}, was started {early:.3f} ms before "
                              f"{former['taskId']}, accepted at {former['queuedAt']:.3f}",
                              expected="first in, first out")


def expect_started_after(moment: float, bodies: Sequence[Body]) -> None:
    """`startedAt` is that of the last attempt, which came after this moment (Unix seconds)."""
    for body in bodies:
        early = moment * 1000 - body["startedAt"]
        if early > 5:
            raise CheckFailed(f"task {body['taskId']} was started again {early:.1f} ms before its "
                              "worker was killed",
                              expected="after a requeue startedAt is that of the last attempt")


def expect_times(body: Body) -> None:
    """Stamps are ordered, are Unix milliseconds, and give the duration."""
    queued, started, finished = (body[key] for key in ("queuedAt", "startedAt", "finishedAt"))
    duration = body.get("durationMs")
    fits = isinstance(duration, (int, float)) and abs(duration - (finished - started)) < 1.5
    now = abs(queued / 1000 - time.time()) <= 600
    if not queued <= started <= finished or not now or not fits:
        raise CheckFailed(f"queuedAt {queued}, startedAt {started}, finishedAt {finished}, "
                          f"durationMs {duration}",
                          expected="queuedAt ≤ startedAt ≤ finishedAt in Unix milliseconds, "
                                   "durationMs from start to finish")
