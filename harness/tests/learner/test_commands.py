"""What a learner is told between two gradings: hints, the solution, how far everything is."""
from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from harness.judging.checklist import Item
from harness.judging.verdict import Record
from harness.learner import commands, progress, readme_hints
from harness.learner.progress import Failure
from harness.system.places import ROOT
from harness.tests.learner.gradings import graded, toy_checklist

READMES = sorted(ROOT.glob("exercises/ex*/README.md"))
LEVELS = ["What to look at", "Which idea", "Which call"]


def learner(*words: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "harness.learner.commands", *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=30)
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def at_a_terminal(answer: str, *words: str) -> tuple[int, str]:
    leader, follower = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "harness.learner.commands", *words],
                               stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    os.close(follower)
    os.write(leader, answer.encode())
    output, _ = process.communicate(timeout=30)
    os.close(leader)
    return process.returncode, output


# ----- hints


@pytest.mark.parametrize("readme", READMES, ids=[readme.parent.name for readme in READMES])
def test_every_item_has_three_hints(readme: Path) -> None:
    found = readme_hints.of_readme(readme)
    assert sorted(found) == [0, 1, 2, 3, 4, 5] and found[0]
    titles = {item: [hint.title for hint in found[item]] for item in range(1, 6)}
    assert titles == {item: LEVELS for item in range(1, 6)}
    texts = [hint.text for several in found.values() for hint in several]
    assert not [text for text in texts if "</" in text or "&lt;" in text or len(text) < 15]
    folded = readme.read_text().count("<details>")
    assert folded == len(texts), "a hint that stands elsewhere is given to nobody"


def test_a_hint_is_plain_text() -> None:
    told = "Look\nat <code>a &lt; b</code>, <em>now</em>"
    assert readme_hints.plain(told) == "Look at `a < b`, *now*"


def test_before_any_grading_there_is_no_hint() -> None:
    told = "Hints are about what failed, so grade first: make ex1-grade\n"
    assert learner("hint", "1") == (0, told)


def test_hints_come_one_by_one_and_are_remembered() -> None:
    graded("pass", "fail", "fail", "pass", "skipped")
    there = readme_hints.of_readme(READMES[0])[2]
    for level, wanted in enumerate(there, 1):
        code, output = learner("hint", "1")
        said = " ".join(output.split())
        assert code == 0 and "item 2 failed" in said and "check 2" in said
        assert f"Hint {level} of 3" in said
        assert [one.text in said for one in there] == [one is wanted for one in there]
        assert ("The next hint: make ex1-hint" in said) == (level < 3)
        assert ("the last hint for item 2" in said) == (level == 3)
    for _ in range(2):
        code, output = learner("hint", "1")
        said = " ".join(output.split())
        assert code == 0 and all(one.text in said for one in there)
        assert "That was all" in said and "make ex1-diff" in said


def test_a_hint_is_given_although_that_cannot_be_noted(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    graded("fail", "pass", "pass", "pass", "pass")

    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(progress, "write_whole", refuse)
    assert commands.hint(1) == 0
    said = capsys.readouterr()
    assert "Hint 1 of 3" in said.out and "your progress is not kept" in said.err


def test_each_item_has_its_own_count() -> None:
    graded("fail", "fail", "pass", "pass", "pass")
    learner("hint", "1")
    graded("pass", "fail", "pass", "pass", "pass")
    assert "Hint 1 of 3" in learner("hint", "1")[1]
    graded("fail", "fail", "pass", "pass", "pass")
    assert "Hint 2 of 3" in learner("hint", "1")[1]


def test_when_all_passed_it_says_so() -> None:
    graded("pass", "pass", "pass", "pass", "pass")
    assert "all 5 items of exercise 1 pass" in learner("hint", "1")[1]


# ----- progress


def test_what_is_earned_while_the_question_is_asked_is_not_lost(
        monkeypatch: pytest.MonkeyPatch) -> None:
    graded("pass", "fail", "pass", "pass", "pass")

    def earn_and_say_yes(_: str) -> bool:
        graded("pass", "pass", "pass", "pass", "pass")
        return True

    monkeypatch.setattr(commands, "asked", earn_and_say_yes)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert commands.may_see(1)
    now = progress.of(1)
    assert now.earned and now.agreed and not now.failed


def test_the_common_ground_comes_last() -> None:
    failed = progress.still_failed([Failure("a", 0, ""), Failure("b", 3, "")],
                                   [Record("c", 1, "", "fail")], ["c", "b", "a"], whole=False)
    assert [one.item for one in failed] == [1, 3, 0]


def test_the_failures_of_an_item_are_in_the_checklists_order() -> None:
    before = [Failure(check, 2, "") for check in ("gone", "c", "a")]
    tried = [Record(check, 2, "", "fail") for check in ("d", "b")]

    def failed(whole: bool) -> list[str]:
        found = progress.still_failed(before, tried, ["a", "b", "c", "d"], whole)
        return [one.check for one in found]

    assert failed(whole=False) == ["a", "b", "c", "d", "gone"]
    assert failed(whole=True) == ["b", "d", "a", "c", "gone"], "the failures of now go first"


def test_a_hint_is_for_the_first_failure_of_the_checklist() -> None:
    planned = {f"TestItem1::test_{name}": name for name in ("first", "second")}
    checklist = toy_checklist([Item(1, "item 1", planned)])
    for name in ("second", "first"):
        checklist.add(Record(f"TestItem1::test_{name}", 1, name, "fail"))
    progress.record(checklist)
    assert "item 1 failed when it was last tried: first" in learner("hint", "1")[1]


@pytest.mark.parametrize("content", [
    "", "{", "[]", "7", '{"1": 7}',
    '{"1": {"results": [], "failed": {"a": 1}, "hints": {"2": "x"}}}',
    '{"1": {"failed": [7, {"check": 7}], "hints": [], "earned": 1, "graded": null}}', "\udcff"])
def test_a_broken_file_is_no_crash(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_bytes(content.encode(errors="surrogateescape"))
    for words in (("progress",), ("hint", "1"), ("diff", "1", "--force")):
        assert learner(*words)[0] == 0
    assert learner("diff", "1")[0] == 1
    graded("pass", "fail", "pass", "pass", "pass")
    assert progress.of(1).passed == 4


def test_the_table_shows_all_exercises() -> None:
    graded("pass", "pass", "fail", "pass", "fail")
    code, output = learner("progress")
    rows = {line.split()[0].partition("_")[0]: line for line in output.splitlines()}
    assert code == 0 and "\x1b" not in output
    assert set(rows) == {"exercise", "ex1", "ex2", "ex3", "ex4", "ex5"}
    assert "3 of 5" in rows["ex1"] and "items 3, 5" in rows["ex1"] and "earned" not in rows["ex1"]
    assert "of 5" not in rows["ex2"]
    graded("pass", "pass", "pass", "pass", "pass")
    assert "earned" in learner("progress")[1]


# ----- the solution


def test_without_a_terminal_the_solution_has_to_be_forced() -> None:
    code, output = learner("diff", "1")
    assert code == 1 and "make ex1-diff FORCE=1" in output and "+++" not in output
    code, output = learner("diff", "1", "--force")
    assert code == 0 and "+++ solutions/ex1" in output
    assert learner("diff", "1")[0] == 1, "that was not an answer to the question"


def test_who_has_earned_the_solution_is_not_asked() -> None:
    graded("pass", "pass", "pass", "pass", "pass")
    code, output = learner("diff", "1")
    assert code == 0 and "+++ solutions/ex1" in output


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_no_is_no(answer: str) -> None:
    code, output = at_a_terminal(answer, "diff", "1")
    assert code == 0 and "[y/N]" in output and "+++" not in output and "make ex1-hint" in output
    assert not progress.of(1).agreed


def test_yes_is_remembered() -> None:
    code, output = at_a_terminal("y\n", "diff", "1")
    assert code == 0 and "[y/N]" in output and "+++ solutions/ex1" in output
    code, output = at_a_terminal("", "diff", "1")
    assert code == 0 and "[y/N]" not in output and "+++ solutions/ex1" in output
    assert learner("diff", "2")[0] == 1, "another exercise is another question"


def test_no_difference_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    name = commands.folder_of(1).name
    for tree in ("exercises", "solutions"):
        folder = tmp_path / tree / name
        folder.mkdir(parents=True)
        (folder / "main.cpp").write_text("int main() {}\n")
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    assert commands.diff(1, force=True) == 0
    assert f"is the same as solutions/{name}/main.cpp" in capsys.readouterr().out
