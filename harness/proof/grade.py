"""Grades one program and compares the verdict with what is known of it."""
from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .build import ROOT, Exercise, binary
from .wrong import Wrong

ITEMS = (1, 2, 3, 4, 5)
LONGEST = 300.0
"""Seconds after which a grading is given up."""


@dataclass(frozen=True)
class Subject:
    """A program and what it should get: a wrong one fails at its item, `right` gets everything, a starter nothing."""

    exercise: Exercise
    name: str
    command: str
    wrong: Wrong | None = None
    right: bool = False


@dataclass
class Verdict:
    subject: Subject
    results: dict[int, str] = field(default_factory=dict)
    """Item (0: common ground) → result."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    """In what it is not as it should be."""

    @property
    def inconclusive(self) -> bool:
        return "inconclusive" in self.results.values()


def subjects(exercise: Exercise) -> list[Subject]:
    folder = "build/bin"
    found = [Subject(exercise, "the solution", f"{folder}/ex{exercise.number}-solution", right=True)]
    foreign = ROOT / f"harness/programs/ex{exercise.number}.py"
    if foreign.exists():
        found.append(Subject(exercise, "in Python", f"python3 {foreign.relative_to(ROOT)}", right=True))
    found.append(Subject(exercise, "the starter", f"{folder}/ex{exercise.number}"))
    found += [Subject(exercise, wrong.name, str(binary(exercise, wrong).relative_to(ROOT)), wrong) for wrong in exercise.wrong]
    return found


def grade(subject: Subject, fast: bool, processes: int) -> Verdict:
    """`fast`: of a wrong program only the item that must fail."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        command = [str(ROOT / ".ci/python"), "-m", "pytest", f"harness/test_{subject.exercise.folder}.py", "--program",
                   subject.command, f"--report-json={file}", "--report-dir=", f"-n{processes}"]
        if subject.wrong is not None and subject.wrong.real_time:
            command.append("--real-time")
        if subject.wrong is not None and fast:
            command += ["-k", f"TestItem{subject.wrong.item}"]
        verdict = Verdict(subject)
        try:
            done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            verdict.faults.append(f"the grading has not ended after {LONGEST:.0f} s")
            return verdict
        if not file.exists():
            verdict.faults.append(f"no report (exit code {done.returncode}): {done.stdout[-500:]}")
            return verdict
        report = json.loads(file.read_text(encoding="utf-8"))
    verdict.seconds = report["seconds"]
    verdict.results = {item["item"]: item["result"] for item in report["items"]}
    if report["common"]["checks"]:
        verdict.results[0] = report["common"]["result"]
    verdict.faults += faults(subject, verdict.results, report, fast)
    return verdict


def faults(subject: Subject, results: dict[int, str], report: dict[str, Any], fast: bool) -> list[str]:
    if subject.right:
        return [f"{shown(number)}: {result}{reasons(report, number)}" for number, result in results.items() if result != "pass"]
    if subject.wrong is None:
        return [f"{shown(number)}: {results.get(number)}" for number in ITEMS if results.get(number) not in ("fail", "skipped")]
    found = []
    wrong = subject.wrong
    if results.get(wrong.item) != "fail":
        found.append(f"{shown(wrong.item)}: {results.get(wrong.item)}, should fail")
    elif not any(wrong.word.lower() in check["likely"].lower() for check in failed(report, wrong.item)):
        causes = " | ".join(check["likely"] for check in failed(report, wrong.item))
        found.append(f"no likely cause names {wrong.word!r}: {causes}")
    for number in () if fast else ITEMS:
        if number != wrong.item and (results.get(number) == "fail") != (number in wrong.also):
            found.append(f"{shown(number)}: {results.get(number)}, which the table does not say{reasons(report, number)}")
    return found


def failed(report: dict[str, Any], item: int) -> list[dict[str, Any]]:
    groups = [group for group in (*report["items"], report["common"]) if group["item"] == item]
    return [check for group in groups for check in group["checks"] if check["result"] == "fail"]


def reasons(report: dict[str, Any], item: int) -> str:
    found = [f"{check['id'].rpartition('::')[2]}: {check['seen'][:200]}" for check in failed(report, item)]
    return "".join(f"\n      {one}" for one in found)


def shown(number: int) -> str:
    return f"item {number}" if number else "common ground"
