"""Bounds on time are judged with the delay of the machine."""
from __future__ import annotations

import time

import pytest

from harness.judging.delay_meter import DelayMeter
from harness.judging.time_bounds import expect_not_before, expect_within, refuse_late
from harness.judging.verdict import CheckFailed, Inconclusive


class Behind(DelayMeter):
    """A meter that always tells the same delay."""

    def __init__(self, delay: float) -> None:
        super().__init__(lambda: [])
        self.delay = delay

    def allowance(self, start: float, end: float, due: float | None = None) -> float:
        return self.delay


def test_in_time_is_in_time() -> None:
    expect_within(Behind(0.0), 1.0, 10.0, 10.9, "it")


def test_late_is_refused() -> None:
    with pytest.raises(CheckFailed, match="took 1100 ms, the bound is 1000 ms"):
        expect_within(Behind(0.05), 1.0, 10.0, 11.1, "it")


def test_late_because_of_the_machine_is_forgiven() -> None:
    expect_within(Behind(0.2), 1.0, 10.0, 11.1, "it")


def test_absurd_delays_judge_nothing() -> None:
    with pytest.raises(Inconclusive):
        expect_within(Behind(9.0), 0.1, 10.0, 18.0, "it")
    with pytest.raises(Inconclusive):
        expect_within(Behind(6.0), 0.1, 10.0, 30.0, "it")
    with pytest.raises(Inconclusive):
        refuse_late(Behind(6.0), 0.1, time.monotonic() - 3, "it")


def test_too_early_is_refused() -> None:
    with pytest.raises(CheckFailed):
        expect_not_before(1.0, 10.0, 10.8, "it")
