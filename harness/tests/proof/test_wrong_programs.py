"""The edits that make wrong programs apply to the solutions as they are."""
from __future__ import annotations

import pytest

from harness.proof import build_programs
from harness.proof.wrong_program import NoSuchText, Wrong, apply
from harness.system.places import ROOT

EXERCISES = build_programs.exercises()


@pytest.mark.parametrize("exercise", EXERCISES, ids=[one.folder for one in EXERCISES])
def test_every_edit_applies_and_changes_something(exercise: build_programs.Exercise) -> None:
    solution = (ROOT / "solutions" / exercise.folder / "main.cpp").read_text(encoding="utf-8")
    for wrong in exercise.wrong:
        assert apply(wrong, solution) != solution, wrong.name


@pytest.mark.parametrize("exercise", EXERCISES, ids=[one.folder for one in EXERCISES])
def test_every_item_has_two_wrong_programs_and_every_exercise_ten(
        exercise: build_programs.Exercise) -> None:
    counts = [sum(wrong.item == item for wrong in exercise.wrong) for item in range(1, 6)]
    assert min(counts) >= 2 and sum(counts) >= 10, counts
    assert len({wrong.name for wrong in exercise.wrong}) == len(exercise.wrong)


@pytest.mark.parametrize("source", ["", "one two two"])
def test_an_edit_that_does_not_apply_is_an_error(source: str) -> None:
    with pytest.raises(NoSuchText):
        apply(Wrong("x", "a mistake", 1, (("two", "three"),), "word"), source)
