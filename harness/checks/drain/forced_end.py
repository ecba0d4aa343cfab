"""The shutdown timeout: what is still under way is cut, and the cluster ends with exit code 1."""
from __future__ import annotations

import time

from harness.clients import worker_slots
from harness.clients.exchange import Exchange
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import CheckFailed

LONG_MS = 30000
HALF_SECONDS = 5.0
"""The contract's: so long after its first byte a half-sent request is cut."""


def start_with_short_timeout(fixture: Fixture, real: int = 10000,
                             **settings: int) -> tuple[Cluster, float]:
    """A cluster whose slow requests outlast its shutdown timeout; with the timeout in seconds.

    `real`: milliseconds of the timeout with --real-time.
    """
    timeout = int(fixture.pace(1500, real))
    cluster = fixture.start({"SLOW_MS": LONG_MS, "SHUTDOWN_TIMEOUT_MS": timeout, **settings})
    return cluster, timeout / 1000


def send_halves(cluster: Cluster) -> tuple[float, list[Exchange]]:
    """Half a head on a connection to worker 1, half a body on one to worker 2, surely read.

    Returns the moment just before their first bytes, and the two requests.
    """
    connections = worker_slots.connections_to(cluster, 1, [1, 2])
    host = f"Host: {cluster.client.host}\r\n"
    head = f"GET /fast HTTP/1.1\r\n{host}X-Half: ye".encode()
    body = f"POST /fast HTTP/1.1\r\n{host}Content-Length: 1000\r\n\r\n{{".encode()
    began = time.monotonic()
    sent = [connections[1][0].send_raw(head, "GET", "/fast"),
            connections[2][0].send_raw(body, "POST", "/fast")]
    time.sleep(0.3)
    return began, sent


def expect_cut_and_end(cluster: Cluster, held: list[Exchange], since: float,
                       timeout: float) -> None:
    """All these requests are cut at the timeout, and the cluster ends with exit code 1."""
    for exchange in held:
        expect_cut(cluster, exchange, since, timeout)
    expect_forced_end(cluster, since, timeout)


def expect_cut(cluster: Cluster, exchange: Exchange, since: float, timeout: float) -> None:
    """No 200; the connection is closed at the timeout within 10 % + 200 ms."""
    latest = timeout * 1.1 + 0.2
    exchange.ended.wait(max(0.0, since + latest + 2 - time.monotonic()))
    answer = exchange.wait(0)
    counted_from = "its first byte" if timeout == HALF_SECONDS else "the signal"
    what = f"the end of {exchange.method} {exchange.path} after {counted_from}"
    if answer.status == 200:
        raise CheckFailed(f"{answer}, although it should have been cut")
    if answer.outcome == "waiting":
        cluster.refuse_late(latest, since, what + " (still open)")
    cluster.expect_within(latest, since, answer.ended, what)
    expect_not_before(timeout * 0.9 - 0.2, since, answer.ended, what)


def expect_forced_end(cluster: Cluster, signalled: float, timeout: float) -> None:
    """The cluster ends at the timeout with exit code 1, and nothing is left."""
    latest = timeout * 1.1 + 0.2
    at = cluster.expect_exit(1, signalled, latest + 0.5)
    expect_not_before(timeout * 0.9 - 0.2, signalled, at, "the end of the master")
    cluster.expect_nothing_left(signalled, latest + 0.5)


def expect_log_at(cluster: Cluster, signalled: float, timeout: float) -> None:
    """The master has logged something at the timeout or later."""
    expect_log_after(cluster, signalled + timeout * 0.9 - 0.2, "what it cut")


def expect_log_after(cluster: Cluster, moment: float, what: str) -> None:
    """The master has logged something since that moment. `what` it has to log."""
    cluster.output()
    tag = f"master[{cluster.pid}]"
    if not any(line.t >= moment and tag in line.text for line in cluster.lines):
        raise CheckFailed(f"no line with {tag} on standard output then" + cluster.said(),
                          expected=f"the master logs {what}")
