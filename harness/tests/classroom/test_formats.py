"""A result in the forms of other systems, by schemas that were written from their documents."""
from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser.junitparser import Error, Failure, JUnitXml, Skipped

from harness.classroom import formats
from harness.classroom.points import Points
from harness.classroom.results import Result, State, Submission

SCHEMAS = Path(__file__).with_name("schemas")
HOSTILE = "\x1b[31m<b>&'\"\ud800\ufffe" + "x" * 10_000
VERDICTS = ("pass", "pass", "fail", "skipped", "inconclusive", "pass")
WORTH = Points({1: {2: 2.5}})


def result(state: State, *verdicts: str, student: str = "ada") -> Result:
    items = [{"item": item % 6, "title": f"Title {item % 6}", "result": verdict,
              "why": "" if verdict == "pass" else HOSTILE}
             for item, verdict in enumerate(verdicts, start=1)]
    return Result(student, 1, state, "a sentence", items=items, seconds={"grading": 9.8},
                  started="2026-01-31T12:00:00+00:00")


RESULTS = {
    "all pass": result("graded", *["pass"] * 6),
    "some fail": result("graded", "pass", "fail", "fail", "skipped", "skipped", "pass"),
    "no verdict": result("inconclusive", *VERDICTS),
    "no program": result("build-failed"),
    "crashed": result("crashed"),
}
SCORES = {"all pass": 6.5, "some fail": 1.0, "no verdict": None, "no program": 0.0, "crashed": None}


def valid(found: Any, name: str) -> Any:
    """What a reader of JSON makes of it."""
    read = json.loads(json.dumps(found))
    jsonschema.validate(read, json.loads((SCHEMAS / f"{name}.json").read_text()))
    return read


@pytest.mark.parametrize("name", RESULTS)
def test_gradescope(name: str) -> None:
    found = valid(formats.gradescope(RESULTS[name], WORTH), "gradescope")
    assert found.get("score") == SCORES[name]
    if SCORES[name] is None:
        assert not any("score" in test for test in found["tests"]), "no part of a score either"
    else:
        assert sum(test["score"] for test in found["tests"]) == SCORES[name]
    assert ("leaderboard" in found) == (SCORES[name] is not None)


@pytest.mark.parametrize("name", RESULTS)
def test_github_classroom(name: str) -> None:
    encoded = formats.github_classroom(RESULTS[name], WORTH)
    found = valid(json.loads(base64.b64decode(encoded)), "github-classroom")
    assert found["max_score"] == 6.5
    assert sum(test["score"] for test in found["tests"]) == (SCORES[name] or 0.0)
    assert found["status"] == {"all pass": "pass", "some fail": "fail", "no program": "fail"}.get(
        name, "error")


@pytest.mark.parametrize("name", RESULTS)
def test_prairielearn(name: str) -> None:
    found = valid(formats.prairielearn(RESULTS[name], WORTH), "prairielearn")
    assert found["gradable"] == (SCORES[name] is not None)
    assert found["score"] == pytest.approx((SCORES[name] or 0.0) / 6.5)
    assert len(json.dumps(found)) < 1_000_000


@pytest.mark.parametrize("name", RESULTS)
def test_check50(name: str) -> None:
    found = valid(formats.check50(RESULTS[name]), "check50")
    passed = [one["passed"] for one in found["results"]]
    assert passed == {"all pass": [True] * 6, "no program": [False], "crashed": [None],
                      "some fail": [True, False, False, None, None, True],
                      "no verdict": [True, True, False, None, None, True]}[name]


def test_junit(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(formats.junit([*RESULTS.values()]), encoding="utf-8")
    read = JUnitXml.fromfile(str(file))
    suites = list(read)
    assert [(one.tests, one.failures, one.errors, one.skipped) for one in suites] == [
        (6, 0, 0, 0), (6, 2, 0, 2), (6, 1, 1, 1), (1, 1, 0, 0), (1, 0, 1, 0)]
    kinds = [[type(found) for found in case.result] for case in suites[2]]
    assert kinds == [[], [], [Failure], [Skipped], [Error], []]


def test_canvas_knows_students_by_number_and_takes_no_formula() -> None:
    ada, bob = result("graded", *["pass"] * 6, student="=ada"), result("crashed", student="bob")
    found = formats.canvas([
        (Submission("=ada", 1, b"", folder="ada", ids={"canvas": "17"}), ada),
        (Submission("bob", 1, b"", folder="bob", ids={"canvas": "18"}), bob),
        (Submission("eve", 1, b"", folder="eve"), ada),
        (Submission("eve", 1, b"", folder="eve~2"), bob)], WORTH)
    header, possible, *rows = csv.reader(io.StringIO(found))
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Exercise 1"]
    assert possible[0].strip() == "Points Possible" and possible[-1] == "6.5"
    assert rows == [["'=ada", "17", "", "", "", "6.5"],
                    ["bob", "18", "", "", "", ""],  # no verdict is no grade
                    ["eve", "", "", "", "", "6.5"], ["eve", "", "", "", "", ""]]
