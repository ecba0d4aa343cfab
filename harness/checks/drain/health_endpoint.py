"""What /health tells of the requests in flight and of the drain."""
from __future__ import annotations

import time

from harness.checks.drain.drain import (
    Drain, any_ended, begin_busy, expect_held_to_the_end, hold, straddles,
)
from harness.clients import worker_slots
from harness.clients.exchange import Answer
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

DRAINING = 4
"""Requests for /health that are made during the drain, so that both workers are asked."""


class CountChecks:
    """Mixed into the item on the start."""

    @check(expected="/health answers 200 with `status` \"ok\", `activeRequests` and `connections`; "
                    "with two more requests in flight on the worker `activeRequests` is two more",
           likely="/health is not answered, or nobody counts the requests in flight, or the count "
                  "is not asked for when /health is answered",
           hint="count a request when its last byte was read, until its answer was sent, and let "
                "/health tell the count", seconds=0.3)
    def test_health_counts_requests(self, fixture: Fixture) -> None:
        """`/health` tells how many requests are in flight"""
        expect_counts_in_flight(fixture.start(), 2)


class DrainChecks:
    """Mixed into the item on new requests."""

    @check(expected="503 with `status` \"draining\" for GET /health during the drain",
           likely="the 503 for /health is that of all other paths, or /health is served during "
                  "the drain",
           hint="when you turn a request for /health away, say in the body that the worker drains",
           seconds=1.5)
    def test_health_says_draining(self, fixture: Fixture) -> None:
        """`/health` says that the worker drains"""
        expect_says_draining(begin_busy(fixture.start(), [1]))


def expect_counts_in_flight(cluster: Cluster, requests: int) -> None:
    """With so many requests in flight on a worker, its /health counts so many more than without.

    Whether the request for /health counts itself is up to the program.
    """
    connection = worker_slots.connections_to(cluster, 1, [1])[1][0]
    idle = active_requests(connection.get("/health", patience=3))
    held = hold(cluster, requests, [1])
    busy = active_requests(connection.get("/health", patience=3))
    if busy - idle != requests and not any_ended(held):
        raise CheckFailed(f"/health of worker 1 tells activeRequests={idle} without a request in "
                          f"flight, and {busy} with {requests} of them",
                          expected=f"{requests} more")


def active_requests(answer: Answer) -> int:
    expect_status(answer, 200, "ok")
    counts = [answer.json.get(name) for name in ("activeRequests", "connections")]
    if any(type(count) is not int or count < 0 for count in counts):
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                          expected="`activeRequests` and `connections` as whole numbers from 0 on")
    return int(answer.json["activeRequests"])


def expect_says_draining(draining: Drain) -> None:
    """New requests for /health during the drain get 503 with `status` "draining"."""
    cluster, judged = draining.cluster, 0
    while judged < DRAINING and not any_ended(draining.held):
        answer = cluster.client.get("/health", patience=3)
        straddling = straddles(cluster, answer.started, draining.signalled)
        if answer.status == 503 or not (straddling or any_ended(draining.held)):
            expect_status(answer, 503, "draining")
            judged += 1
        time.sleep(0.03)
    expect_held_to_the_end(draining.held, judged > 0)


def expect_status(answer: Answer, status: int, word: str) -> None:
    if answer.status != status or answer.json.get("status") != word:
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                          expected=f'{status} with `status` "{word}"')
