"""A load: failures that count against the program are told from those of a late client."""
from __future__ import annotations

import time
from itertools import pairwise
from typing import Callable

import pytest

from harness.clients.load import ENOUGH, Load
from harness.clients.load_connection import LONGEST_GAP, Asked, Kind, Outcome
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed, Inconclusive

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
def test_a_late_client_does_not_count_against_the_program(
        make_fixture: Callable[[str], Fixture], monkeypatch: pytest.MonkeyPatch, outcome: Outcome,
        idle: float, behind: float, excused: bool) -> None:
    fixture = make_fixture("")
    cluster = fixture.start()
    monkeypatch.setattr(cluster.meter, "allowance", lambda start, end, due=None: (
        behind if (start, end) == (9.0, 10.1) else 100.0))
    load = Load(cluster, fresh=0, kept=1)
    load.asked.append(Asked("kept", 10.0, 10.1, outcome, idle=idle, before=9.0))
    try:
        load.expect_nothing_dropped(0, 11)
        raise AssertionError("one request is too few to say anything")
    except Inconclusive:
        assert excused or outcome == "waiting"
    except CheckFailed:
        assert not excused
    fixture.finish()


def test_the_request_before_is_known(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("")
    with Load(fixture.start(), fresh=1, kept=2) as load:
        pass
    fixture.finish()
    for client in (0, 1):
        asked = [one for one in load.asked if one.kind == "kept" and one.client == client]
        assert [one.before for one in asked] == [None, *(one.started for one in asked[:-1])]


def test_a_connection_that_is_closed_too_soon_is_noticed(make_fixture: Callable[[str], Fixture]
                                                         ) -> None:
    fixture = make_fixture(CLOSES_IDLE)
    with Load(fixture.start(), fresh=1, kept=4) as load:
        while not any(one.dropped and not one.excused for one in list(load.asked)):
            load.join(0.01)
            assert load.is_alive()
    fixture.finish()
    told = "kept-alive connections: connection closed without an answer"
    with pytest.raises(CheckFailed, match=told):
        load.expect_nothing_dropped(0, load.asked[-1].ended)


@pytest.mark.parametrize("kind, outcome, before, sent, doubtful", [
    ("kept", "closed", 8.9, 10.0, True), ("kept", "reset", 8.9, 10.0, True),
    ("kept", "closed", 9.1, 10.0, False), ("fresh", "closed", None, 11.1, True),
    ("fresh", "closed", None, 10.1, False), ("kept", "cut", 8.9, 10.0, False)])
def test_a_connection_that_may_have_been_idle_for_long_proves_nothing(
        make_fixture: Callable[[str], Fixture], kind: Kind, outcome: Outcome,
        before: float | None, sent: float, doubtful: bool) -> None:
    """The client got no processor: it read the answer before, or sent this request, long after it
    could have."""
    fixture = make_fixture("")
    load = Load(fixture.start(), fresh=1, kept=1)
    load.asked.append(Asked(kind, 10.0, 12.0, outcome, idle=0.2, before=before, sent=sent))
    with pytest.raises(Inconclusive if doubtful else CheckFailed,
                       match="so slow" if doubtful else "1 were dropped"):
        load.expect_nothing_dropped(0, 13)
    fixture.finish()


def test_slow_clients_count_from_request_to_request(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture(TAKES_TIME)
    with Load(fixture.start(), fresh=0, kept=2) as load:
        while sum(one.client == 1 for one in list(load.asked)) < 6:
            load.join(0.01)
            assert load.is_alive()
    fixture.finish()
    started = [one.started for one in load.asked if one.client == 1]
    assert 0.25 < min(later - earlier for earlier, later in pairwise(started)) < LONGEST_GAP


def test_enough_requests_are_awaited(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("")
    with Load(fixture.start(), fresh=4, kept=4) as load:
        began = time.monotonic()
        ended = load.await_enough(began)
    fixture.finish()
    assert all(load.count(kind, began, ended) >= ENOUGH for kind in KINDS)
    load.expect_nothing_dropped(began, ended)
