"""The file with a learner's progress."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.learner import progress
from harness.learner.progress import Standing
from harness.tests.learner.gradings import failed_items, graded


def test_only_a_whole_grading_counts() -> None:
    graded("pass", chosen=1)
    assert progress.of(1) == Standing()
    graded("pass", "fail", "pass", "pass", "inconclusive")
    before = progress.of(1)
    assert (before.passed, before.earned, before.graded != "") == (3, False, True)
    assert failed_items() == [2]
    graded("fail", chosen=1)
    after = progress.of(1)
    assert (after.passed, after.graded, failed_items()) == (3, before.graded, [1, 2])
    graded("pass", chosen=2)
    assert failed_items() == [1]
    graded("pass", "pass", "pass")
    assert progress.of(1).passed == 3, "one that was interrupted is not whole"


def test_what_was_not_judged_stays_failed() -> None:
    graded("fail", "fail", "pass", "pass", "pass")
    graded("skipped", chosen=2)
    graded("inconclusive", chosen=1)
    assert failed_items() == [1, 2]


def test_a_whole_grading_that_could_not_judge_forgets_no_failure() -> None:
    graded("pass", "fail", "pass", "pass", "pass")
    graded("pass", "inconclusive", "pass", "pass", "pass")
    assert failed_items() == [2]


def test_what_was_earned_stays_earned() -> None:
    graded("pass", "pass", "pass", "pass", "inconclusive")
    assert not progress.of(1).earned
    graded("pass", "pass", "pass", "pass", "pass")
    graded("fail", "pass", "pass", "pass", "pass")
    assert progress.of(1).earned and progress.of(1).passed == 4


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_file_is_kept_and_said(file: Path, content: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    file.write_text(content)
    assert progress.of(1) == Standing()
    said = capsys.readouterr().err
    assert "is damaged" in said and str(file.with_name("progress.json.bad")) in said
    assert file.with_name("progress.json.bad").read_text() == content
    graded("pass", "fail", "pass", "pass", "pass")
    assert progress.of(1).passed == 4 and capsys.readouterr().err == ""
    file.write_text("again")
    progress.of(1)
    assert file.with_name("progress.json.bad").read_text() == content
    assert file.with_name("progress.json.bad1").read_text() == "again"


def test_what_another_kit_has_noted_stays(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"1": {"earned": True, "later": [1]}, "9": {"results": 3}}))
    assert progress.of(1) == Standing(earned=True)
    graded("pass", "fail", "pass", "pass", "pass")
    found = json.loads(file.read_text())
    assert found["1"]["later"] == [1] and found["9"] == {"results": 3}
    assert progress.of(1).earned and progress.of(1).passed == 4


def test_nothing_else_lies_beside_the_file(file: Path) -> None:
    graded("pass", "pass", "pass", "pass", "pass")
    assert [one.name for one in file.parent.iterdir()] == ["progress.json"]


def test_a_file_that_cannot_be_written_is_said(file: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.write_text("not a folder")
    graded("pass", "pass", "pass", "pass", "pass")
    assert "your progress is not kept" in capsys.readouterr().err
