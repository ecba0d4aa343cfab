"""Clients that ask all the time: what is held against the program, and what is the client's own lateness."""
from __future__ import annotations

from typing import Callable

import pytest

from grading.lab import Lab
from grading.load import Asked, Load, Outcome
from grading.verdict import CheckFailed

CLOSES_IDLE = """
Handler.timeout = 0.2
"""


@pytest.mark.parametrize("outcome, idle, quiet, excused", [
    ("closed", 0.44, 0.6, False), ("reset", 0.44, 0.99, False),
    ("closed", 0.44, 1.05, True), ("reset", 0.51, 0.6, True),
    ("cut", 0.44, 1.05, False), ("refused", 0.6, 1.2, False),
])
def test_a_late_client_is_not_held_against_the_program(outcome: Outcome, idle: float, quiet: float, excused: bool) -> None:
    assert Asked("kept", 10.0, 10.1, outcome, idle=idle, quiet=quiet).excused == excused
    assert not Asked("fresh", 10.0, 10.1, outcome, idle=idle, quiet=quiet).excused


def test_quiet_is_counted_from_the_request_before(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab("")
    with Load(lab.start(), fresh=1, kept=2) as load:
        pass
    lab.finish()
    kept = {client: [one for one in load.asked if one.kind == "kept" and one.client == client] for client in (0, 1)}
    for asked in kept.values():
        for before, one in zip(asked, asked[1:]):
            assert one.started - before.started <= one.quiet <= one.ended - before.started
            assert one.idle <= one.quiet


def test_a_connection_that_is_closed_too_soon_is_noticed(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(CLOSES_IDLE)
    with Load(lab.start(), fresh=1, kept=4) as load:
        while not any(one.dropped and not one.excused for one in list(load.asked)):
            load.join(0.01)
    lab.finish()
    with pytest.raises(CheckFailed, match="kept-alive connections: connection closed without an answer"):
        load.expect_nothing_dropped(0, load.asked[-1].ended)
