"""Counts of repeated gradings: they add up, are kept apart, and bound a rate."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness.proof import soak_counts
from harness.proof.grade_program import Verdict
from harness.tests.proof.subjects import SOLUTION


@pytest.mark.parametrize("events, tries, bound", [
    (0, 300, 0.00994), (0, 1, 0.95), (1, 20, 0.21611), (3, 100, 0.07571), (5, 5, 1.0),
])
def test_the_upper_bound(events: int, tries: int, bound: float) -> None:
    """Figures from tables of exact binomial limits; for no event the rule of three is near."""
    assert soak_counts.upper_bound(events, tries) == pytest.approx(bound, abs=1e-4)


def test_the_upper_bound_of_many() -> None:
    assert 0.12 < soak_counts.upper_bound(240, 2000) < 0.14
    assert soak_counts.upper_bound(0, 100_000) < 0.00004


def test_series_add_up(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    for outcome, state in (("right", "idle, 2 cores"), ("right", "cpu, 1 core"),
                           ("inconclusive", "cpu, 1 core")):
        counts = soak_counts.read(file)
        verdict = Verdict(SOLUTION)
        if outcome != "right":
            verdict.note(outcome, "why")
        counts.add(verdict, state)
        soak_counts.write(counts, file)
    counts = soak_counts.read(file)
    assert counts.sums() == Counter({"right": 2, "inconclusive": 1, "all": 3})
    assert counts.sums("solution", "cpu")["all"] == 2 and counts.sums("wrong")["all"] == 0
    assert [one["faults"] for one in counts.noted] == [["why"]]
    assert soak_counts.rows(counts)[-1][:6] == ["all", "all", "3", "0", "63.16%", "1"]


def test_two_series_do_not_write_to_the_same_place(tmp_path: Path) -> None:
    with soak_counts.kept_in(tmp_path / "soak.json"):
        with pytest.raises(ValueError, match="another series"):
            with soak_counts.kept_in(tmp_path / "other.json"):
                pass
    with soak_counts.kept_in(tmp_path / "soak.json"):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"other": 1}'])
def test_a_file_of_something_else_is_not_overwritten(text: str, tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="holds no counts"):
        soak_counts.read(file)
