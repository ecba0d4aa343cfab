"""Repeats gradings in random order, on an idle and on a loaded machine, and counts wrong verdicts.

Usage: make soak RUNS=10 [ARGS='--only 1,5 --kind solution --load idle,cpu --jobs 2 --minutes 60
--file FILE']
Every chosen program is graded until the file has so many gradings of it; of a wrong program only
the item that must fail. Half of them have no load beside them, the others stress-ng's (processors;
memory and forks), and half are kept to one core. Counts are added to the file after each grading:
a series may be ended with Ctrl+C, and the same command goes on with it. Exit code 0 when no verdict
was wrong, 1 if one was.
"""
from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Callable

from rich import box
from rich.console import Console
from rich.table import Table

from harness.proof import choose_programs, machine_load, proof_page, soak_counts
from harness.proof.grade_program import How, Subject, Verdict, grade
from harness.system.places import ROOT

Grading = tuple[Subject, machine_load.State]
"""What is graded, and the state of the machine beside it."""
Graded = tuple[Verdict, machine_load.State]
FILE = ROOT / "build/soak/soak.json"
ROUND = 12
"""Gradings in a row with the same load: to start and end it takes time."""


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number from 1 on is wanted")
    return number


def options() -> argparse.Namespace:
    parser = choose_programs.new_parser("make soak", __doc__)
    parser.add_argument("--runs", type=positive, default=1,
                        help="gradings that the file is to have of each program (make soak RUNS=n)")
    choose_programs.add_options(parser)
    parser.add_argument("--load", default="", metavar="idle,cpu",
                        help=f"loads, of {', '.join(machine_load.LOADS)} (default: all)")
    parser.add_argument("--jobs", type=positive, default=2,
                        help="gradings at the same time (default: 2)")
    parser.add_argument("--minutes", type=positive, help="begin no round after that time")
    parser.add_argument("--file", type=Path, default=FILE,
                        help="where the counts are kept (default: build/soak/soak.json)")
    return parser.parse_args()


def plan(subjects: list[Subject], runs: int, loads: list[str], counts: soak_counts.Tally
         ) -> list[tuple[str, list[Grading]]]:
    """The gradings that the counts lack, as rounds in random order: a load, and the gradings beside
    it."""
    by_load: dict[str, list[Grading]] = {load: [] for load in loads}
    for subject in subjects:
        graded = counts.graded(subject)
        for state in machine_load.turns(runs, loads):
            graded[state.shown] -= 1
            if graded[state.shown] < 0:
                by_load[state.load].append((subject, state))
    rounds = []
    for load, gradings in by_load.items():
        random.shuffle(gradings)
        rounds += [(load, gradings[at:at + ROUND]) for at in range(0, len(gradings), ROUND)]
    random.shuffle(rounds)
    return rounds


class Series:
    """One series of gradings: counts them, keeps the counts, tells how far it has got."""

    def __init__(self, file: Path, jobs: int, total: int) -> None:
        self.file, self.jobs, self.total, self.done, self.wrong = file, jobs, total, 0, 0
        self.counts = soak_counts.read(file)
        self.before, self.began = self.counts.seconds, time.monotonic()
        self.places: SimpleQueue[int] = SimpleQueue()
        for place in range(jobs):
            self.places.put(place)

    def round(self, load: str, gradings: list[Grading]) -> None:
        with machine_load.loaded(load) as there, ThreadPoolExecutor(self.jobs) as pool:
            waiting = deque(pool.submit(self.one, grading) for grading in gradings)
            try:
                self.take_all(waiting, there)
            except KeyboardInterrupt:
                begun = deque(future for future in waiting if not future.cancel())
                print(f"waiting for {len(begun)} gradings that have begun", flush=True)
                self.take_all(begun, there)
                raise

    def take_all(self, waiting: deque[Future[Graded]], there: Callable[[], bool]) -> None:
        while waiting:
            verdict, state = waiting[0].result()
            waiting.popleft()
            if not there():
                sys.exit("error: the load has ended by itself; gradings since then are not counted")
            self.take(verdict, state)

    def one(self, grading: Grading) -> Graded:
        subject, state = grading
        place = self.places.get()
        try:
            return grade(subject, How(item_only=True, prefix=state.prefix(place))), state
        finally:
            self.places.put(place)

    def take(self, verdict: Verdict, state: machine_load.State) -> None:
        self.done += 1
        self.wrong += verdict.outcome in soak_counts.FALSE
        self.counts.add(verdict, state.shown)
        self.counts.seconds = round(self.before + time.monotonic() - self.began, 1)
        soak_counts.write(self.counts, self.file)
        program = f"exercise {verdict.subject.exercise.number}, {verdict.subject.name}"
        print(f"{self.done:4} of {self.total}: {program} ({state.shown}): {verdict.outcome}, "
              f"{verdict.seconds:.1f} s", flush=True)
        for fault in verdict.faults:
            print(f"      {fault}", flush=True)


def show(counts: soak_counts.Tally, console: Console) -> None:
    title = f"all series in this file, {counts.seconds / 60:.0f} min"
    table = Table(box=box.SIMPLE, title=title, title_justify="left")
    for heading in soak_counts.HEADINGS:
        table.add_column(heading, justify="left" if heading in ("programs", "load") else "right")
    for row in soak_counts.rows(counts):
        table.add_row(*row)
    console.print(table)


def main() -> int:
    wanted = options()
    loads = choose_programs.listed(wanted.load, list(machine_load.LOADS), "load")
    machine_load.need_tools()
    # SIGTERM does the same as Ctrl+C, which a series in the background cannot get.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with soak_counts.kept_in(wanted.file):
            return soak(wanted, loads)
    except ValueError as why:
        sys.exit(f"error: {why}")


def soak(wanted: argparse.Namespace, loads: list[str]) -> int:
    counts = soak_counts.read(wanted.file)  # before anything is built
    rounds = plan(choose_programs.choose(wanted), wanted.runs, loads, counts)
    if not rounds:
        print(f"{wanted.file} has {wanted.runs} of each already; for more: "
              f"make soak RUNS={2 * wanted.runs}, or another file")
    series = Series(wanted.file, wanted.jobs, sum(len(gradings) for _, gradings in rounds))
    end = time.monotonic() + 60 * wanted.minutes if wanted.minutes else float("inf")
    ended = False
    try:
        for load, gradings in rounds:
            if time.monotonic() < end:
                series.round(load, gradings)
    except KeyboardInterrupt:
        ended = True
    finally:
        if wanted.file.resolve() == soak_counts.KEPT:
            proof_page.renew_counts(series.counts, proof_page.PAGE)
    show(series.counts, Console() if Console().is_terminal else Console(width=140))
    print(f"{series.done} gradings in this series, {series.wrong} wrong verdicts; {wanted.file}")
    return 130 if ended else 1 if series.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
