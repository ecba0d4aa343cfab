"""Clients that ask all the time: what is held against the program, and what is the client's own lateness."""
from __future__ import annotations

import time
from itertools import pairwise
from typing import Callable

import pytest

from grading.lab import Lab
from grading.load import ENOUGH, LONGEST_GAP, Asked, Kind, Load, Outcome
from grading.verdict import CheckFailed, Inconclusive

TAKES_TIME = """
import time
class Slow(Handler):
    def do_GET(self):
        time.sleep(0.2)
        super().do_GET()
Handler = Slow
"""
KINDS: tuple[Kind, ...] = ("fresh", "kept")
CLOSES_IDLE = """
Handler.timeout = 0.2
"""


@pytest.mark.parametrize("outcome, idle, behind, excused", [
    ("closed", 0.44, 0.4, False), ("reset", 0.44, 0.6, True), ("closed", 0.51, 0.0, True),
    ("cut", 0.44, 0.6, False), ("waiting", 0.6, 1.2, False),
])
def test_a_late_client_is_not_held_against_the_program(make_lab: Callable[[str], Lab], monkeypatch: pytest.MonkeyPatch, outcome: Outcome,
                                                       idle: float, behind: float, excused: bool) -> None:
    lab = make_lab("")
    cluster = lab.start()
    monkeypatch.setattr(cluster.meter, "allowance", lambda start, end, due=None: behind if (start, end) == (9.0, 10.1) else 100.0)
    load = Load(cluster, fresh=0, kept=1)
    load.asked.append(Asked("kept", 10.0, 10.1, outcome, idle=idle, before=9.0))
    try:
        load.expect_nothing_dropped(0, 11)
        raise AssertionError("one request is too few to say anything")
    except Inconclusive:
        assert excused or outcome == "waiting"
    except CheckFailed:
        assert not excused
    lab.finish()


def test_the_request_before_is_known(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab("")
    with Load(lab.start(), fresh=1, kept=2) as load:
        pass
    lab.finish()
    for client in (0, 1):
        asked = [one for one in load.asked if one.kind == "kept" and one.client == client]
        assert [one.before for one in asked] == [None, *(one.started for one in asked[:-1])]


def test_a_connection_that_is_closed_too_soon_is_noticed(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(CLOSES_IDLE)
    with Load(lab.start(), fresh=1, kept=4) as load:
        while not any(one.dropped and not one.excused for one in list(load.asked)):
            load.join(0.01)
            assert load.is_alive()
    lab.finish()
    with pytest.raises(CheckFailed, match="kept-alive connections: connection closed without an answer"):
        load.expect_nothing_dropped(0, load.asked[-1].ended)


@pytest.mark.parametrize("kind, outcome, before, sent, doubtful", [
    ("kept", "closed", 8.9, 10.0, True), ("kept", "reset", 8.9, 10.0, True), ("kept", "closed", 9.1, 10.0, False),
    ("fresh", "closed", None, 11.1, True), ("fresh", "closed", None, 10.1, False), ("kept", "cut", 8.9, 10.0, False)])
def test_a_connection_that_may_have_been_idle_for_long_proves_nothing(make_lab: Callable[[str], Lab], kind: Kind, outcome: Outcome,
                                                                      before: float | None, sent: float, doubtful: bool) -> None:
    """The client got no processor: it read the answer before, or sent this request, long after it could have."""
    lab = make_lab("")
    load = Load(lab.start(), fresh=1, kept=1)
    load.asked.append(Asked(kind, 10.0, 12.0, outcome, idle=0.2, before=before, sent=sent))
    with pytest.raises(Inconclusive if doubtful else CheckFailed, match="so slow" if doubtful else "1 were dropped"):
        load.expect_nothing_dropped(0, 13)
    lab.finish()


def test_slow_clients_count_from_request_to_request(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(TAKES_TIME)
    with Load(lab.start(), fresh=0, kept=2) as load:
        while sum(one.client == 1 for one in list(load.asked)) < 6:
            load.join(0.01)
            assert load.is_alive()
    lab.finish()
    started = [one.started for one in load.asked if one.client == 1]
    assert 0.25 < min(later - earlier for earlier, later in pairwise(started)) < LONGEST_GAP


def test_enough_requests_are_awaited(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab("")
    with Load(lab.start(), fresh=4, kept=4) as load:
        began = time.monotonic()
        ended = load.await_enough(began)
    lab.finish()
    assert all(load.count(kind, began, ended) >= ENOUGH for kind in KINDS)
    load.expect_nothing_dropped(began, ended)
