"""Builds and grades one submission, and leaves its result: what a slot of this machine or a task of
a cluster does.

Usage: python3 -m harness.classroom.grade_submission [--same-program] [--force] [--parent PID]
       OUT NUMBER
NUMBER is its place in the plan of OUT. --same-program: grade the program that was built of this
source before, if it is there. --force: also where nothing isolates it. --parent: the process that
has started this one, and with which it ends. Exit code 3 when the grading was inconclusive, 0 with
any other result.
"""
from __future__ import annotations

import argparse
import html
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness.classroom import build_submission, plan, results
from harness.classroom.results import FINAL, Result, Submission
from harness.cluster.isolation import Isolation, choose
from harness.plugin.built_program import checksum
from harness.system import prctl
from harness.system.files import write_whole
from harness.system.places import HARNESS, ROOT
from harness.telling.visible import all_visible, visible

LONGEST = 600.0
"""Seconds after which a grading is given up. It takes about ten."""
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Exercise {exercise}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem; color-scheme: light dark }} pre {{ overflow: auto }}</style>
<h1>Exercise {exercise}: not graded</h1><p>{sentence}.</p><pre>{log}</pre></html>
"""


class NoIsolation(Exception):
    """The program of a stranger would see this whole machine."""


def grade(submission: Submission, folder: Path, before: Result | None, same: bool = False,
          force: bool = False) -> Result:
    """`folder`: where program, log, page and result go. `before`: the result of an earlier grading
    of the same source. `same`: take the program of that one; if it had all its verdicts and now
    there are fewer, they stay. `force`: also where nothing isolates the program."""
    result = Result(submission.student, submission.exercise, "crashed", "",
                    source=submission.checksum, kit=results.kit_version(submission.exercise),
                    host=os.uname().nodename, gradings=before.gradings + 1 if before else 1,
                    started=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    built = before.binary if before is not None and same else ""
    page = ""
    try:
        page = made(submission, folder, result, built, force)
    except Exception as why:  # whatever it is, there is a result
        result.state, result.sentence = "crashed", f"the grader failed: {type(why).__name__}: {why}"
    result.sentence = " ".join(visible(result.sentence).replace(f"{ROOT}/", "").split(chr(10)))
    if built and before is not None and before.state in FINAL and result.state not in FINAL:
        return result
    leave(result, folder, page)
    return result


def leave(result: Result, folder: Path, page: str) -> None:
    """The page, and then the result, by which it counts."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / results.PAGE, page or no_program(result, ""))
    results.write(result, folder)


def made(submission: Submission, folder: Path, result: Result, built: str, force: bool) -> str:
    """Returns the student's page, if there is one already. `built`: the checksum of the program
    that need not be built again."""
    if submission.source is None:
        result.state, result.sentence = "build-failed", submission.problem
        return ""
    isolation = choose(True)
    if isolation.user is None and not isolation.bubblewrap and not force:
        raise NoIsolation(f"isolation on {result.host}: {isolation}")
    program = folder / results.PROGRAM
    if not (built and program.is_file() and checksum(program.read_bytes()) == built):
        began = time.monotonic()
        said = build(submission.source, folder, result, isolation)
        result.seconds["build"] = round(time.monotonic() - began, 1)
        if said.problem:
            result.state = "build-failed" if said.in_time else "build-timeout"
            result.sentence = said.problem
            return no_program(result, said.log)
    began = time.monotonic()
    page = graded(folder, program, result)
    result.seconds["grading"] = round(time.monotonic() - began, 1)
    return page


def build(source: bytes, folder: Path, result: Result,
          isolation: Isolation) -> build_submission.Built:
    result.isolation = str(isolation)
    program = folder / results.PROGRAM
    said = build_submission.build(source, result.exercise, program, isolation)
    write_whole(folder / results.LOG, visible(said.log))
    return said


def no_program(result: Result, log: str) -> str:
    return PAGE.format(exercise=result.exercise, log=html.escape(visible(log)),
                       sentence=html.escape(result.sentence))


def graded(folder: Path, program: Path, result: Result) -> str:
    with tempfile.TemporaryDirectory() as place:
        report, page = Path(place) / "report.json", Path(place) / "index.html"
        checklist = next(HARNESS.glob(f"test_ex{result.exercise}_*.py"))
        code, said = run([str(ROOT / ".ci/python"), "-m", "pytest", str(checklist),
                          "--program", shlex.quote(str(program)), "--source",
                          str(folder / plan.SOURCE), f"--report-json={report}",
                          f"--report-dir={place}"])
        if not report.exists():
            result.sentence = f"the grading left no report (exit code {code}): {said[-500:]}"
            return ""
        take(all_visible(json.loads(report.read_text(encoding="utf-8"))), result)
        return page.read_text(encoding="utf-8") if page.exists() else ""


def run(command: list[str]) -> tuple[int, str]:
    """The exit code and the output of a grading."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as grading:
        try:
            said = grading.communicate(timeout=LONGEST)[0]
            return grading.returncode, said
        except subprocess.TimeoutExpired:
            return -1, f"it was ended after {LONGEST:.0f} s"
        finally:
            if grading.poll() is None:
                end(grading)


def end(grading: subprocess.Popen[str]) -> None:
    """It removes what it has left on the disk, if it gets the time."""
    grading.send_signal(signal.SIGINT)
    try:
        grading.wait(10)
    except subprocess.TimeoutExpired:
        grading.kill()


def take(report: dict[str, Any], result: Result) -> None:
    """The verdicts of a report."""
    groups = [*report["items"], report["common"]]
    result.items = [{"item": group["item"], "title": group["title"], "result": group["result"],
                     "why": why(group)} for group in groups]
    result.binary, result.isolation = report["binary"], report["isolation"]
    result.honesty = report["honesty"]
    result.behind = round(max((check["behind"] for group in groups for check in group["checks"]),
                              default=0.0), 3)
    unsaid = [str(one["item"]) for one in result.items if one["result"] == "inconclusive"]
    if unsaid:
        result.state = "inconclusive"
        result.sentence = f"nothing could be said about item {' and '.join(unsaid)}"
    else:
        result.state = "graded"
        result.sentence = f"{report['passed']} of {report['total']} items pass"


def why(group: dict[str, Any]) -> str:
    """The likely cause of what failed first in an item, or what was seen."""
    for check in group["checks"]:
        if check["result"] == group["result"] != "pass":
            return str(check["likely"] or check["seen"])
    return ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--same-program", action="store_true")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--parent", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("number", type=int)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if asked.parent is not None:
        prctl.end_with(asked.parent, signal.SIGTERM)
    submission = plan.read(asked.out, asked.number)
    folder = asked.out / submission.folder
    kit = plan.kit(asked.out, submission.exercise)
    if kit != results.kit_version(submission.exercise):
        leave(Result(submission.student, submission.exercise, "crashed",
                     f"{os.uname().nodename} has another compiler or another kit",
                     source=submission.checksum, kit=kit), folder, "")
        return 0
    before = results.read(folder)
    if before is not None and not plan.is_about(before, submission):
        before = None
    try:
        result = grade(submission, folder, before, asked.same_program, asked.force)
    except KeyboardInterrupt:
        return 130
    return 3 if result.state == "inconclusive" else 0


if __name__ == "__main__":
    sys.exit(main())
