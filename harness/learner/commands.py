"""What a learner asks for between two gradings: the next hint, the solution, how far everything is.

Usage: python3 -m harness.learner.commands hint N | diff N [--force] | reset N | progress
(make ex1-hint, ex1-diff, ex1-reset, progress)
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
from harness.learner.readme_hints import Hint
from harness.learner.reset import reset
from harness.system.places import HARNESS, ROOT

ITEMS = 5
WIDTH = 100


def folder_of(number: int) -> Path:
    checklist = next(HARNESS.glob(f"test_ex{number}_*.py"))
    return ROOT / "exercises" / checklist.stem.removeprefix("test_")


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
        print(f"Nothing failed: all {ITEMS} items of exercise {number} pass. "
              f"The solution beside yours: make {name}-diff")
    elif standing.results:
        print(f"Nothing of exercise {number} failed when it was last tried. "
              f"Grade the whole of it: make {name}-grade")
    else:
        print(f"Hints are about what failed, so grade first: make {name}-grade")
    return 0


def next_hint(number: int, standing: Standing, failure: Failure) -> None:
    """Print one more hint for the item of this failure, or all of them again if none is left."""
    there = readme_hints.of_readme(folder_of(number) / "README.md").get(failure.item, [])
    given = min(standing.hints.get(str(failure.item), 0), len(there))
    item = name_of(failure.item)
    print(f"Exercise {number}, {item} failed when it was last tried: {failure.title}")
    if given < len(there):
        show_hint(there, given + 1)
        progress.note(number, lambda one: one.hints.update({str(failure.item): given + 1}))
        last = given + 1 == len(there)
        more = (f"That was the last hint for {item}." if last
                else f"The next hint: make ex{number}-hint")
        print(f"\nTry it, then: make ex{number}-grade   {more}")
        return
    for level in range(1, len(there) + 1):
        show_hint(there, level)
    print(f"\nThat was all that there is for {item}. "
          f"How the solution does it: make ex{number}-diff")


def show_hint(there: list[Hint], level: int) -> None:
    one = there[level - 1]
    title = one.title[:1].lower() + one.title[1:]
    show(f"Hint {level} of {len(there)}, {title}", one.text)


# ----- diff


def diff(number: int, force: bool) -> int:
    if not force and not may_see(number):
        return 0 if sys.stdin.isatty() else 1
    starter = folder_of(number) / "main.cpp"
    solution = ROOT / "solutions" / folder_of(number).name / "main.cpp"
    files = [str(file.relative_to(ROOT)) for file in (starter, solution)]
    colour = "never" if os.environ.get("NO_COLOR") else "auto"
    done = subprocess.run(["diff", "-u", f"--color={colour}", *files], cwd=ROOT)
    if done.returncode == 0:
        print(f"{files[0]} is the same as {files[1]}")
    return 0 if done.returncode < 2 else done.returncode


def may_see(number: int) -> bool:
    """Whether the learner has earned the solution, or says yes to a question.

    The question is asked at a terminal only; a yes is remembered.
    """
    standing = progress.of(number)
    if standing.earned or standing.agreed:
        return True
    why = (f"The solution of exercise {number} is for after your own: "
           f"make ex{number}-grade has not said {ITEMS} of {ITEMS} yet.")
    if not sys.stdin.isatty():
        print(f"{why}\nA hint: make ex{number}-hint   "
              f"The solution all the same: make ex{number}-diff FORCE=1", file=sys.stderr)
        return False
    print(why)
    agreed = asked("Show it all the same? [y/N] ")
    if agreed:
        progress.note(number, agree)
    else:
        print(f"Not shown. A hint: make ex{number}-hint")
    return agreed


def agree(standing: Standing) -> None:
    standing.agreed = True


def asked(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


# ----- progress


def print_progress() -> int:
    from rich.console import Console  # slow to load, and the other commands print plain lines
    from rich.table import Table

    table = Table("exercise", "passed", "failed last", "last graded", "solution",
                  box=None, pad_edge=False)
    for number in range(1, 6):
        standing = progress.of(number)
        passed = f"{standing.passed} of {ITEMS}" if standing.results else "-"
        failed = listed(sorted({one.item for one in standing.failed}))
        solution = "earned" if standing.earned else "seen before" if standing.agreed else "-"
        table.add_row(folder_of(number).name, passed, failed, standing.graded or "-", solution)
    Console(highlight=False).print(table)
    return 0


def listed(items: list[int]) -> str:
    numbers = [str(item) for item in items if item != COMMON]
    common = ["common ground"] if COMMON in items else []
    own = [f"item{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"] if numbers else []
    return "; ".join(own + common) or "-"


def main() -> int:
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python3 -m harness.learner.commands",
                                     description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("hint", "diff", "reset"):
        commands.add_parser(name).add_argument("number", type=int, choices=range(1, 6))
    commands.choices["diff"].add_argument("--force", action="store_true", help="do not ask")
    commands.add_parser("progress")
    wanted = parser.parse_args()
    if wanted.command == "hint":
        return hint(wanted.number)
    if wanted.command == "diff":
        return diff(wanted.number, wanted.force)
    if wanted.command == "reset":
        return reset(folder_of(wanted.number) / "main.cpp")
    return print_progress()


if __name__ == "__main__":
    sys.exit(main())
