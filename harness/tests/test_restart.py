"""What the looks at the master's children say about the order of comings and goings."""
from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from grading.restart import Sample, Sampler
from grading.verdict import CheckFailed, Inconclusive

OLD, NEW = 1, 2


def sampler(looks: list[tuple[float, set[int]]], left: float) -> Sampler:
    cluster: Any = SimpleNamespace(pid=0, watcher=SimpleNamespace(gone_at=lambda pid: left))
    found = Sampler(cluster)
    found.samples = [Sample(t, frozenset(children)) for t, children in looks]
    return found


@pytest.mark.parametrize("lists", [
    [[1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]],  # a sibling was left out, since another child ended just then
    [[1, 2, 3, 9], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]],  # 9 was gone, and 4 had come, when 9 was looked at
])
def test_a_look_is_one_moment(lists: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grading.restart.processes.children", lambda pid: lists.pop(0))
    monkeypatch.setattr("grading.restart.processes.alive", lambda pid: pid != 9)
    cluster: Any = SimpleNamespace(pid=0)
    assert Sampler(cluster).samples[0].children == {1, 2, 3, 4}


def test_children_that_never_stay_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pids = itertools.count(2)
    monkeypatch.setattr("grading.restart.processes.children", lambda pid: [1, next(pids)])
    cluster: Any = SimpleNamespace(pid=0)
    with pytest.raises(Inconclusive, match="come and go"):
        Sampler(cluster)


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
