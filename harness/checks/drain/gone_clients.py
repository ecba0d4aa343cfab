"""Requests whose clients have gone before the answer."""
from __future__ import annotations

import socket
import struct
import time
from signal import SIGTERM

from harness.checks import process_end
from harness.checks.drain.health_endpoint import active_requests
from harness.checks.settings import seconds
from harness.clients import worker_slots
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

PATIENCE = 2.0
"""Seconds beyond the request's work after which it must not be in flight any more."""


class GoneClientChecks:
    """Mixed into exercise 1's class for requests in flight."""

    @check(expected="requests whose clients reset their connections are not in flight any more "
                    "when their work is done: then SIGTERM ends everything within 500 ms, exit 0",
           likely="a request counts until its answer was sent, and one whose answer cannot be sent "
                  "counts for ever",
           hint="whether the answer was sent or not, the request is over", seconds=1.5,
           needs=("test_health_counts_requests",))
    def test_requests_of_gone_clients_are_over(self, fixture: Fixture) -> None:
        """A request whose client is gone does not delay the end"""
        cluster = fixture.start()
        both = worker_slots.connections_to(cluster, 2, [1, 2])
        idle = {slot: active_requests(asked.get("/health")) for slot, (asked, _) in both.items()}
        for _, held in both.values():
            held.send("/slow")
        cluster.settle("/slow")
        for _, held in both.values():
            reset(held)
        for slot, (asked, _) in both.items():
            expect_over(cluster, slot, asked, idle[slot])
        process_end.expect_end(cluster, 0, cluster.signal(SIGTERM), within=0.5)


def reset(connection: Connection) -> None:
    """Close it so that the other end sees a reset."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def expect_over(cluster: Cluster, slot: int, asked: Connection, idle: int) -> None:
    """As many requests are in flight on the worker as before."""
    began = time.monotonic()
    within = seconds(cluster, "SLOW_MS") + PATIENCE
    while (active := active_requests(answer := asked.get("/health"))) != idle:
        if answer.says_close():
            asked = worker_slots.connections_to(cluster, 1, [slot])[slot][0]
        now = time.monotonic()
        if now - began > within + cluster.meter.allowance(began, now):
            raise CheckFailed(f"{now - began:.1f} s after its client has gone, /health of worker "
                              f"{slot} tells activeRequests={active}; before the request it was "
                              f"{idle}")
        time.sleep(0.2)
