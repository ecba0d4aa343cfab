"""A learner is told the first step that is still to do, not just the one that says so."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.judging.verdict import Record
from harness.plugin.open_steps import steps_with_todo, still_to_do
from harness.system.places import ROOT

SOURCE = """
  // STEP 1: start the workers
  master.start_workers();  // not a TODO
  // END STEP 1
// STEP 2: count
// TODO: count_
// TODO: and more
// END STEP 2
  // TODO: outside of any step
  // STEP 10: the end
  // TODO: cut
  // END STEP 10
"""
SAYS = ["ready", "12:00:00.000 master[1] STEP 10 is still to do: nobody cuts"]
SAID = "STEP 10 is still to do, as the program says itself"


def test_steps_with_a_todo_are_found_in_their_order() -> None:
    assert steps_with_todo(SOURCE) == [2, 10]


@pytest.mark.parametrize("starter", sorted(ROOT.glob("exercises/ex*/main.cpp")),
                         ids=lambda path: str(path.parent.name))
def test_every_step_of_a_starter_has_its_todo(starter: Path) -> None:
    found = steps_with_todo(starter.read_text(encoding="utf-8"))
    assert found == list(range(1, len(found) + 1)) and len(found) >= 5


@pytest.mark.parametrize(("todo", "told"), [
    ([2, 10], f"STEP 2 still has its TODO in main.cpp, and {SAID}"), ([10], SAID), ([], SAID),
    (None, f"{SAID} (and perhaps one before it)")])
def test_an_earlier_step_comes_first(todo: list[int] | None, told: str) -> None:
    assert still_to_do(SAYS, todo) == told
    assert Record("", 1, "", likely=told).says_step


def test_a_program_that_says_nothing_is_not_suspected() -> None:
    assert still_to_do(["ready"], [1, 2]) == ""
