"""Grades one program, and compares the verdict with the results that it must have."""
from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.judging.verdict import HARNESS_FAULT
from harness.proof.build_programs import FOREIGN, Exercise, binary, go_binary, source
from harness.proof.wrong_program import Wrong
from harness.system.places import ROOT

ITEMS = (1, 2, 3, 4, 5)
KINDS = ("solution", "foreign", "starter", "wrong")
"""Solutions and foreign programs (in another language) get everything, starters nothing; a wrong
program fails at its item."""
LONGEST = 600.0
"""Seconds after which a grading is given up."""
OUTCOMES = ("right", "unexplained", "inconclusive", "harness fault", "false acceptance",
            "false refusal")
"""From the best to the worst. `unexplained`: the right item fails, but the printed cause does not
name the mistake. `inconclusive` needs no defect of the grader."""


@dataclass(frozen=True)
class Subject:
    exercise: Exercise
    kind: str
    name: str
    command: str
    wrong: Wrong | None = None

    @property
    def target(self) -> str | None:
        """The target of the build that makes it."""
        if self.wrong is not None:
            return source(self.exercise).stem
        return None if self.kind == "foreign" else Path(self.command).name


@dataclass(frozen=True)
class How:
    item_only: bool = False
    """Of a wrong program grade only the item that must fail."""
    prefix: tuple[str, ...] = ()
    """Words before the command of the grading, for instance taskset's."""


@dataclass
class Verdict:
    subject: Subject
    results: dict[int, str] = field(default_factory=dict)
    """Item (0: common ground) → result."""
    seconds: float = 0.0
    outcome: str = "right"
    faults: list[str] = field(default_factory=list)
    """Each result that is not as it should be."""

    def note(self, outcome: str, fault: str) -> None:
        """The worst outcome counts; an inconclusive grading may have skipped something else."""
        self.outcome = max(self.outcome, outcome, key=OUTCOMES.index)
        self.faults.append(fault)


def subjects(exercise: Exercise) -> list[Subject]:
    number = exercise.number
    found = [Subject(exercise, "solution", "the solution", f"build/bin/ex{number}-solution")]
    found += [Subject(exercise, "foreign", name, command)
              for name, command in foreign_programs(number)]
    found.append(Subject(exercise, "starter", "the starter", f"build/bin/ex{number}"))
    for wrong in exercise.wrong:
        command = str(binary(exercise, wrong).relative_to(ROOT))
        found.append(Subject(exercise, "wrong", wrong.name, command, wrong))
    return found


def foreign_programs(number: int) -> list[tuple[str, str]]:
    """The programs in other languages: name and command."""
    file = FOREIGN / f"ex{number}"
    place = str(file.relative_to(ROOT))
    kinds = ((file.with_suffix(".py"), "in Python", f"{shlex.quote(sys.executable)} {place}.py"),
             (file.with_suffix(".js"), "in JavaScript", f"node {place}.js"),
             (file / "go.mod", "in Go", str(go_binary(number).relative_to(ROOT))))
    return [(name, command) for source, name, command in kinds if source.exists()]


def grade(subject: Subject, how: How) -> Verdict:
    verdict = Verdict(subject)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        said = run(command_of(subject, how, file))
        if said is None:
            verdict.note("inconclusive", f"the grading has not ended after {LONGEST:.0f} s")
        elif not file.exists():
            verdict.note("inconclusive", f"no report: {said[-500:]}")
        else:
            judge(verdict, json.loads(file.read_text(encoding="utf-8")), how)
    return verdict


def command_of(subject: Subject, how: How, report: Path) -> list[str]:
    command = [*how.prefix, str(ROOT / ".ci/python"), "-m", "pytest",
               f"harness/test_{subject.exercise.folder}.py", "--program", subject.command,
               f"--report-json={report}", "--report-dir="]
    if subject.wrong is not None and subject.wrong.real_time:
        command.append("--real-time")
    if subject.wrong is not None and how.item_only:
        command += ["-k", group_name(subject.wrong.item)]
    return command


def group_name(item: int) -> str:
    """The class of an item's checks begins so."""
    return f"TestItem{item}" if item else "TestCommonGround"


def run(command: list[str]) -> str | None:
    """The output of the command; None if it had to be ended."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, start_new_session=True) as grading:
        try:
            return grading.communicate(timeout=LONGEST)[0]
        except subprocess.TimeoutExpired:
            return None
        finally:
            if grading.poll() is None:
                os.killpg(grading.pid, signal.SIGKILL)


def judge(verdict: Verdict, report: dict[str, Any], how: How) -> None:
    verdict.seconds = report["seconds"]
    verdict.results = {item["item"]: item["result"] for item in report["items"]}
    if report["common"]["checks"]:
        verdict.results[0] = report["common"]["result"]
    for group in (*report["items"], report["common"]):
        for check in group["checks"]:
            if check["seen"].startswith(HARNESS_FAULT):
                verdict.note("harness fault", f"{check['id']}: {check['seen']}")
    if verdict.subject.wrong is not None:
        judge_wrong(verdict, verdict.subject.wrong, report, how)
        return
    for number, result in verdict.results.items():
        if verdict.subject.kind == "starter":
            if number != 0 and result not in ("fail", "skipped"):
                outcome = "false acceptance" if result == "pass" else "inconclusive"
                verdict.note(outcome, f"{shown(number)}: {result}")
        elif result != "pass":
            outcome = "inconclusive" if result == "inconclusive" else "false refusal"
            why = reasons(report, number, result)
            verdict.note(outcome, f"{shown(number)}: {result}{why}")


def judge_wrong(verdict: Verdict, wrong: Wrong, report: dict[str, Any], how: How) -> None:
    own = verdict.results.get(wrong.item, "no result")
    if own != "fail":
        verdict.note("false acceptance" if own == "pass" else "inconclusive",
                     f"{shown(wrong.item)}: {own}, should fail{reasons(report, wrong.item, own)}")
    else:
        judge_causes(verdict, wrong, report)
    for number in () if how.item_only else ITEMS:
        other = verdict.results.get(number, "no result")
        follows = other == "fail" and number in wrong.also or other == "skipped" and own == "fail"
        if number != wrong.item and other != "pass" and not follows:
            why = reasons(report, number, other)
            verdict.note("false refusal" if other == "fail" else "inconclusive",
                         f"{shown(number)}: {other}, which the table does not say{why}")


def judge_causes(verdict: Verdict, wrong: Wrong, report: dict[str, Any]) -> None:
    """A likely cause that was printed names the mistake."""
    causes = [check["likely"] for check in those(report, wrong.item, "fail")]
    if not any(wrong.word.lower() in cause.lower() for cause in causes):
        unsaid = those(report, wrong.item, "inconclusive")
        verdict.note("inconclusive" if unsaid else "unexplained",
                     f"no likely cause names {wrong.word!r}: {' | '.join(causes)}")


def those(report: dict[str, Any], item: int, result: str) -> list[dict[str, Any]]:
    """The checks of the item that have that result."""
    groups = [group for group in (*report["items"], report["common"]) if group["item"] == item]
    return [check for group in groups for check in group["checks"] if check["result"] == result]


def reasons(report: dict[str, Any], item: int, result: str) -> str:
    found = [f"{check['id'].rpartition('::')[2]}: {check['seen'][:300]}"
             for check in those(report, item, result)]
    return "".join(f"\n      {one}" for one in found) if result != "pass" else ""


def shown(number: int) -> str:
    return f"item {number}" if number else "common ground"
