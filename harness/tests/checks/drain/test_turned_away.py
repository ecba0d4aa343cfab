"""What is said of a request that a draining cluster does not turn away in time."""
from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checks.drain import turned_away
from harness.checks.drain.drain import Drain
from harness.clients.exchange import Answer
from harness.judging.verdict import Bound, BoundBroken, CheckFailed

HEADERS = {"connection": "close", "retry-after": "1"}


class Strict:
    """A cluster on a machine that is never behind."""

    def expect_within(self, within: float, start: float, end: float, what: str) -> None:
        if end - start > within:
            raise BoundBroken(what, Bound(start, start + within, end, what))


def drain_of(cluster: Any, *held: Any) -> Drain:
    return Drain(cluster, 0.5, list(held))


def answered_at(moment: float) -> Any:
    """A held request."""
    ended = threading.Event()
    ended.set()
    answer = Answer("answer", "GET", "/slow", 0.4, moment, 200)
    return SimpleNamespace(ended=ended, answer=answer, method="GET", path="/slow",
                           wait=lambda patience: answer)


def test_a_503_that_is_late_has_its_bound_for_the_picture() -> None:
    answer = Answer("answer", "GET", "/", 1.0, 2.0, 503, HEADERS, b"{}", 1)
    with pytest.raises(BoundBroken, match="the 503 to GET /") as failure:
        turned_away.expect_503(drain_of(Strict()), answer)
    assert failure.value.bound == Bound(1.0, 1.1, 2.0, failure.value.seen)
    assert "the 503 waits" in failure.value.likely and "say 503 where" in failure.value.hint


@pytest.mark.parametrize(("kept", "likely"), [(False, "stopped accepting"), (True, "threads")])
def test_a_request_without_an_answer_until_the_drain_was_over_was_not_turned_away(
        kept: bool, likely: str) -> None:
    answer = Answer("reset", "GET", "/", 1.0, 2.0)
    with pytest.raises(BoundBroken, match="none came") as failure:
        turned_away.expect_503(drain_of(Strict(), answered_at(1.9)), answer, kept)
    assert likely in failure.value.likely and ("accepting" in failure.value.likely) != kept
    assert turned_away.expect_503(drain_of(Strict(), answered_at(1.05)), answer, kept) is False


@pytest.mark.parametrize(("read", "behind", "too_early"),
                         [(1.1, 0.0, False), (1.4, 0.0, True), (1.4, 0.3, False), (3.0, 0.3, True)])
def test_a_refusal_is_too_early_only_if_the_last_answer_was_not_just_being_read(
        read: float, behind: float, too_early: bool) -> None:
    cluster = SimpleNamespace(meter=SimpleNamespace(allowance=lambda start, end: behind,
                                                    excused=0.0))
    refused = Answer("refused", "GET", "/fast", 1.0, 1.0)
    try:
        turned_away.expect_all_answered_at(drain_of(cluster, answered_at(read)), refused)
        assert not too_early
    except CheckFailed as failure:
        wanted = "0.50 s after the signal, while GET /slow was still being worked on"
        assert too_early and wanted in failure.seen
