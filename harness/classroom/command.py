"""Grades the submissions of a class.

Usage: make class SUBMISSIONS=dir OUT=dir [EX=1] [POINTS=points.toml] [ONLY=STUDENT]
       [ENGINE=slurm|kubernetes] [FORCE=1]
The same command goes on where an earlier one was broken off. Exit code 0 when every submission has
its final result, 3 when some have none yet or the grader failed, 2 when nothing could be begun,
130 after Ctrl+C.
"""
from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import signal
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from harness.classroom import (
    build_submission, find_submissions, formats, grades_file, machine_rest, overview, plan, points,
    results)
from harness.classroom.display import Display
from harness.classroom.engine import Elsewhere, Engine
from harness.classroom.grade_submission import leave
from harness.classroom.kubernetes_engine import KubernetesEngine
from harness.classroom.local_engine import LocalEngine
from harness.classroom.results import Result, Submission
from harness.classroom.slurm_engine import NoSlurm, SlurmEngine
from harness.system.files import write_whole
from harness.telling.visible import visible

ENGINES: dict[str, Callable[..., Engine]] = {
    "local": LocalEngine, "slurm": SlurmEngine, "kubernetes": KubernetesEngine}
AGAIN = 2
"""How often more what is inconclusive is graded, after all others."""


class Refused(Exception):
    """Nothing is begun; the text says why."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make class", description="Grades the submissions of a "
                                     "class: a folder, an archive or a git bundle a student.")
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS",
                        help="the folder with the submissions, or the export of a class (.zip)")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder for the results")
    parser.add_argument("--exercise", type=int, choices=range(1, 6), metavar="1…5",
                        help="EX: the only exercise; needed where main.cpp is in no folder exN")
    parser.add_argument("--points", type=Path, metavar="FILE",
                        help="POINTS: what each item is worth, where it is not one point")
    parser.add_argument("--only", metavar="STUDENT",
                        help="ONLY: grade this student once more, and nobody else")
    parser.add_argument("--engine", choices=ENGINES, default="local",
                        help="ENGINE: this machine, a Slurm cluster that this machine can use, or "
                             "a job for a Kubernetes cluster")
    parser.add_argument("--force", action="store_true",
                        help="FORCE=1: grade although the machine is busy, or has no sandbox")
    return parser.parse_args()


def main() -> int:
    asked = options()
    asked.submissions, asked.out = asked.submissions.expanduser(), asked.out.expanduser()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        refuse_nested(asked.submissions.resolve(), asked.out.resolve())
        worth = points.read(asked.points) if asked.points else points.Points()
        submissions, ignored = find_submissions.find(asked.submissions, asked.exercise)
        for name in ignored:
            print(f"ignored: {find_submissions.one_line(name)} (no folder and no archive)",
                  file=sys.stderr)
        with alone_in(asked.out):
            return run(asked, submissions, worth)
    except (Refused, find_submissions.NoSubmissions, points.NoPoints,
            build_submission.NoTree, NoSlurm) as why:
        print(f"error: {why}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nended; the same command goes on from here", file=sys.stderr)
        return 130


def refuse_nested(place: Path, out: Path) -> None:
    if place.is_relative_to(out) or out.is_relative_to(place):
        raise Refused(f"the results must lie apart from the submissions, and not in {out}")


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Two commands would disturb each other's measurements, and each other's results."""
    try:
        books = out / plan.BOOKS
        books.mkdir(parents=True, exist_ok=True)
        lock = os.open(books, os.O_RDONLY)
    except OSError as why:
        raise Refused(f"{out} cannot be used for the results: {why.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as why:
        os.close(lock)
        held = isinstance(why, BlockingIOError)
        raise Refused(f"another command grades into {out} just now" if held else
                      f"{out} cannot be locked: {why.strerror}") from None
    try:
        yield
    finally:
        os.close(lock)


def run(asked: argparse.Namespace, submissions: list[Submission], worth: points.Points) -> int:
    for tool in ("taskset", "setpriv"):
        if shutil.which(tool) is None:
            raise Refused(f"there is no {tool} (Debian's package util-linux)")
    if asked.only is not None and asked.engine == "kubernetes":
        raise Refused("one student is graded on this machine: leave ENGINE out")
    todo = chosen(submissions, asked)
    if todo:
        prepare({submissions[number].exercise for number in todo
                 if submissions[number].source is not None}, asked)
    try:
        plan.write(submissions, asked.out)
    except OSError as why:
        raise Refused(f"{why.filename} cannot be written: {why.strerror}") from None
    handed = ""
    try:
        grade(todo, submissions, asked)
    except Elsewhere as how:
        handed = f"\n{how}"
    finally:
        graded = collected(submissions, asked.out)
        grades_file.write(graded, worth, asked.out)
        write_whole(asked.out / "canvas.csv", formats.canvas(graded, worth))
        write_whole(asked.out / "junit.xml", formats.junit([result for _, result in graded]))
        overview.write(submissions, graded, worth, asked.out)
    found = [result for _, result in graded]
    print(summary(found, len(submissions), asked.out) + handed)
    return 0 if len(found) == len(submissions) and not unsaid(found) else 3


def prepare(exercises: set[int], asked: argparse.Namespace) -> None:
    """Refuses what would make verdicts unfair or this machine unsafe."""
    refuse_load(asked.force or asked.engine != "local")
    for exercise in sorted(exercises):
        isolation = build_submission.prepare(exercise)
        if isolation.startswith("none") and asked.engine == "local" and not asked.force:
            raise Refused("the programs of strangers would run as you and see this whole machine. "
                          f"Isolation: {isolation}. Mend that, or give FORCE=1")


def refuse_load(force: bool) -> None:
    busy = [] if force else machine_rest.load()
    if busy:
        listed = "\n  ".join(map(str, busy))
        raise Refused("this machine is busy, and verdicts could become inconclusive. End what runs "
                      f"there, or give FORCE=1:\n  {listed}")


def chosen(submissions: list[Submission], asked: argparse.Namespace) -> list[int]:
    """What is to be graded, as places in the plan: in an order that is always the same, but mixed,
    so that the time that is left can be told from the time that has passed."""
    if asked.only is not None:
        found = [number for number, one in enumerate(submissions) if one.student == asked.only]
        if not found:
            raise Refused(f"there is no student {asked.only!r}; folders and archives in "
                          f"{asked.submissions} are named after students")
        return found
    return sorted(plan.lacking(submissions, asked.out), key=lambda number: hashlib.sha256(
        submissions[number].folder.encode()).digest())


def grade(todo: list[int], submissions: list[Submission], asked: argparse.Namespace) -> None:
    out: Path = asked.out
    how = ["--same-program"] * (asked.only is not None) + ["--force"] * asked.force
    engine = ENGINES[asked.engine](out, *how)
    with Display(submissions, todo, engine.at_once) as display:
        def done(number: int, said: str) -> None:
            submission = submissions[number]
            if said and not plan.has_final(submission, out):
                leave(crashed(submission, said), out / submission.folder, "")
            display.done(number, results.read(out / submission.folder))

        engine.grade(todo, display.begun, done)
        for _ in range(AGAIN):
            again = [number for number in todo if not plan.has_final(submissions[number], out)]
            display.again(again)
            engine.grade(again, display.begun, done)


def crashed(submission: Submission, said: str) -> Result:
    return Result(submission.student, submission.exercise, "crashed",
                  f"the grader left no result: {visible(said)}", source=submission.checksum,
                  kit=results.kit_version(submission.exercise))


def collected(submissions: list[Submission], out: Path) -> list[tuple[Submission, Result]]:
    """What is known of these sources so far, in the order of the plan."""
    found = [(one, results.read(out / one.folder)) for one in submissions]
    return [(one, result) for one, result in found
            if result is not None and plan.is_about(result, one)]


def unsaid(found: list[Result]) -> list[Result]:
    return [one for one in found if one.state not in results.FINAL]


def summary(found: list[Result], total: int, out: Path) -> str:
    states = Counter[str](one.state for one in found)
    counts = ", ".join(f"{states[state]} {state}" for state in results.STATES if states[state])
    lines = [f"{len(found)} of {total} submissions have a result: {counts}"]
    lines += [f"  {one.student}: {one.state}: {one.sentence}" for one in unsaid(found)[:10]]
    return "\n".join([*lines, f"grades: {out / grades_file.FILE}",
                      f"the class on one page: {out / overview.FILE}"])


if __name__ == "__main__":
    sys.exit(main())
