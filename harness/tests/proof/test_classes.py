"""The class whose verdicts are known, and who grades it."""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.classroom.find_submissions import find
from harness.proof.classes.members import NUMBER, Member, members, write
from harness.proof.classes.try_class import Run, faults_of, foretold, letters
from harness.system.places import ROOT


def test_each_student_is_found_once_and_nobody_else(tmp_path: Path) -> None:
    students = members(300)
    write(students, tmp_path / "in")
    found, ignored = find(tmp_path / "in", NUMBER)
    assert ignored == [] and len(found) == len(students) == 300
    by_name = {letters(one.student): one for one in found}
    for name, one in students:
        has_source = by_name[letters(name)].source is not None
        assert has_source or one.states == ("build-failed",), name


@pytest.mark.parametrize(("one", "state", "passed", "said"), [
    (Member("solution", {}, passes=5), "graded", (0, 1, 2, 3, 4, 5), ""),
    (Member("solution", {}, passes=5), "graded", (0, 1, 2, 3, 4), "4 items pass, not 5"),
    (Member("solution", {}, passes=5), "graded", (1, 2, 3, 4, 5), "the common ground"),
    (Member("starter", {}, passes=0), "graded", (0, 2), "1 items pass, not 0"),
    (Member("wrong", {}, fails=3), "graded", (0, 1, 2), ""),
    (Member("wrong", {}, fails=3), "graded", (0, 3), "item 3 passes"),
    (Member("wrong", {}, fails=0), "graded", (0, 3), "item 0 passes"),
    (Member("broken", {}, ("build-failed",)), "build-failed", (), ""),
    (Member("broken", {}, ("build-failed",)), "crashed", (), "crashed (why), not build-failed")])
def test_what_is_not_as_it_should_be_is_named(one: Member, state: str, passed: tuple[int, ...],
                                              said: str) -> None:
    result: dict[str, Any] = {"state": state, "sentence": "why", "items": [
        {"item": item, "result": "pass" if item in passed else "fail"} for item in range(6)]}
    found = faults_of("ada", one, result)
    assert len(found) == bool(said) and all(said in fault for fault in found)


def test_the_time_that_was_told_is_compared_with_the_real_one() -> None:
    lines = [(10.0 * number, f"{number} of 20: … (10.0 s each, {20 - number} min left)")
             for number in range(1, 21)]
    assert "told after 10 results: 600 s left; really 100 s (6.00 of it)" == foretold(
        Run(0, 200.0, lines))


def test_a_small_class_that_is_ended_and_begun_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ROOT / ".ci/python"), "-m", "harness.proof.classes.try_class", "--students", "3",
         "--kills", "1", "--force", str(tmp_path / "tried")], cwd=ROOT, capture_output=True,
        text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "-- ended by SIGKILL" in done.stdout and "3 submissions, 3 results" in done.stdout
    assert "verdicts that are not as they should be: 0" in done.stdout
