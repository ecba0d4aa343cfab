"""The numbers of a worker that GET /health tells: uptime, memory, requests, errors."""
from __future__ import annotations

import math
import time
from typing import Any

from harness.checks import connections
from harness.checks.common_ground.http import KIB, filler
from harness.clients import worker_slots
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

MIB = 1024 * 1024
NAMES = ("uptime", "memoryBytes", "requests", "errors")
HALVES = 200
"""Half-sent requests with which the workers' memory is made to grow."""
FALLS_WITHIN = 2.0
"""Seconds for the memory to go down, and for the figure to follow."""
EVEN_ERRORS = (6, 12, 18)
"""Of every 20 requests these fail: 15 %."""


def of(connection: Connection) -> dict[str, Any]:
    return expect_all(connection.get("/health", patience=5))


def is_number(value: object) -> bool:
    """JSON as Python reads it also has NaN and infinities, which are none."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def expect_all(answer: Answer) -> dict[str, Any]:
    """A 200 with all the numbers."""
    bad = [name for name in NAMES if not is_number(answer.json.get(name))]
    if answer.status != 200 or bad:
        raise CheckFailed(f"{answer}: no number in {', '.join(bad) or 'nothing'}; body "
                          f"{answer.body[:300]!r}",
                          expected="200 with the numbers " + ", ".join(NAMES))
    return answer.json


# ----- requests and errors


def ask(connection: Connection, path: str, times: int, status: int) -> float:
    """That many requests, each answered with that status; returns when the last one was answered.

    Ends early when the worker leaves meanwhile.
    """
    ended = time.monotonic()
    for _ in range(times):
        if not connection.usable:
            break
        answer = connection.get(path, patience=5)
        if answer.outcome == "answer" and answer.status != status:
            raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                              expected=f"{status} to {path}")
        ended = answer.ended
        if answer.outcome != "answer" or answer.says_close():
            break
    return ended


def ask_with_even_errors(connection: Connection) -> None:
    """120 requests of which 15 % fail, spread evenly.

    11 good ones go before, so that no early share is over the limit by chance.
    """
    ask(connection, "/", 11, 200)
    for number in range(120):
        path, status = ("/error", 500) if number % 20 in EVEN_ERRORS else ("/", 200)
        ask(connection, path, 1, status)


def expect_counts(connection: Connection, requests: int, errors: int, after: str) -> None:
    """The worker tells these counts `after` something."""
    seen = of(connection)
    if (seen["requests"], seen["errors"]) != (requests, errors):
        raise CheckFailed(f"{after}: requests {seen['requests']}, errors {seen['errors']}",
                          expected=f"{requests} and {errors}")


# ----- memory


def usual_size(cluster: Cluster) -> int:
    """MiB of the largest of the workers."""
    sizes = [int(of(connections.to_one(cluster, slot))["memoryBytes"])
             for slot in range(1, cluster.workers + 1)]
    return max(sizes) // MIB


def swell(cluster: Cluster) -> None:
    """Let the workers hold many requests that lack their last byte, and take those back.

    The workers' memory goes up, and down again where it can.
    """
    worker_slots.find_workers(cluster)
    before = resident_of_all(cluster)
    headers = {**filler(14 * KIB), "Content-Length": str(64 * KIB)}
    for _ in range(HALVES):
        cluster.client.connect().send("/health", "POST", b"x" * 63 * KIB, headers)
    deadline = time.monotonic() + 1
    enough = before + HALVES * 64 * KIB
    while resident_of_all(cluster) < enough and time.monotonic() < deadline:
        time.sleep(0.02)
    cluster.client.close()


def resident_of_all(cluster: Cluster) -> int:
    return sum(map(processes.resident, cluster.slots.values()))


def expect_resident(cluster: Cluster, slot: int, connection: Connection) -> int:
    """The worker's `memoryBytes` is its resident set; returns it. `connection`: to that worker."""
    told = int(of(connection)["memoryBytes"])
    expect_close(told, processes.resident(worker_slots.pid_of(cluster, slot)), 4 * MIB)
    return told


def await_resident(cluster: Cluster, slot: int) -> None:
    """`memoryBytes` comes to be the resident set in time."""
    pid, began = worker_slots.pid_of(cluster, slot), time.monotonic()
    while True:
        told = int(of(connections.to_one(cluster, slot))["memoryBytes"])
        try:
            return expect_close(told, processes.resident(pid), 4 * MIB)
        except CheckFailed:
            if overdue(began, FALLS_WITHIN):
                raise
        time.sleep(0.05)


def expect_close(told: int, seen: int, tolerance: int) -> None:
    """A size in bytes is what the kernel tells, within the tolerance and 10 %."""
    if abs(told - seen) > tolerance + seen // 10:
        raise CheckFailed(f"told: {told / MIB:.1f} MiB; /proc says {seen / MIB:.1f} MiB resident",
                          expected="the resident set in bytes")


def expect_grown(base: int, grown: int) -> None:
    """Two /leak of 20 MiB each have made the size (in bytes) grow from `base` to `grown`."""
    if not 36 * MIB <= grown - base <= 60 * MIB:
        raise CheckFailed(f"memoryBytes was {base / MIB:.1f} MiB, and {grown / MIB:.1f} MiB after "
                          "two /leak with LEAK_MB=20", expected="40 MiB more")
