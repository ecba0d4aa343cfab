"""Grades a class of hundreds whose verdicts are known, and looks at every result. The command is
ended at random moments, by Ctrl+C, by SIGTERM and by SIGKILL, and each time begun again.

Usage: .ci/python -m harness.proof.classes.try_class [--students 300] [--kills 10] [--force] FOLDER
FOLDER must not be there yet; it gets the submissions and the results. Exit code 0 when every
verdict is as it should be, 1 if not.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from threading import Timer
from typing import Any

from harness.proof.classes.members import NUMBER, Member, members, write
from harness.system.places import ROOT

SECRET = "the-instructors-own-4711"
"""In the environment of the command; no submission may bring it into a result."""
USUAL_SECONDS = 8.0
"""A guess of what one submission takes, for the moments of the kills."""
TENTH = 10
"""After so many results the time that is left should be known."""
KILLS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
KILLED = (-signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM, 130)
"""Exit codes of a command that was ended; in its first moments it does not heed signals itself."""


@dataclass
class Run:
    """One command, from its start to its end."""

    code: int
    seconds: float
    told: list[tuple[float, str]] = field(default_factory=list)
    """When each line came, in seconds after the start."""


def run(submissions: Path, out: Path, force: bool,
        kill: tuple[float, signal.Signals] | None = None) -> Run:
    """`kill`: after how many seconds it is ended, and how."""
    command = [str(ROOT / ".ci/python"), "-u", "-m", "harness.classroom.command",
               str(submissions), str(out), "--exercise", str(NUMBER), *["--force"] * force]
    environment = {**os.environ, "INSTRUCTOR": SECRET, "NO_COLOR": "1"}
    began = time.monotonic()
    told = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, start_new_session=True) as grading:
        killer = Timer(kill[0], grading.send_signal, kill[1:]) if kill else None
        if killer is not None:
            killer.start()
        assert grading.stdout is not None
        for line in grading.stdout:
            told.append((time.monotonic() - began, line.rstrip("\n")))
            print(line, end="", flush=True)
        code = grading.wait()
        if killer is not None:
            killer.cancel()
    return Run(code, time.monotonic() - began, told)


def faults_of(name: str, one: Member, result: dict[str, Any]) -> list[str]:
    """What is not as it should be in one result."""
    found = []
    if result["state"] not in one.states:
        found.append(f"{result['state']} ({result['sentence']}), not {' or '.join(one.states)}")
    passed = [item["item"] for item in result["items"] if item["result"] == "pass"]
    items = [item for item in passed if item != 0]
    if one.passes is not None and len(items) != one.passes:
        found.append(f"{len(items)} items pass, not {one.passes}")
    if one.passes == 5 and 0 not in passed:
        found.append("the common ground does not pass")
    if one.fails is not None and one.fails in passed:
        found.append(f"item {one.fails} passes")
    return [f"{name!r} ({one.kind}): {fault}" for fault in found]


def results_in(out: Path) -> dict[str, list[dict[str, Any]]]:
    """The letters of a student's name → all results with this name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(out.glob("*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        found.setdefault(letters(result["student"]), []).append(result)
    return found


def letters(name: str) -> str:
    """What a name keeps in the results: characters that do something there become `_`."""
    return "".join(one for one in name if one.isprintable() and one != "_")


def judge(students: list[tuple[str, Member]], out: Path) -> list[str]:
    found = results_in(out)
    faults = [f"{name!r} is no student" for name in set(found) - {letters(one[0])
                                                                  for one in students}]
    for name, one in students:
        of_him = found.get(letters(name), [])
        if len(of_him) != 1:
            faults.append(f"{name!r} ({one.kind}): {len(of_him)} results, not one")
        faults += [fault for result in of_him for fault in faults_of(name, one, result)]
    for file in out.rglob("*"):
        if file.is_file() and SECRET.encode() in file.read_bytes():
            faults.append(f"{file} shows the instructor's environment")
    return faults


def foretold(last: Run) -> str:
    """How well the time that was left was told after the tenth result."""
    lines = [(at, line) for at, line in last.told if " left)" in line]
    if len(lines) <= TENTH:
        return "the last command had too little to do to tell the time that is left"
    at, line = lines[TENTH - 1]
    amount, unit = line.rpartition(", ")[2].removesuffix(" left)").split()
    left = float(amount) * {"s": 1, "min": 60, "h": 3600}[unit]
    return (f"told after {TENTH} results: {left:.0f} s left; really {lines[-1][0] - at:.0f} s "
            f"({left / (lines[-1][0] - at):.2f} of it)")


def main() -> int:
    parser = argparse.ArgumentParser(description="Grades a class whose verdicts are known.")
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--force", action="store_true", help="although the machine is busy")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    students = members(asked.students)
    submissions = asked.folder / "submissions"
    if asked.folder.exists():
        sys.exit(f"error: {asked.folder} is there already")
    write(students, submissions)
    out = asked.folder / "results"
    chance = random.Random(asked.kills)
    span = asked.students * USUAL_SECONDS / (asked.kills + 1)
    runs = []
    for how in islice(cycle(KILLS), asked.kills):
        runs.append(run(submissions, out, asked.force, (chance.uniform(2, 2 * span), how)))
        by = how.name if runs[-1].code in KILLED else "itself"
        print(f"-- ended by {by} after {runs[-1].seconds:.0f} s", flush=True)
    runs.append(run(submissions, out, asked.force))
    faults = judge(students, out)
    if runs[-1].code != 0:
        faults.append(f"the last command ended with exit code {runs[-1].code}")
    show(students, out, runs, faults)
    return 1 if faults else 0


def show(students: list[tuple[str, Member]], out: Path, runs: list[Run], faults: list[str]) -> None:
    results = [one for of_him in results_in(out).values() for one in of_him]
    seconds = sum(one.seconds for one in runs)
    killed = sum(one.code in KILLED for one in runs)
    print(*faults, sep="\n")
    print(f"{len(students)} submissions, {len(results)} results, {killed} kills: "
          f"{seconds:.0f} s, {seconds / len(students):.1f} s each")
    for part in ("build", "grading"):
        took = [one["seconds"][part] for one in results if part in one["seconds"]] or [0.0]
        print(f"a {part}: {mean(took):.1f} s, at most {max(took):.1f} s")
    print(foretold(runs[-1]))
    print(f"verdicts that are not as they should be: {len(faults)}")


if __name__ == "__main__":
    sys.exit(main())
