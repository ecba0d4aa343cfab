"""What a learner asks for between two gradings: the next hint, the solution, how far everything is.

Usage: learner.py hint N | learner.py diff N [--force] | learner.py progress      (make ex1-hint, ex1-diff, progress)
"""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from harness.judging.checklist import COMMON
from harness.learner import progress, readme_hints
from harness.learner.progress import Failure, Standing
from harness.system.places import ROOT

ITEMS = 5
WIDTH = 100


def folder_of(number: int) -> Path:
    return next((ROOT / "exercises").glob(f"ex{number}_*"))


def name_of(item: int) -> str:
    return f"item {item}" if item != COMMON else "common ground"


def show(title: str, text: str) -> None:
    print(f"\n{title}:\n" + textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ",
                                           break_long_words=False, break_on_hyphens=False))


# ----- hint


def hint(number: int) -> int:
    standing, name = progress.of(number), f"ex{number}"
    if standing.failed:
        next_hint(number, standing, standing.failed[0])
    elif standing.passed == ITEMS:
        print(f"Nothing failed: all {ITEMS} items of exercise {number} pass. The solution beside yours: make {name}-diff")
    elif standing.results:
        print(f"Nothing of exercise {number} failed when it was last tried. Grade the whole of it: make {name}-grade")
    else:
        print(f"Hints are about what failed, so grade first: make {name}-grade")
    return 0


def next_hint(number: int, standing: Standing, failure: Failure) -> None:
    """Give one more hint for the item of this failure, or all of them again when there is none left."""
    there = readme_hints.of_readme(folder_of(number) / "README.md").get(failure.item, [])
    given = min(standing.hints.get(str(failure.item), 0), len(there))
    print(f"Exercise {number}, {name_of(failure.item)} failed when it was last tried: {failure.title}")
    if given < len(there):
        show(f"Hint {given + 1} of {len(there)}, {lowered(there[given].title)}", there[given].text)
        with progress.changing(number) as standing:
            standing.hints[str(failure.item)] = given + 1
        more = f"The next hint: make ex{number}-hint" if given + 1 < len(there) else f"That was the last hint for {name_of(failure.item)}."
        print(f"\nTry it, then: make ex{number}-grade   {more}")
        return
    for index, one in enumerate(there, 1):
        show(f"Hint {index} of {len(there)}, {lowered(one.title)}", one.text)
    print(f"\nThat was all that there is for {name_of(failure.item)}. How the solution does it: make ex{number}-diff")


def lowered(title: str) -> str:
    return title[:1].lower() + title[1:]


# ----- diff


def diff(number: int, force: bool) -> int:
    if not force and not may_see(number):
        return 0 if sys.stdin.isatty() else 1
    starter, solution = folder_of(number) / "main.cpp", ROOT / "solutions" / folder_of(number).name / "main.cpp"
    colour = "never" if os.environ.get("NO_COLOR") else "auto"
    done = subprocess.run(["diff", "-u", f"--color={colour}", *(str(file.relative_to(ROOT)) for file in (starter, solution))], cwd=ROOT)
    return 0 if done.returncode < 2 else done.returncode


def may_see(number: int) -> bool:
    """Whoever has not earned the solution is asked once."""
    standing = progress.of(number)
    if standing.earned or standing.agreed:
        return True
    why = f"The solution of exercise {number} is for after your own: make ex{number}-grade has not said {ITEMS} of {ITEMS} yet."
    if not sys.stdin.isatty():
        print(f"{why}\nA hint: make ex{number}-hint   The solution all the same: make ex{number}-diff FORCE=1", file=sys.stderr)
        return False
    print(why)
    agreed = asked("Show it all the same? [y/N] ")
    if agreed:
        with progress.changing(number) as standing:
            standing.agreed = True
    else:
        print(f"Not shown. A hint: make ex{number}-hint")
    return agreed


def asked(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


# ----- progress


def table() -> int:
    from rich.console import Console  # slow to load, and the other commands print plain lines
    from rich.table import Table

    standings = progress.load()
    shown = Table("exercise", "passed", "failed last", "last graded", "solution", box=None, pad_edge=False)
    for number in range(1, 6):
        standing = standings.get(str(number), Standing())
        passed = f"{standing.passed} of {ITEMS}" if standing.results else "-"
        failed = listed(sorted({one.item for one in standing.failed}))
        solution = "earned" if standing.earned else "seen before" if standing.agreed else "-"
        shown.add_row(folder_of(number).name, passed, failed, standing.graded or "-", solution)
    Console(highlight=False).print(shown)
    return 0


def listed(items: list[int]) -> str:
    numbers = [str(item) for item in items if item != COMMON]
    common = ["common ground"] if COMMON in items else []
    return "; ".join([f"item{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"] * bool(numbers) + common) or "-"


def main() -> int:
    parser = argparse.ArgumentParser(prog="learner.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("hint", "diff"):
        commands.add_parser(name).add_argument("number", type=int, choices=range(1, 6))
    commands.choices["diff"].add_argument("--force", action="store_true", help="do not ask")
    commands.add_parser("progress")
    wanted = parser.parse_args()
    if wanted.command == "hint":
        return hint(wanted.number)
    return diff(wanted.number, wanted.force) if wanted.command == "diff" else table()


if __name__ == "__main__":
    sys.exit(main())
