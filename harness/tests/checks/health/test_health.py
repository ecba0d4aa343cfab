"""A worker counts as healthy when the master has judged its next heartbeats."""
from __future__ import annotations

import os
import subprocess
import time
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from harness.checks.health import health
from harness.judging.verdict import CheckFailed
from harness.system import processes

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
    meter = SimpleNamespace(allowance=lambda *_: 0.0)
    return SimpleNamespace(pid=os.getpid(), started=time.monotonic() - 1, refuse_late=refuse,
                           meter=meter, lines=[])


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


def look_late(monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]],
              before: float, after: float) -> None:
    """Each look at the cluster's processes takes so long before one is started, and after that."""
    def children(_pid: int) -> list[int]:
        if known:
            time.sleep(before)
            started.append(subprocess.Popen(["sleep", "60"]))
            time.sleep(after)
        known.append(0)
        return [one.pid for one in started]

    known: list[int] = []
    monkeypatch.setattr(processes, "children", children)


@pytest.mark.parametrize(("before", "after", "wrong"), [(0.3, 0.0, False), (0.0, 0.3, True)])
def test_who_looks_late_judges_by_the_birth(monkeypatch: pytest.MonkeyPatch, cluster: Any,
                                            before: float, after: float, wrong: bool) -> None:
    started: list[subprocess.Popen[bytes]] = []
    look_late(monkeypatch, started, before, after)
    try:
        if not wrong:
            health.expect_left_alone(cluster, {1: os.getpid()}, 0.2, "it is too early")
            return
        with pytest.raises(CheckFailed, match="new process"):
            health.expect_left_alone(cluster, {1: os.getpid()}, 0.2, "it is too early")
    finally:
        for one in started:
            one.kill()
            one.wait()


def test_who_looks_late_at_an_end_cannot_say_when_it_was(monkeypatch: pytest.MonkeyPatch,
                                                         cluster: Any) -> None:
    with subprocess.Popen(["sleep", "60"]) as worker:
        def children(_pid: int) -> list[int]:
            if known:
                time.sleep(0.3)
                worker.kill()
                worker.wait()
            known.append(0)
            return []

        known: list[int] = []
        monkeypatch.setattr(processes, "children", children)
        health.expect_left_alone(cluster, {1: worker.pid}, 0.2, "it is too early")
        with pytest.raises(CheckFailed, match="worker 1 has ended"):
            health.expect_left_alone(cluster, {1: worker.pid}, 10.0, "it is too early")


@pytest.mark.parametrize("stays", [True, False])
def test_a_successor_that_leaves_at_once_is_none(monkeypatch: pytest.MonkeyPatch, cluster: Any,
                                                 stays: bool) -> None:
    with subprocess.Popen(["sleep", "60" if stays else "0.1"]) as successor:
        monkeypatch.setattr(health, "expect_replaced", lambda *_, **__: successor.pid)
        try:
            if stays:
                assert health.await_successor(cluster, 1, 1, 0.0, 1.0, "silent") == successor.pid
                return
            with pytest.raises(CheckFailed, match="has left at once") as failed:
                health.await_successor(cluster, 1, 1, 0.0, 1.0, "silent")
            assert "successor was dismissed" in failed.value.likely
        finally:
            successor.kill()
