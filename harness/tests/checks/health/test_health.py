"""A worker counts as healthy when the master has judged its next heartbeats."""
from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from harness.checks.health import health
from harness.judging.verdict import CheckFailed

EVERY = 0.05


class Heart:
    """The moments of a worker's heartbeats, one interval apart from now on."""

    def __init__(self, shift: float = 0.0, most: int = 1000) -> None:
        self.began, self.shift, self.most = time.monotonic(), shift, most

    def moments(self, _cluster: object, _slot: int) -> list[float]:
        passed = int((time.monotonic() - self.began) / EVERY)
        return [self.began + self.shift + EVERY * beat
                for beat in range(-5, min(passed, self.most) + 1)]


def refuse(_bound: float, _since: float, what: str) -> NoReturn:
    raise CheckFailed(f"{what}: not yet")


@pytest.fixture(name="cluster")
def cluster_without_processes() -> Any:
    return SimpleNamespace(pid=os.getpid(), started=time.monotonic() - 1, refuse_late=refuse)


def judge(monkeypatch: pytest.MonkeyPatch, cluster: Any, heart: Heart) -> float:
    """How long it took."""
    monkeypatch.setattr(health, "moments", heart.moments)
    monkeypatch.setattr(health, "interval", lambda _cluster: EVERY)
    began = time.monotonic()
    health.expect_judged_healthy(cluster, {1: os.getpid()}, 1, "all is well")
    return time.monotonic() - began


def test_two_heartbeats_are_awaited(monkeypatch: pytest.MonkeyPatch, cluster: Any) -> None:
    assert judge(monkeypatch, cluster, Heart()) >= 2 * EVERY


@pytest.mark.parametrize("shift", [1e9, -1e9])
def test_heartbeats_of_another_clock_are_named_as_such(monkeypatch: pytest.MonkeyPatch,
                                                       cluster: Any, shift: float) -> None:
    with pytest.raises(CheckFailed, match="heartbeat 1 of worker 1: .* CLOCK_MONOTONIC") as failed:
        judge(monkeypatch, cluster, Heart(shift=shift))
    assert "another clock" in failed.value.likely


def test_one_heartbeat_is_too_few(monkeypatch: pytest.MonkeyPatch, cluster: Any) -> None:
    with pytest.raises(CheckFailed, match="heartbeat 2 of worker 1: not yet"):
        judge(monkeypatch, cluster, Heart(most=1))
