"""Checks for every exercise: many connections, slow ones, idle ones."""
from __future__ import annotations

import resource
import shutil
import time

from harness.checks import connections
from harness.clients.exchange import Exchange
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

CROWD = 1000
STALL = 5.0
"""The contract's: seconds from the first byte of a request in which it has to be complete."""
STALLED = 60
PATIENCE = 20.0
OTHERS_WITHIN = 1.0


class LoadChecks:
    """Mixed into an exercise's class for the common ground."""

    @check(expected="1,000 kept-alive connections are open at once, and a request on each is "
                    "answered, twice",
           likely="a thread for each connection, a small backlog, or too low a limit of open files",
           hint="idle connections must cost neither a thread nor a place in a queue; raise "
                "RLIMIT_NOFILE", seconds=3, heavy=True)
    def test_a_thousand_connections(self, fixture: Fixture) -> None:
        """1,000 kept-alive connections are served at once"""
        if not processes.raise_own_limit(CROWD + 300):
            raise Inconclusive("the harness itself may not open that many files here (ulimit -Hn)")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        prlimit = shutil.which("prlimit")
        low = (prlimit, f"--nofile=256:{hard}") if prlimit else ()
        cluster = fixture.start(prefix=low)
        crowd = [cluster.client.connect() for _ in range(CROWD)]
        for _ in range(2):
            answer_all(cluster, crowd)

    @check(expected="a half-sent request is cut 5 s after its first byte, also when it goes on "
                    "trickling; others are served meanwhile",
           likely="there is no deadline, or each byte starts it anew, or stalled clients use up "
                  "the threads", seconds=5.8,
           hint="start the 5 s at the first byte of a request and stop them when it is complete")
    def test_stalled_clients(self, fixture: Fixture) -> None:
        """A client that stalls is cut after 5 s, and costs the others nothing"""
        cluster = fixture.start()
        path = fixture.exercise.probe
        stalled, trickle = stall(cluster, path)
        end = time.monotonic() + STALL - 0.5
        while time.monotonic() < end:
            trickle.more(b"e")
            answer = cluster.client.get(path, patience=3)
            if answer.status != 200:
                raise CheckFailed(f"while {len(stalled)} clients stall: {answer}")
            cluster.expect_within(OTHERS_WITHIN, answer.started, answer.ended,
                                  f"GET {path} while {len(stalled)} clients stall")
            time.sleep(0.25)
        for exchange in stalled:
            expect_cut_off(cluster, exchange)

    @check(expected="connections without a request, new or kept-alive, stay open and are served "
                    "afterwards (at least 60 s)",
           likely="idle connections are taken for stalled ones, or have a short keep-alive timeout",
           hint="the 5 s are for a request that has begun; idle connections may stay", seconds=6.6)
    def test_idle_connections_live(self, fixture: Fixture) -> None:
        """Idle connections stay open and are served afterwards"""
        cluster = fixture.start()
        fresh = [cluster.client.connect() for _ in range(3)]
        used = connections.to_all(cluster, 2)
        began = time.monotonic()
        wait = fixture.pace(5.7, 30.0)
        for connection in fresh + used:
            closed = connection.wait_closed(began + wait - time.monotonic())
            if closed is not None:
                raise CheckFailed(f"an idle connection was closed after {closed - began:.1f} s",
                                  expected="idle connections live at least 60 s")
        for connection in fresh + used:
            answer = connection.get(fixture.exercise.probe, patience=3)
            if answer.status != 200:
                raise CheckFailed(f"on a connection idle for {wait:.0f} s: {answer}",
                                  expected="200")


def stall(cluster: Cluster, path: str) -> tuple[list[Exchange], Connection]:
    """Half-sent requests on many connections, and the connection of one that can be sent more of.

    If the program keeps connections alive, one of them has had an answer before.
    """
    host = cluster.client.host
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Half: y".encode()
    body = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{".encode()
    second = cluster.client.connect()
    first_answer = second.get(path)
    stalled = [cluster.client.connect().send_raw(head, "GET", path) for _ in range(STALLED)]
    stalled.append(cluster.client.connect().send_raw(body, "POST", path))
    trickle = cluster.client.connect()
    stalled.append(trickle.send_raw(head, "GET", path))
    if not first_answer.says_close():
        stalled.append(second.send_raw(head, "GET", path))
    return stalled, trickle


def answer_all(cluster: Cluster, crowd: list[Connection]) -> None:
    began = time.monotonic()
    exchanges = [connection.send(cluster.exercise.probe) for connection in crowd]
    answers = [exchange.wait(began + PATIENCE - time.monotonic()) for exchange in exchanges]
    bad = [answer for answer in answers if answer.status != 200]
    if bad:
        if all(answer.outcome == "waiting" for answer in bad):
            cluster.refuse_late(PATIENCE - 1, began,
                                f"answers on {len(bad)} of {len(crowd)} connections")
        raise CheckFailed(f"{len(bad)} of {len(crowd)} connections were not served; the first: "
                          f"{bad[0]}")
    closed = sum(answer.says_close() for answer in answers)
    if closed:
        raise CheckFailed(f"{closed} of {len(crowd)} answers said Connection: close",
                          expected="connections are kept alive")


def expect_cut_off(cluster: Cluster, exchange: Exchange) -> None:
    answer = exchange.wait(STALL + 3)
    what = f"the end of a half-sent {exchange.method}"
    if answer.status not in (0, 408):
        raise CheckFailed(f"a half-sent {exchange.method} got {answer}",
                          expected="408, or just the end of the connection, after 5 s")
    if answer.outcome == "waiting":
        cluster.refuse_late(STALL + 0.5, answer.started, what + " (still open)")
    cluster.expect_within(STALL + 0.5, answer.started, answer.ended, what)
    expect_not_before(STALL - 0.5, answer.started, answer.ended, what)
