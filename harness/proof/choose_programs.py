"""Which programs a command is about: the options that all commands share, and the build."""
from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Callable

from harness.proof import build_programs
from harness.proof.grade_program import KINDS, Subject, subjects
from harness.proof.wrong_program import NoSuchText


def new_parser(command: str, documentation: str | None) -> argparse.ArgumentParser:
    """A parser of options that describes the command by the first line of its documentation."""
    first = documentation.splitlines()[0] if documentation else None
    return argparse.ArgumentParser(prog=command, description=first)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", metavar="1,5", help="exercises (default: all)")
    parser.add_argument("--kind", default="", metavar="wrong,solution",
                        help=f"kinds of programs, of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--name", help="one program, by its name in the table")


def choose(wanted: argparse.Namespace, more: Callable[[Subject], bool] = lambda subject: True
           ) -> list[Subject]:
    """The programs that the options and `more` admit, built.

    Ends with a message when there is none, or when one cannot be built.
    """
    exercises = build_programs.exercises()
    numbers = listed(wanted.only, [str(one.number) for one in exercises], "exercise")
    kinds = listed(wanted.kind, list(KINDS), "kind")
    found = [subject for exercise in exercises if str(exercise.number) in numbers
             for subject in subjects(exercise)
             if subject.kind in kinds and wanted.name in (None, subject.name) and more(subject)]
    if not found:
        sys.exit("error: there is no such program: harness/proof/wrong_programs/ex1.py and the "
                 "files beside it have the names")
    try:
        build_programs.build(sorted({subject.target for subject in found if subject.target}))
        for number in {subject.exercise.number for subject in found if subject.name == "in Go"}:
            build_programs.build_go(number)
    except NoSuchText as why:
        sys.exit(f"error: {why}")
    except subprocess.CalledProcessError:
        sys.exit("error: a wrong program does not compile: mend its edit in "
                 "harness/proof/wrong_programs/")
    return found


def listed(text: str, known: list[str], what: str) -> list[str]:
    """Words of a list with commas; all if it is empty."""
    words = [word for word in text.split(",") if word] or known
    if unknown := [word for word in words if word not in known]:
        sys.exit(f"error: there is no {what} {', '.join(unknown)}; there are: {', '.join(known)}")
    return words
