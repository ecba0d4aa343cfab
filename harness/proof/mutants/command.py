"""Grades mutants of the solutions: whoever gets 5 of 5 shows what the grader does not see.

Usage: make mutants [ARGS='--only 1,5 --jobs 2 --again survived']
What was graded is kept in harness/proof/mutants/mutants.json: the same command goes on where it was
ended. PROOF.md shows the counts, and those that survived. Exit code 0 when each of them is
explained, 1 if not.
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.proof import build_programs, choose_programs, proof_page
from harness.proof.grade_program import LONGEST, run
from harness.proof.mutants import mutant_counts
from harness.proof.mutants.build_mutants import FOLDER, NotBuilt, build
from harness.proof.mutants.mutant_counts import Graded
from harness.proof.mutants.mutate import Mutant, Solution
from harness.system.places import ROOT

GROUPS = {"killed by an item": "TestItem", "killed by the common ground": "TestCommonGround"}
"""What is graded one after the other, until a check fails."""


def options() -> argparse.Namespace:
    parser = choose_programs.new_parser("make mutants", __doc__)
    parser.add_argument("--only", default="", metavar="1,5", help="exercises (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="gradings at the same time")
    parser.add_argument("--again", choices=mutant_counts.OUTCOMES, action="append", default=[],
                        help="grade those with this outcome once more")
    return parser.parse_args()


def all_mutants(numbers: list[str]) -> list[Mutant]:
    found = []
    for exercise in build_programs.exercises():
        if str(exercise.number) in numbers:
            file = ROOT / "solutions" / exercise.folder / "main.cpp"
            print(f"reading {file.relative_to(ROOT)}", flush=True)
            found += Solution(exercise.number, file, ROOT / "build/lint").mutants()
    return found


def grade(mutant: Mutant) -> Graded:
    """Until the first check that fails."""
    began = time.monotonic()
    outcome, by = "survived", ""
    for killed, wanted in GROUPS.items():
        report = report_of(mutant, wanted)
        failed = checks(report, "fail")
        if failed:
            outcome, by = killed, failed[0]["id"].rpartition("::")[2]
            break
        if report is None or checks(report, "inconclusive"):
            outcome = "inconclusive"
            break
    return Graded(mutant.exercise, mutant.step, mutant.line, mutant.change, outcome, by,
                  round(time.monotonic() - began, 1))


def graded_again(one: Graded, wanted: argparse.Namespace) -> bool:
    """Who is explained is not asked for again."""
    return (one.outcome == "inconclusive"
            or one.outcome in wanted.again and not mutant_counts.why_equivalent(one))


def report_of(mutant: Mutant, wanted: str) -> dict[str, Any] | None:
    """None: the grading did not end, or it left no report."""
    folder = next(one.folder for one in build_programs.exercises()
                  if one.number == mutant.exercise)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "report.json"
        program = (FOLDER / "bin" / mutant.key).relative_to(ROOT)
        said = run([str(ROOT / ".ci/python"), "-m", "pytest", f"harness/test_{folder}.py",
                    "--program", str(program), f"--report-json={file}", "--report-dir=", "-x",
                    "-k", wanted])
        if said is None or not file.exists():
            return None
        loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return loaded


def checks(report: dict[str, Any] | None, result: str) -> list[dict[str, Any]]:
    groups = [*report["items"], report["common"]] if report else []
    return [check for group in groups for check in group["checks"]
            if check["result"] == result and check["seen"] != "it did not run"]


def main() -> int:
    wanted = options()
    numbers = choose_programs.listed(wanted.only, list("12345"), "exercise")
    kept = mutant_counts.read(mutant_counts.KEPT)
    try:
        mutants = build(all_mutants(numbers), lambda text: print(text, flush=True))
    except NotBuilt as why:
        sys.exit(f"error: the mutants are not built: {why}")
    missing = [one for one in mutants if one.key not in kept or graded_again(kept[one.key], wanted)]
    print(f"{len(mutants)} mutants compile, {len(mutants) - len(missing)} are graded already; "
          f"no grading lasts longer than {LONGEST:.0f} s", flush=True)

    writing, done = threading.Lock(), list[str]()

    def one(mutant: Mutant) -> None:
        kept[mutant.key] = graded = grade(mutant)
        with writing:
            mutant_counts.write(mutant_counts.KEPT, kept)
            done.append(mutant.key)
        print(f"exercise {graded.exercise}, step {graded.step}, line {graded.line}, "
              f"{graded.change}: {graded.outcome} {graded.by} ({graded.seconds} s; "
              f"{len(missing) - len(done)} left)", flush=True)

    pool = ThreadPoolExecutor(wanted.jobs)
    try:
        list(pool.map(one, missing))
    except KeyboardInterrupt:
        pool.shutdown(cancel_futures=True)
        sys.exit("ended; the same command goes on with the others")
    own = [kept[mutant.key] for mutant in mutants]
    if not wanted.only:  # forget those of former solutions
        kept = {mutant.key: kept[mutant.key] for mutant in mutants}
        mutant_counts.write(mutant_counts.KEPT, kept)
        proof_page.renew_mutants(proof_page.PAGE)
    for line in mutant_counts.lines(own):
        print(line)
    return 1 if mutant_counts.unexplained(own) else 0


if __name__ == "__main__":
    sys.exit(main())
