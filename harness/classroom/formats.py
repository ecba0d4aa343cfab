"""A result in the forms of other systems. Each function gives what stands in the file.

- Gradescope: results.json, gradescope-autograders.readthedocs.io, "Autograder Specifications"
- GitHub Classroom: what autograding-grading-reporter decodes from RUNNER_RESULTS (its src/main.js)
- PrairieLearn: results.json, docs.prairielearn.com, "External Grading"
- check50: cs50.github.io/check50, "JSON specification"
- JUnit: the form that Jenkins and GitLab read (junit-10.xsd of the xunit plugin)
- Canvas: the gradebook's import, "How do I import grades in the Gradebook?"
"""
from __future__ import annotations

import base64
import json
import re
from typing import Any
from xml.etree import ElementTree

from harness.classroom.grades_file import number, safe, table
from harness.classroom.points import Points
from harness.classroom.results import Result, Submission
from harness.telling.visible import visible

MOST_TEXT = 4_000
"""Characters of one text: PrairieLearn takes results of at most 1 MB."""
SLUG = "process-clusters/exercise-{}"


def counted(result: Result) -> list[dict[str, Any]]:
    """The items that points are given for, the common ground last."""
    return sorted(result.items, key=lambda one: (one["item"] == 0, one["item"]))


def name_of(item: dict[str, Any]) -> str:
    return visible(f"{item['item']}. {item['title']}" if item["item"] else item["title"])


def said_of(item: dict[str, Any]) -> str:
    why = f": {item['why']}" if item["why"] else ""
    return visible(f"{item['result']}{why}")[:MOST_TEXT]


def gradescope(result: Result, points: Points) -> dict[str, Any]:
    """Without verdicts there is no score: Gradescope then shows that the autograder failed."""
    found: dict[str, Any] = {
        "output": result.sentence[:MOST_TEXT], "stdout_visibility": "hidden",
        "visibility": "visible", "execution_time": round(sum(result.seconds.values()), 1),
        "extra_data": {"state": result.state, "source": result.source, "kit": result.kit},
        "tests": [{"name": name_of(item), "number": str(item["item"]), "output": said_of(item),
                   "status": "passed" if item["result"] == "pass" else "failed",
                   "visibility": "visible",
                   "max_score": points.of_item(result.exercise, item["item"])}
                  for item in counted(result)]}
    reached = points.reached(result)
    if reached is not None:
        found["score"] = reached
        for test, item in zip(found["tests"], counted(result)):
            test["score"] = score(result, item, points)
        found["leaderboard"] = [{"name": "items", "value": sum(
            item["result"] == "pass" for item in result.items if item["item"])}]
    return found


def score(result: Result, item: dict[str, Any], points: Points) -> float:
    """0 where the result is not known yet: a part of it is none."""
    known = points.reached(result) is not None and item["result"] == "pass"
    return points.of_item(result.exercise, item["item"]) if known else 0.0


def github_classroom(result: Result, points: Points) -> str:
    """In base64, as it stands in the output `result` of a step."""
    words = {"pass": "pass", "inconclusive": "error"}
    tests = [{"name": name_of(item), "status": words.get(item["result"], "fail"),
              "score": score(result, item, points), "message": said_of(item),
              "test_code": "", "filename": "main.cpp", "line_no": 0, "duration": 0}
             for item in counted(result)]
    if not tests:
        tests = [{"name": "main.cpp compiles", "score": 0.0, "message": result.sentence,
                  "status": "fail" if points.reached(result) is not None else "error",
                  "test_code": "", "filename": "main.cpp", "line_no": 0, "duration": 0}]
    statuses = {test["status"] for test in tests}
    status = next((one for one in ("error", "fail") if one in statuses), "pass")
    report = {"version": 3, "status": status, "tests": tests,
              "max_score": points.most(result.exercise)}
    return base64.b64encode(json.dumps(report).encode()).decode()


def prairielearn(result: Result, points: Points) -> dict[str, Any]:
    reached, most = points.reached(result), points.most(result.exercise)
    return {"gradable": reached is not None, "score": (reached or 0.0) / most if most else 0.0,
            "message": result.sentence[:MOST_TEXT],
            "tests": [{"name": name_of(item), "description": "", "message": said_of(item),
                       "points": score(result, item, points), "output": "",
                       "max_points": points.of_item(result.exercise, item["item"])}
                      for item in counted(result)]}


def check50(result: Result) -> dict[str, Any]:
    """`passed` is null for what was not checked."""
    words = {"pass": True, "fail": False}
    results: list[dict[str, Any]] = [
        {"name": f"item{item['item']}", "description": name_of(item), "log": [],
         "passed": words.get(item["result"]), "data": {}, "dependency": None,
         "cause": None if item["result"] == "pass" else
         {"rationale": said_of(item), "help": None}} for item in counted(result)]
    if not results:
        results = [{"name": "compiles", "description": "main.cpp compiles", "log": [],
                    "passed": False if result.state.startswith("build") else None, "data": {},
                    "dependency": None, "cause": {"rationale": result.sentence, "help": None}}]
    return {"slug": SLUG.format(result.exercise), "results": results, "version": "3.3.0"}


NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML does not allow."""


def junit(results: list[Result]) -> str:
    """A test suite for each submission."""
    suites = ElementTree.Element("testsuites")
    for result in results:
        name = visible(f"{result.student}, exercise {result.exercise}")
        items = counted(result)
        suite = ElementTree.SubElement(suites, "testsuite", name=NO_XML.sub("?", name),
                                       timestamp=result.started)
        for item in items:
            add_case(suite, name, name_of(item), item["result"], said_of(item))
        if not items:
            kind = "fail" if result.state.startswith("build") else "inconclusive"
            add_case(suite, name, "build", kind, result.sentence)
        for what, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"),
                          ("skipped", "skipped")):
            suite.set(what, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def add_case(suite: ElementTree.Element, owner: str, name: str, result: str, said: str) -> None:
    owner, name, said = (NO_XML.sub("?", text) for text in (owner, name, said))
    case = ElementTree.SubElement(suite, "testcase", classname=owner, name=name)
    tags = {"fail": "failure", "skipped": "skipped", "inconclusive": "error"}
    if result in tags:
        ElementTree.SubElement(case, tags[result], message=said)


def canvas(graded: list[tuple[Submission, Result]], points: Points) -> str:
    """Only those whose number in Canvas is known, as from its own export, can be imported."""
    exercises = sorted({result.exercise for _, result in graded if result.exercise})
    columns = [f"Exercise {exercise}" for exercise in exercises]
    by_student: dict[tuple[str, str, str], dict[int, str]] = {}
    for submission, result in graded:
        if result.exercise:
            folder = submission.folder.partition("/")[0]  # two students may have the same name
            key = submission.student, submission.ids.get("canvas", ""), folder
            by_student.setdefault(key, {})[result.exercise] = number(points.reached(result))
    rows: list[tuple[str, ...]] = [("Student", "ID", "SIS User ID", "SIS Login ID", "Section",
                                    *columns),
                                   ("    Points Possible", "", "", "", "",
                                    *(number(points.most(one)) for one in exercises))]
    rows += [(safe(student), canvas_id, "", "", "", *(reached.get(one, "") for one in exercises))
             for (student, canvas_id, _), reached in by_student.items()]
    return table(rows)
