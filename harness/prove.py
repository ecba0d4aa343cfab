"""Proves the grader's verdicts: wrong programs fail at their item, right ones get everything, starters nothing.

Usage: make prove [ARGS='--fast --only 1,5 --name no-deadline --jobs 2']
The whole proof also writes harness/PROOF.md. Exit code 0 when everything is as it should be, 1 if not.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from proof import build, grade, matrix
from proof.wrong import NoSuchText
from rich.console import Console

RESULTS = build.ROOT / "build/proof/results.json"
PAGE = build.ROOT / "harness/PROOF.md"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fast", action="store_true", help="wrong programs only, and of each only the item that must fail")
    parser.add_argument("--only", default="", help="exercises, separated by commas")
    parser.add_argument("--name", help="one program, by its name in the table")
    parser.add_argument("--jobs", type=int, default=2, help="programs that are graded at the same time")
    return parser.parse_args()


def choose(wanted: argparse.Namespace) -> list[grade.Subject]:
    all_of_them = build.exercises()
    numbers = {int(text) for text in wanted.only.split(",") if text} or {one.number for one in all_of_them}
    if unknown := numbers - {one.number for one in all_of_them}:
        sys.exit(f"error: there is no exercise {', '.join(map(str, sorted(unknown)))}")
    exercises = [one for one in all_of_them if one.number in numbers]
    try:
        build.build(exercises)
    except NoSuchText as why:
        sys.exit(f"error: {why}")
    except subprocess.CalledProcessError:
        sys.exit("error: a wrong program does not compile: mend its edit in harness/proof/")
    found = [subject for exercise in exercises for subject in grade.subjects(exercise)]
    found = [one for one in found if (wanted.name is None or one.name == wanted.name) and (one.wrong or not wanted.fast)
             and not (wanted.fast and one.wrong and one.wrong.real_time)]
    if not found:
        sys.exit(f"error: there is no program {wanted.name!r}")
    return found


def main() -> int:
    wanted = options()
    console = Console() if Console().is_terminal else Console(width=120)
    begun = time.monotonic()
    subjects = choose(wanted)
    done = 0

    def one(subject: grade.Subject) -> grade.Verdict:
        nonlocal done
        verdict = grade.grade(subject, wanted.fast, 4 if wanted.fast else 8)
        done += 1
        state = "as expected" if not verdict.faults else "NOT AS EXPECTED"
        console.print(f"{done:3} of {len(subjects)}: exercise {subject.exercise.number}, {subject.name}: {state}, {verdict.seconds:.1f} s",
                      highlight=False)
        return verdict

    with ThreadPoolExecutor(wanted.jobs) as pool:
        verdicts = list(pool.map(one, subjects))
    matrix.show(verdicts, console)
    matrix.write_json(verdicts, RESULTS)
    if not (wanted.fast or wanted.only or wanted.name):
        matrix.write_page(verdicts, PAGE)
    print(f"{matrix.summary(verdicts)}; {time.monotonic() - begun:.0f} s; {RESULTS.relative_to(build.ROOT)}")
    return 1 if any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
