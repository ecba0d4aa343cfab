"""Proves the grader: wrong programs fail at their item, right ones pass, starters get nothing.

Usage: make prove [ARGS='--fast --only 1,5 --kind wrong --name no-deadline --jobs 2']
Without a choice of programs the whole proof also writes harness/PROOF.md, with the counts that
`make soak` has kept in harness/proof/soak.json. Exit code 0 when everything is as it should be, 1
if not.
"""
from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from harness.proof import choose_programs, proof_page, soak_counts
from harness.proof.grade_program import How, Subject, Verdict, grade
from harness.system.places import ROOT

RESULTS = ROOT / "build/proof/results.json"
WHOLE = How()
FAST = How(item_only=True)


def options() -> argparse.Namespace:
    parser = choose_programs.new_parser("make prove", __doc__)
    parser.add_argument("--fast", action="store_true",
                        help="wrong programs only (those that need --real-time left out), and of "
                             "each only the item that must fail")
    choose_programs.add_options(parser)
    parser.add_argument("--jobs", type=int, help="programs that are graded at the same time "
                                                 "(default: 2, or 4 with --fast)")
    return parser.parse_args()


def in_fast_form(subject: Subject) -> bool:
    return subject.wrong is not None and not subject.wrong.real_time


def mixed(subjects: list[Subject]) -> list[Subject]:
    """Evenly of all exercises: some mostly wait, some mostly compute."""
    shares = Counter(subject.exercise.number for subject in subjects)
    seen: Counter[int] = Counter()

    def place(subject: Subject) -> float:
        seen[subject.exercise.number] += 1
        return seen[subject.exercise.number] / shares[subject.exercise.number]

    return sorted(subjects, key=place)


def main() -> int:
    wanted = options()
    console = Console() if Console().is_terminal else Console(width=120)
    begun = time.monotonic()
    subjects = choose_programs.choose(wanted, in_fast_form if wanted.fast else lambda subject: True)
    done = 0

    def one(subject: Subject) -> Verdict:
        nonlocal done
        verdict = grade(subject, FAST if wanted.fast else WHOLE)
        done += 1
        state = "as expected" if not verdict.faults else verdict.outcome.upper()
        number = f"{done:3} of {len(subjects)}" if done <= len(subjects) else "again, alone"
        console.print(f"{number}: exercise {subject.exercise.number}, {subject.name}: {state}, "
                      f"{verdict.seconds:.1f} s", highlight=False)
        return verdict

    with ThreadPoolExecutor(wanted.jobs or (4 if wanted.fast else 2)) as pool:
        verdicts = sorted(pool.map(one, mixed(subjects)),
                          key=lambda verdict: subjects.index(verdict.subject))
    # Inconclusive is no verdict: the machine was too busy with the others.
    verdicts = [one(verdict.subject) if verdict.outcome == "inconclusive" else verdict
                for verdict in verdicts]
    proof_page.show(verdicts, console)
    proof_page.write_json(verdicts, RESULTS)
    if not (wanted.fast or wanted.only or wanted.kind or wanted.name):
        proof_page.write_page(verdicts, soak_counts.read(soak_counts.KEPT), proof_page.PAGE)
    print(f"{proof_page.summary(verdicts)}; {time.monotonic() - begun:.0f} s; "
          f"{RESULTS.relative_to(ROOT)}")
    return 1 if any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
