"""The 503 with which a draining cluster turns new requests away, until its last answer."""
from __future__ import annotations

import time

from harness.checks.common_ground.http import expect_error
from harness.checks.drain.drain import (
    Drain, any_ended, begin_busy, expect_gone_after_answers, expect_held_to_the_end, straddles,
)
from harness.checks.settings import seconds
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import BoundBroken, CheckFailed

WITHIN = 0.100
"""Seconds in which a 503 has to come."""
READ_WITHIN = 0.15
"""Seconds within which the harness has read an answer that was sent."""


def expect_on_new_connections(draining: Drain) -> None:
    """Ask on fresh connections until the first of the held requests is answered."""
    cluster, judged = draining.cluster, 0
    end = draining.signalled + seconds(cluster, "SLOW_MS")
    while not any_ended(draining.held) and time.monotonic() < end:
        judged += expect_503(draining, cluster.client.get("/fast", patience=3))
        time.sleep(0.03)
    expect_held_to_the_end(draining.held, judged > 0)


def expect_on_open_connections(draining: Drain, opened: list[Connection]) -> None:
    """Ask once on each connection that was opened before the signal."""
    judged = 0
    for connection in opened:
        if any_ended(draining.held):
            break
        judged += expect_503(draining, connection.get("/fast", patience=3), kept=True)
        time.sleep(0.05)
    expect_held_to_the_end(draining.held, judged > 0)


def expect_on_all_connections(draining: Drain, opened: list[Connection]) -> None:
    """Ask in turn on a connection that was opened before the signal and on a fresh one."""
    judged = 0
    for connection in opened:
        judged += expect_503(draining, connection.get("/fast", patience=3), kept=True)
        judged += expect_503(draining, draining.cluster.client.get("/", patience=3))
    expect_held_to_the_end(draining.held, judged > 0)


def expect_503(draining: Drain, answer: Answer, kept: bool = False) -> bool:
    """503 with Connection: close and Retry-After, in time, while the held requests are under way.

    Once one of those has ended the answer is not judged any more. But a request must not have
    waited in vain until then (expect_not_in_vain()). `kept`: it was sent on a connection that was
    opened before the signal. Returns whether the answer was judged.
    """
    held, cluster = draining.held, draining.cluster
    when = f"{answer.started - draining.signalled:.2f} s after the signal"
    if answer.outcome != "answer" or answer.status != 503:
        for exchange in held:
            exchange.ended.wait(0.1 / len(held))
        if answer.outcome != "answer":
            expect_not_in_vain(draining, answer, when, kept)
        if any_ended(held) or straddles(cluster, answer.started, draining.signalled):
            return False
        raise CheckFailed(f"{answer}, {when}, while {held[0].method} {held[0].path} was still "
                          "being worked on", **why_not_503(answer, kept))
    missing = [] if answer.says_close() else ["Connection: close"]
    missing += [] if "retry-after" in answer.headers else ["Retry-After"]
    if missing:
        raise CheckFailed(f"{answer}, {when}, without {' and '.join(missing)}; its headers: "
                          f"{answer.headers}",
                          likely="the 503 is written without these headers",
                          hint="set them where the 503 is written")
    try:
        cluster.expect_within(WITHIN, answer.started, answer.ended,
                              f"the 503 to {answer.method} {answer.path}, {when}")
    except BoundBroken as late:
        late.likely = ("the 503 waits: for a thread that slow requests keep busy, or as if it were "
                       "work itself")
        late.hint = "say 503 where the request was read, before anything that takes time"
        raise
    return True


def expect_not_in_vain(draining: Drain, answer: Answer, when: str, kept: bool) -> None:
    """No answer came. Fail if the client waited too long before the first held request ended.

    Whether the worker had heard of the signal or not, there should have been an answer by then.
    """
    ends = [one.answer.ended for one in draining.held if one.answer is not None]
    until = min([answer.ended, *ends])
    try:
        draining.cluster.expect_within(
            WITHIN, answer.started, until,
            f"the 503 to {answer.method} {answer.path}, {when} (none came: {answer})")
    except BoundBroken as late:
        busy = "all threads of the worker are busy with slow requests"
        late.likely = busy if kept else ("the workers stopped accepting when the drain began, so "
                                         "that it waited in the listening socket's queue; or "
                                         + busy)
        late.hint = ("read every connection while you drain" if kept else
                     "go on accepting while you drain, until the master says that the whole "
                     "cluster has drained")
        raise


def why_not_503(answer: Answer, kept: bool) -> dict[str, str]:
    if answer.outcome == "answer" and answer.status == 200 and kept:
        return {"likely": "the request was served: only new connections are turned away, and a "
                          "kept-alive one goes on being served",
                "hint": "ask for each request, not for each connection, whether the worker drains"}
    if answer.outcome == "answer" and answer.status == 200:
        return {"likely": "the request was served: nobody has looked whether the worker drains "
                          "before it was handled",
                "hint": "ask for each request, when its last byte was read, whether the worker "
                        "drains"}
    if answer.outcome in ("closed", "reset") and kept:
        return {"likely": "idle connections are closed at the signal, or the connection's own "
                          "worker has ended: it had nothing left to do, but another one had",
                "hint": "a worker that has drained stays and answers 503, until the master says "
                        "that the whole cluster has drained"}
    if answer.outcome == "refused":
        return {"likely": "the listening socket was closed, or all workers have ended, before the "
                          "last active request was answered",
                "hint": "go on accepting until the master says that the whole cluster has drained"}
    return {}


def expect_until_last_answer(draining: Drain) -> None:
    """The listening socket takes connections until the held request is answered, then none."""
    cluster, held = draining.cluster, draining.held[0]
    end = draining.signalled + seconds(cluster, "SHUTDOWN_TIMEOUT_MS")
    while not held.ended.is_set() and time.monotonic() < end:
        answer = cluster.client.get("/fast", patience=1)
        if answer.outcome not in ("answer", "waiting"):
            expect_all_answered_at(draining, answer)
        held.ended.wait(0.15)
    expect_held_to_the_end(draining.held)
    expect_gone_after_answers(cluster, draining.signalled, held.wait(0).ended)
    after = cluster.client.get("/fast", patience=1)
    if after.outcome != "refused" and after.pid in cluster.watcher.seen:
        raise CheckFailed(f"after the end: {after}", expected="connection refused")


def expect_all_answered_at(draining: Drain, refused: Answer) -> None:
    """`refused` came when the last answer, to the held request, had been sent.

    The harness may read that answer a little later than the refusal.
    """
    held = draining.held[0]
    ended = held.wait(2).ended
    late = ended - refused.started
    meter = draining.cluster.meter
    if late <= READ_WITHIN:
        return
    if late <= READ_WITHIN + meter.allowance(refused.started, ended):
        meter.excused = max(meter.excused, late - READ_WITHIN)
    else:
        raise CheckFailed(f"{refused}, {refused.started - draining.signalled:.2f} s after the "
                          f"signal, while {held.method} {held.path} was still being worked on: "
                          f"for {late:.2f} s more")


class BodyOf503:
    """Mixed into the class for the common ground of exercise 1."""

    @check(expected="the 503 of a drain is a JSON object with `worker`, `pid` and `error`",
           likely="the 503 is written without a body",
           hint="use the same function for it as for every other error", seconds=0.2)
    def test_body_of_503(self, fixture: Fixture) -> None:
        """The 503 of a drain has a body like every error"""
        draining = begin_busy(fixture.start(), [1])
        answer = draining.cluster.client.get("/fast", patience=3)
        may_be_served = (any_ended(draining.held)
                         or straddles(draining.cluster, answer.started, draining.signalled))
        if answer.status == 503 or not may_be_served:
            expect_error(answer, 503)
        expect_held_to_the_end(draining.held)
