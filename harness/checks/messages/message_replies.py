"""What a sender of exercise 4 must be answered, and when."""
from __future__ import annotations

import time
from signal import SIGSTOP
from typing import Any

from harness.checks.messages.message_trail import why_lost
from harness.checks.settings import seconds
from harness.clients.exchange import Answer, Exchange
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import CheckFailed, Inconclusive

SOONEST = 0.45
"""Share of REQUEST_TIMEOUT_MS before which no 504 is due: half of it, for a quick clock."""
QUICK = 1.0
"""Seconds within which an answer comes that needs no stopped worker."""


def timeout(fixture: Fixture) -> float:
    """REQUEST_TIMEOUT_MS, in seconds."""
    return fixture.figure("REQUEST_TIMEOUT_MS")


def expect_json(answer: Answer, status: int) -> dict[str, Any]:
    if answer.outcome != "answer" or answer.status != status or not answer.json:
        raise CheckFailed(f"{answer}, body {answer.body[:300]!r}",
                          expected=f"{status} to {answer.path}")
    return answer.json


def expect_reply(cluster: Cluster, answer: Answer, to: int, message: str) -> None:
    """The receiver's own reply to just this message."""
    doubt_starved(cluster, answer)
    expect_not_lost(cluster, answer)
    if answer.status == 404:
        raise CheckFailed(str(answer), expected=f"200 to {answer.path}",
                          likely=f"nothing is there to answer GET /send/{to}, or a slot that "
                                 "exists is taken for none",
                          hint="write the handler; slots count from 1 to WORKERS")
    body = expect_json(answer, 200)
    reply = body.get("reply")
    wanted = {"worker": to, "pid": cluster.slots.get(to), "message": message}
    if not isinstance(reply, dict) or {key: reply.get(key) for key in wanted} != wanted:
        raise CheckFailed(f"{answer}: reply {reply}",
                          expected=f"the reply of the receiver to this message: {wanted}")
    found = (body.get("from"), body.get("to"), body.get("message"))
    if found != (body.get("worker"), to, message):
        raise CheckFailed(f"{answer}: {body}", expected=f"from the worker that was asked, to {to}, "
                                                        f"message {message!r}")


def expect_504_in_time(cluster: Cluster, exchange: Exchange, fixture: Fixture) -> None:
    """504, between half of REQUEST_TIMEOUT_MS and the whole."""
    whole = timeout(fixture)
    answer = exchange.wait(exchange.started + whole * 1.5 + 2 - time.monotonic())
    what = f"the answer to {exchange.path}"
    if answer.outcome == "waiting":
        cluster.refuse_late(whole, exchange.started, what)
    if answer.outcome != "answer" or answer.status != 504:
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected="504")
    cluster.expect_within(whole, answer.started, answer.ended, what)
    expect_not_before(whole * 0.5 * 0.98, answer.started, answer.ended, what)


def expect_not_lost(cluster: Cluster, answer: Answer) -> None:
    """A 504 although no worker is stopped has causes of its own."""
    if answer.status != 504:
        return
    if not any(event.kind == "signal" and event.text == SIGSTOP.name
               and event.cluster == cluster.number for event in cluster.log.all()):
        raise CheckFailed(f"{answer}, body {answer.body[:300]!r}, although nobody is stopped",
                          expected=f"200 to {answer.path}",
                          likely=why_lost(cluster, answer),
                          hint="follow one id through the journal: call, request, reply, answer")


# ----- the machine's share


def starved(cluster: Cluster, answer: Answer, missing: list[int] | None = None) -> float:
    """Seconds that the machine was behind, if that may be why a reply is lacking; else 0.

    `missing` are the workers whose replies should be lacking. A sender may give up at half of
    REQUEST_TIMEOUT_MS: a machine that was behind for a quarter of the wait can have used that up.
    A 504 that came sooner has another cause.
    """
    told = (answer.json or {}).get("missing")
    lacking = answer.status == 504 or (
        isinstance(told, list) and any(one not in (missing or []) for one in told))
    behind = cluster.meter.allowance(answer.started, answer.ended) if lacking else 0.0
    if answer.status == 504 and answer.took < seconds(cluster, "REQUEST_TIMEOUT_MS") * SOONEST:
        return 0.0
    return behind if behind > answer.took / 4 else 0.0


def doubt_starved(cluster: Cluster, answer: Answer, missing: list[int] | None = None) -> None:
    if behind := starved(cluster, answer, missing):
        raise Inconclusive(f"{answer}, but the machine was {behind:.2f} s behind then: "
                           "the receiver may have had no processor")
