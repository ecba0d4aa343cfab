"""What looks at the master and its children say: the order of comings and goings, and whether it is at work."""
from __future__ import annotations

import itertools
import subprocess
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checks import restart
from harness.checks.restart import Sample, Sampler, look, next_newcomer
from harness.judging.verdict import CheckFailed, Inconclusive

OLD, NEW = 1, 2
CLUSTER: Any = SimpleNamespace(pid=0)


def sampler(looks: list[tuple[float, set[int]]], left: float) -> Sampler:
    cluster: Any = SimpleNamespace(pid=0, watcher=SimpleNamespace(gone_at=lambda pid: left))
    found = Sampler(cluster)
    found.samples = [Sample(t, frozenset(children)) for t, children in looks]
    return found


def test_a_list_that_lacks_a_sibling_is_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was left out, since another child ended just then."""
    lists = [[1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]]
    monkeypatch.setattr("harness.checks.restart.processes.children", lambda pid: lists.pop(0))
    monkeypatch.setattr("harness.checks.restart.processes.alive", lambda pid: True)
    assert look(CLUSTER).children == {1, 2, 3, 4}


def test_a_look_is_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """9 ends, and 4 comes, just when 9 is asked whether it lives."""
    asked: set[int] = set()

    def alive(pid: int) -> bool:
        asked.add(pid)
        return pid != 9

    monkeypatch.setattr("harness.checks.restart.processes.children", lambda pid: [1, 2, 3, 4] if 9 in asked else [1, 2, 3, 9])
    monkeypatch.setattr("harness.checks.restart.processes.alive", alive)
    assert look(CLUSTER).children == {1, 2, 3, 4}


def test_children_that_never_stay_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pids = itertools.count(2)
    monkeypatch.setattr("harness.checks.restart.processes.children", lambda pid: [1, next(pids)])
    with pytest.raises(Inconclusive, match="come and go"):
        look(CLUSTER)


LOOKS = [(0.0, {OLD}), (1.0, {OLD}), (1.5, {OLD, NEW}), (2.0, {NEW})]


@pytest.mark.parametrize("startup", [0.0, 0.4])
def test_who_left_before_the_last_look_without_a_successor_left_first(startup: float) -> None:
    with pytest.raises(CheckFailed, match="left before its successor 2 had appeared") as failure:
        sampler(LOOKS, 0.9).expect_one_at_a_time({1: OLD}, startup)
    assert "ended first" in failure.value.likely


@pytest.mark.parametrize(("left", "startup", "outcome"), [
    (1.4, 0.0, None),  # between two looks: either may have been first
    (1.6, 0.0, None),
    (1.6, 0.4, Inconclusive),
    (1.6, 0.8, CheckFailed),
    (1.9, 0.4, None),
])
def test_an_order_is_judged_as_far_as_the_looks_tell_it(left: float, startup: float, outcome: type[Exception] | None) -> None:
    looked = sampler(LOOKS, left)
    if outcome is None:
        looked.expect_one_at_a_time({1: OLD}, startup)
    else:
        with pytest.raises(outcome):
            looked.expect_one_at_a_time({1: OLD}, startup)


def test_a_successor_that_was_not_seen_leaves_the_order_open() -> None:
    looked = sampler([*LOOKS[:2], (2.0, {OLD})], 3.0)
    with pytest.raises(Inconclusive, match="0 successors of 1 old"):
        looked.expect_one_at_a_time({1: OLD}, 0.0)


def test_what_ends_the_sampler_is_told_to_who_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    def children(pid: int) -> list[int]:
        if threading.current_thread() is not threading.main_thread():
            raise OSError("no descriptor is left")
        return [1]

    monkeypatch.setattr("harness.checks.restart.processes.children", children)
    with pytest.raises(OSError, match="no descriptor"), Sampler(CLUSTER) as looking:
        looking.join(10)


def test_a_newcomer_came_when_it_was_started_not_when_it_was_first_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as child:
        running = time.monotonic()
        try:
            monkeypatch.setattr("harness.checks.restart.processes.children", lambda pid: [child.pid])
            came, pid = next_newcomer(CLUSTER, set(), 5)
        finally:
            child.kill()
    assert pid == child.pid and before - 0.02 < came <= running


def test_a_master_that_has_just_worked_is_not_signalled_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause between two pieces of work is not their end."""
    busy = iter([True, False, False, True])
    last_work: list[float] = []

    def not_noticed(cluster: object) -> bool:
        if next(busy, False):
            last_work.append(time.monotonic())
            return True
        return False

    monkeypatch.setattr(restart, "not_noticed_yet", not_noticed)
    cluster: Any = SimpleNamespace(signal=lambda number: time.monotonic())
    signalled = restart.restart(cluster)
    assert len(last_work) == 2 and signalled >= last_work[-1] + restart.QUIET_FOR
