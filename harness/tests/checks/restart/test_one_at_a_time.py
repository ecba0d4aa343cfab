"""Looks at the master's children, and what is told of the order in which they come and go."""
from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checks.restart.one_at_a_time import Sample, Sampler, look
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

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
    monkeypatch.setattr(processes, "children", lambda pid: lists.pop(0))
    monkeypatch.setattr(processes, "alive", lambda pid: True)
    assert look(CLUSTER).children == {1, 2, 3, 4}


def test_a_look_is_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """9 ends, and 4 comes, just when 9 is asked whether it lives."""
    asked: set[int] = set()

    def children(pid: int) -> list[int]:
        return [1, 2, 3, 4] if 9 in asked else [1, 2, 3, 9]

    def alive(pid: int) -> bool:
        asked.add(pid)
        return pid != 9

    monkeypatch.setattr(processes, "children", children)
    monkeypatch.setattr(processes, "alive", alive)
    assert look(CLUSTER).children == {1, 2, 3, 4}


def test_children_that_never_stay_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pids = itertools.count(2)
    monkeypatch.setattr(processes, "children", lambda pid: [1, next(pids)])
    with pytest.raises(Inconclusive, match="come and go"):
        look(CLUSTER)


LOOKS = [(0.0, {OLD}), (1.0, {OLD}), (1.5, {OLD, NEW}), (2.0, {NEW})]


@pytest.mark.parametrize("startup", [0.0, 0.4])
def test_a_worker_gone_before_the_last_look_without_a_successor_left_first(startup: float) -> None:
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
def test_an_order_is_judged_as_far_as_the_looks_tell_it(
        left: float, startup: float, outcome: type[Exception] | None) -> None:
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


def test_what_ends_the_sampler_is_told_to_the_thread_that_judges(
        monkeypatch: pytest.MonkeyPatch) -> None:
    def children(pid: int) -> list[int]:
        if threading.current_thread() is not threading.main_thread():
            raise OSError("no descriptor is left")
        return [1]

    monkeypatch.setattr(processes, "children", children)
    with pytest.raises(OSError, match="no descriptor"), Sampler(CLUSTER) as looking:
        looking.join(10)
