"""Points and the table of grades."""
from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.classroom import grades_file, points
from harness.classroom.points import NoPoints, Points
from harness.classroom.results import Result, State, Submission


def result(student: str = "ada", state: State = "graded", passed: int = 3) -> Result:
    items = [{"item": item, "title": "", "why": "", "result": "pass" if item <= passed else "fail"}
             for item in range(6)]
    return Result(student, 1, state, "a sentence", items=items if state == "graded" else [])


def rows(folder: Path, *results: Result, worth: Points = Points()) -> list[dict[str, str]]:
    graded = [(Submission(one.student, 1, b"", folder=one.student), one) for one in results]
    grades_file.write(graded, worth, folder)
    with open(folder / grades_file.FILE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_item_is_worth_one_point(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, result())
    assert (row["points"], row["of"]) == ("3", "5")
    assert [row[f"item {item}"] for item in range(1, 6)] == ["pass"] * 3 + ["fail"] * 2


def test_no_program_is_worth_nothing_and_no_verdict_is_no_number(tmp_path: Path) -> None:
    found = rows(tmp_path, result(state="build-failed"), result(state="inconclusive"),
                 result(state="crashed"))
    assert [row["points"] for row in found] == ["0", "", ""]


def test_a_file_says_what_items_are_worth(tmp_path: Path) -> None:
    file = tmp_path / "points.toml"
    file.write_text("[ex1]\n0 = 1\n3 = 2.5\n")
    (row,) = rows(tmp_path, result(), worth=points.read(file))
    assert (row["points"], row["of"]) == ("5.5", "7.5")


@pytest.mark.parametrize("text", ["nonsense", "[ex6]\n1 = 1", "[ex1]\n9 = 1", "[ex1]\n1 = -1",
                                  "[ex1]\n1 = 'a'", "[ex1]\n1 = true", "[ex1]\n1 = nan", "ex1 = 3"])
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "points.toml"
    file.write_text(text)
    with pytest.raises(NoPoints, match="points.toml"):
        points.read(file)


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\t=x", "  =x", "\r=x"])
def test_no_cell_is_a_formula(tmp_path: Path, name: str) -> None:
    (row,) = rows(tmp_path, result(name))
    assert not row["student"].lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["student"].endswith(name.strip())


def test_names_with_quotes_and_lines_stay_in_their_cell(tmp_path: Path) -> None:
    found = rows(tmp_path, result('a"b,c;d\ne'), result("f"))
    assert [row["student"] for row in found] == ['a"b,c;d e', "f"]
