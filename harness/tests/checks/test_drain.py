"""What a drain's failure says."""
from __future__ import annotations

import signal
import threading
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from harness.checks import drain
from harness.clients.exchange import Answer
from harness.cluster.fixture import Fixture
from harness.judging.verdict import Bound, BoundBroken, CheckFailed

HEADERS = {"connection": "close", "retry-after": "1"}


class Late:
    def expect_within(self, within: float, start: float, end: float, what: str) -> None:
        if end - start > within:
            raise BoundBroken(what, Bound(start, start + within, end, what))


def test_a_503_that_is_late_has_its_bound_for_the_picture() -> None:
    answer = Answer("answer", "GET", "/", 1.0, 2.0, 503, HEADERS, b"{}", 1)
    cluster: Any = Late()
    with pytest.raises(BoundBroken, match="the 503 to GET /") as failure:
        drain.expect_turned_away(cluster, answer, 0.1, 0.5, [])
    assert failure.value.bound == Bound(1.0, 1.1, 2.0, failure.value.seen)
    assert "the 503 waits" in failure.value.likely and "say 503 where" in failure.value.hint


def held_until(moment: float) -> list[Any]:
    ended = threading.Event()
    ended.set()
    return [SimpleNamespace(ended=ended, answer=Answer("answer", "GET", "/slow", 0.4, moment, 200), method="GET", path="/slow")]


@pytest.mark.parametrize(("kept", "likely"), [(False, "stopped accepting"), (True, "threads")])
def test_who_got_no_answer_until_the_drain_was_over_was_not_turned_away(kept: bool, likely: str) -> None:
    answer = Answer("reset", "GET", "/", 1.0, 2.0)
    cluster: Any = Late()
    with pytest.raises(BoundBroken, match="none came") as failure:
        drain.expect_turned_away(cluster, answer, 0.1, 0.5, held_until(1.9), kept)
    assert likely in failure.value.likely and ("accepting" in failure.value.likely) != kept
    assert drain.expect_turned_away(cluster, answer, 0.1, 0.5, held_until(1.05), kept) is False


ENDS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep({after}), os._exit({code})))
"""


@pytest.mark.parametrize(("after", "code", "wanted", "likely"), [
    (0, 0, 1, "does not tell"), (0, 1, 0, "normal end"), (2, 1, 0, "does not complete"), (2, 0, 0, ""), (0, 5, 0, "")])
def test_why_the_end_is_not_the_one_that_was_wanted(make_fixture: Callable[[str], Fixture], after: int, code: int, wanted: int, likely: str) -> None:
    fixture = make_fixture(ENDS.format(after=after, code=code))
    cluster = fixture.start()
    with pytest.raises(CheckFailed) as failure:
        cluster.expect_exit(wanted, cluster.signal(signal.SIGTERM), 0.5)
    fixture.finish()
    assert likely in failure.value.likely and bool(failure.value.likely) == bool(likely)


NOTICES_LATE = """
import time
draining = threading.Event()
def do_GET(self):
    self.send_response(503 if draining.is_set() else 200); self.send_header("Content-Length", "0"); self.end_headers()
Handler.do_GET = do_GET
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def take():
    while signal.SIGTERM not in signal.sigpending():
        time.sleep(0.01)
    time.sleep(0.5)
    signal.sigwait([signal.SIGTERM])
    draining.set()
    signal.sigwait([signal.SIGTERM])
    os._exit(1)
threading.Thread(target=take, daemon=True).start()
"""


def test_a_second_signal_is_not_merged_with_one_that_was_not_noticed_yet(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture(NOTICES_LATE)
    cluster = fixture.start()
    drain.begin(cluster, signal.SIGTERM)
    drain.await_noticed(cluster)
    cluster.expect_exit(1, cluster.signal(signal.SIGTERM), 1.0)
    fixture.finish()


@pytest.mark.parametrize(("read", "behind", "too_early"), [(1.1, 0.0, False), (1.4, 0.0, True), (1.4, 0.3, False), (3.0, 0.3, True)])
def test_a_refusal_is_too_early_only_if_the_last_answer_was_not_just_being_read(read: float, behind: float, too_early: bool) -> None:
    cluster: Any = SimpleNamespace(meter=SimpleNamespace(allowance=lambda start, end: behind))
    held: Any = SimpleNamespace(wait=lambda patience: Answer("answer", "GET", "/slow", 0.0, read, 200), method="GET", path="/slow")
    refused = Answer("refused", "GET", "/fast", 1.0, 1.0)
    try:
        drain.expect_all_answered_at(cluster, refused, held, 0.5)
        assert not too_early
    except CheckFailed as failure:
        assert too_early and "0.50 s after the signal, while GET /slow was still being worked on" in failure.seen
