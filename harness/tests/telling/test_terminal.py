"""What the user is shown and advised at the end."""
from __future__ import annotations

import pytest
from rich.console import Console
from rich.text import Text

from harness.judging.checklist import Checklist, Item
from harness.judging.exercise import Exercise
from harness.judging.verdict import Record, Result
from harness.telling.terminal import Display, fitted


def checklist(*items: Item, start_first: str = "") -> Checklist:
    exercise = Exercise(number=9, name="toy", folder="", start_first=start_first)
    return Checklist(exercise, list(items))


@pytest.mark.parametrize("likely", ["STEP 2 is still to do", "it hangs"])
@pytest.mark.parametrize(("results", "advised"), [
    (("fail", "skipped", "skipped"), True), (("pass", "fail", "skipped"), False),
    (("pass", "fail", "fail"), False), (("fail", "pass", "fail"), False),
    (("fail", "inconclusive", "skipped"), False), (("pass", "pass", "pass"), False)], ids=str)
def test_what_to_do_first_is_for_who_is_stuck(results: tuple[Result, ...], advised: bool,
                                              likely: str,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    """The other checks build on the first one, and a step is still to do."""
    items = [Item(1, "First", {"a": "It starts", "b": "It answers"}, {"a": (), "b": ("a",)}),
             Item(2, "Second", {"c": "It ends"}, {"c": ("a",)})]
    found = checklist(*items, start_first="start with the toy")
    for id_, result in zip("abc", results):
        found.add(Record(id_, 2 if id_ == "c" else 1, "", result, likely=likely))
    Display(found, "build/bin/ex9", starter=True).end(1.0, stopped=False)
    advised = advised and likely.startswith("STEP")
    assert ("start with the toy" in capsys.readouterr().out) == advised


@pytest.mark.parametrize(("results", "starter", "told"), [
    (("pass", "inconclusive"), True, "make ex9-grade"),
    (("pass", "inconclusive"), False, "again b"),
    (("fail", "inconclusive"), True, ""), (("pass", "pass"), True, "")], ids=str)
def test_what_is_inconclusive_is_to_be_run_again(results: tuple[Result, ...], starter: bool,
                                                 told: str,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    found = checklist(Item(1, "First", {"a": "One", "b": "Two"}))
    for id_, result in zip("ab", results):
        found.add(Record(id_, 1, id_, result, rerun=f"again {id_}"))
    Display(found, "build/bin/ex9", starter).end(1.0, stopped=False)
    asked = "but not everything could be judged. Run it again:\n  "
    output = capsys.readouterr().out
    assert (asked + told in output) if told else asked not in output


@pytest.mark.parametrize("columns", ["0", "1", "30"])
def test_a_terminal_without_room_breaks_nothing(columns: str, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    found = checklist(Item(1, "First", {"a": "One"}))
    found.add(Record("a", 1, "One", "fail", seen="a word " * 30, done=["x" * 80]))
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")  # so that it is taken for a terminal
    Display(found, "build/bin/ex9", starter=True).end(1.0, stopped=False)
    assert "a word" in capsys.readouterr().out


def test_a_long_line_goes_on_further_in_on_a_terminal_only() -> None:
    text = Text("      pass         " + "word " * 20 + "end", style="green")
    terminal = Console(width=50, force_terminal=True, _environ={"TERM": "xterm"})
    fitting = fitted(terminal, text, 19)
    first, *rest = fitting.plain.split("\n")
    assert first.startswith("      pass         word")
    assert max(map(len, [first, *rest])) <= 50
    assert rest and all(line.startswith(" " * 19 + "word") for line in rest[:-1])
    assert rest[-1].endswith("end")
    assert fitted(Console(width=50, force_terminal=False), text, 19) is text


def test_what_one_mistake_does_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    titles = {"a": "One", "b": "Two", "c": "Three"}
    found = checklist(Item(1, "First", titles))
    for id_, seen in (("a", "no answer after 31 ms"), ("b", "no answer after 7 ms"),
                      ("c", "a wrong answer")):
        found.add(Record(id_, 1, titles[id_], "fail", seen=seen, likely="it hangs",
                         rerun=f"make {id_}"))
    Display(found, "build/bin/ex9", starter=False).end(1.0, stopped=False)
    output = capsys.readouterr().out
    assert output.count("no answer after") == 1 and output.count("likely    it hangs") == 2
    assert "a wrong answer" in output and 'the same as in the check "One" above' in output
    assert all(f"again     make {id_}" in output for id_ in "abc")


def test_of_a_program_with_steps_to_do_only_the_first_failure_is_told_in_full(
        capsys: pytest.CaptureFixture[str]) -> None:
    titles = {"a": "It starts", "b": "It answers"}
    found = checklist(Item(1, "First", titles, {"a": (), "b": ()}))
    for id_, seen in (("a", "no line"), ("b", "no answer")):
        found.add(Record(id_, 1, titles[id_], "fail", seen=seen, hint="think", expected="all",
                         likely="STEP 3 is still to do, as it says; or it hangs"))
    Display(found, "build/bin/ex9", starter=True).end(1.0, stopped=False)
    output = capsys.readouterr().out
    assert output.count("STEP 3 is still to do") == 2 and output.count("no answer") == 1
    assert output.count("think") == output.count("expected") == 1


def test_what_came_of_a_long_line_of_a_shell_has_a_line_of_its_own(
        capsys: pytest.CaptureFixture[str]) -> None:
    found = checklist(Item(1, "First", {"a": "One"}))
    long = "printf '" + 110 * "x" + "'"
    done = ["kill -TERM $master   #   0.03 s", f"{long}   #   0.04 s  200"]
    found.add(Record("a", 1, "One", "fail", done=done))
    Display(found, "build/bin/ex9", starter=False).end(1.0, stopped=False)
    told = f"\n      kill -TERM $master   #   0.03 s\n      {long}\n        # 0.04 s  200\n"
    assert told in capsys.readouterr().out


def test_what_another_item_lacks_is_told_by_that_item(capsys: pytest.CaptureFixture[str]) -> None:
    items = [Item(1, "First", {"a": "It starts", "b": "It answers"}, {"b": ("a",)}),
             Item(2, "Second", {"c": "It ends", "d": "It ends well"}, {"c": ("a",), "d": ("c",)})]
    found = checklist(*items)
    found.add(Record("a", 1, "It starts", "fail"))
    for id_, number, needed in (("b", 1, "It starts"), ("c", 2, "It starts"), ("d", 2, "It ends")):
        title = items[number - 1].planned[id_]
        found.add(Record(id_, number, title, "skipped", seen=f"builds on: {needed}"))
    Display(found, "build/bin/ex9", starter=False).end(1.0, stopped=False)
    output = capsys.readouterr().out
    for told in ("It answers (builds on: It starts)", "It ends (builds on item 1)",
                 "It ends well (builds on: It ends)"):
        assert f"skipped      {told}\n" in output, output
