"""What the user is advised to do at the end."""
from __future__ import annotations

import pytest

from grading.checklist import Checklist, Item
from grading.terminal import Display
from grading.verdict import Exercise, Record, Result


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
