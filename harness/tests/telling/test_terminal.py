"""What the user is shown and advised at the end."""
from __future__ import annotations

import pytest
from rich.console import Console
from rich.text import Text

from harness.judging.checklist import Checklist, Item
from harness.judging.exercise import Exercise
from harness.judging.verdict import Record, Result
from harness.telling.terminal import Display, fitted


@pytest.mark.parametrize(("results", "advised"), [
    (("fail", "skipped", "skipped"), True), (("pass", "fail", "skipped"), False), (("pass", "fail", "fail"), False),
    (("fail", "pass", "fail"), False), (("fail", "inconclusive", "skipped"), False), (("pass", "pass", "pass"), False)], ids=str)
def test_what_to_do_first_is_for_who_is_stuck(results: tuple[Result, ...], advised: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The first check is what the others build on."""
    items = [Item(1, "First", {"a": "It starts", "b": "It answers"}, {"a": (), "b": ("a",)}), Item(2, "Second", {"c": "It ends"}, {"c": ("a",)})]
    checklist = Checklist(Exercise(number=9, name="toy", folder="", start_first="start with the toy"), items)
    for id_, result in zip("abc", results):
        checklist.add(Record(id_, 2 if id_ == "c" else 1, "", result))
    Display(checklist, "build/bin/ex9", starter=True).end(1.0)
    assert ("start with the toy" in capsys.readouterr().out) == advised


def test_a_long_line_goes_on_further_in_on_a_terminal_only() -> None:
    text = Text("      pass         " + "word " * 20 + "end", style="green")
    shown = fitted(Console(width=50, force_terminal=True), text, 19)
    first, *rest = shown.plain.split("\n")
    assert first.startswith("      pass         word") and max(map(len, shown.plain.split("\n"))) <= 50
    assert rest and all(line.startswith(" " * 19 + "word") for line in rest[:-1]) and rest[-1].endswith("end")
    assert fitted(Console(width=50, force_terminal=False), text, 19) is text


def test_what_one_mistake_does_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    checklist = Checklist(Exercise(number=9, name="toy", folder="", start_first=""), [Item(1, "First", {"a": "One", "b": "Two", "c": "Three"})])
    for id_, seen in (("a", "no answer after 31 ms"), ("b", "no answer after 7 ms"), ("c", "a wrong answer")):
        checklist.add(Record(id_, 1, {"a": "One", "b": "Two", "c": "Three"}[id_], "fail", seen=seen, likely="it hangs", rerun=f"make {id_}"))
    Display(checklist, "build/bin/ex9", starter=False).end(1.0)
    output = capsys.readouterr().out
    assert output.count("no answer after") == 1 and output.count("likely    it hangs") == 2 and "a wrong answer" in output
    assert 'the same as in the check "One" above' in output and all(f"again     make {id_}" in output for id_ in "abc")


def test_what_came_of_a_long_line_of_a_shell_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    checklist = Checklist(Exercise(number=9, name="toy", folder="", start_first=""), [Item(1, "First", {"a": "One"})])
    long = "printf '" + 110 * "x" + "'"
    checklist.add(Record("a", 1, "One", "fail", done=["kill -TERM $master   #   0.03 s", f"{long}   #   0.04 s  200"]))
    Display(checklist, "build/bin/ex9", starter=False).end(1.0)
    assert f"\n      kill -TERM $master   #   0.03 s\n      {long}\n        # 0.04 s  200\n" in capsys.readouterr().out


def test_what_another_item_lacks_is_told_by_that_item(capsys: pytest.CaptureFixture[str]) -> None:
    items = [Item(1, "First", {"a": "It starts", "b": "It answers"}, {"b": ("a",)}),
             Item(2, "Second", {"c": "It ends", "d": "It ends well"}, {"c": ("a",), "d": ("c",)})]
    checklist = Checklist(Exercise(number=9, name="toy", folder="", start_first=""), items)
    checklist.add(Record("a", 1, "It starts", "fail"))
    for id_, number, needed in (("b", 1, "It starts"), ("c", 2, "It starts"), ("d", 2, "It ends")):
        checklist.add(Record(id_, number, items[number - 1].planned[id_], "skipped", seen=f"builds on: {needed}"))
    Display(checklist, "build/bin/ex9", starter=False).end(1.0)
    output = capsys.readouterr().out
    assert all(f"skipped      {told}\n" in output for told in (
        "It answers (builds on: It starts)", "It ends (builds on item 1)", "It ends well (builds on: It ends)")), output
