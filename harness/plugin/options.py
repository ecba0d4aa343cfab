"""The options of a grading, the program that they name, and the places for the results."""
from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.program import NoProgram, Program
from harness.judging.exercise import Exercise
from harness.system.files import replaceable
from harness.system.places import HARNESS, ROOT


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grading")
    group._addoption("-n", type=count, default=0, metavar="N",
                     help="run N checks at once (0: one after another, in this process)")
    group.addoption("--solution", action="store_true", help="grade the reference solution")
    group.addoption("--program", metavar="COMMAND",
                    help="grade this program instead of the built starter")
    group.addoption("--source", metavar="FILE",
                    help="the main.cpp of which --program was made: a learner's submission")
    group.addoption("--no-isolation", action="store_true",
                    help="let the program see the machine as it is, as your own user")
    group.addoption("--real-time", action="store_true",
                    help="use the contract's own figures, not scaled ones")
    # --trace (keep what each check did) is an option of pytest's debugger. pytest.ini turns the
    # debugger off, so the name is free for us.
    group.addoption("--report-dir", metavar="DIR",
                    help="write the report with pictures there (empty: nowhere; without this "
                         "option: build/reports/…)")
    group.addoption("--report-json", metavar="FILE", help="write the report there as JSON")


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on is wanted, not {text!r}")
    return int(text)


def option(config: pytest.Config, name: str) -> Any:
    return config.getoption(name)


def command_of(config: pytest.Config, exercise: Exercise) -> tuple[str, str]:
    """The command to grade, and the advice if there is no such program."""
    given, built = option(config, "program"), f"build/bin/ex{exercise.number}"
    if given is not None and option(config, "solution"):
        raise NoProgram("--program and --solution exclude each other")
    if given is None and option(config, "source") is not None:
        raise NoProgram("--source says of what --program was made: give that, too")
    if given is not None:
        return str(given), "--program takes a command line as you would type it in this folder"
    if option(config, "solution"):
        return f"{built}-solution", f"Build it first: make ex{exercise.number}-solution"
    return built, f"Build it first: make ex{exercise.number}"


def find_program(config: pytest.Config, exercise: Exercise) -> Program:
    command, advice = command_of(config, exercise)
    folder = Path.cwd() if option(config, "program") is not None else ROOT
    return Program.find(command, folder, advice)


def submission(config: pytest.Config) -> Path | None:
    """The main.cpp of a learner, who is told of it as of the kit's own starter."""
    given = option(config, "source")
    if given is not None and not Path(given).is_file():
        raise NoProgram(f"--source: there is no file {given}")
    return None if given is None else Path(given)


def root(config: pytest.Config) -> Path:
    """The folder that has `build` in it: the kit's, or that of an exercise outside the kit."""
    return ROOT if config.rootpath == HARNESS else config.rootpath


def report_folder(config: pytest.Config, exercise: Exercise) -> Path | None:
    """The folder for the report with the pictures; None: no report."""
    given = option(config, "report_dir")
    if given is not None:
        return Path(given) if given else None
    which = "-program" if option(config, "program") is not None else ""
    which = "-solution" if option(config, "solution") else which
    return root(config) / f"build/reports/ex{exercise.number}{which}"


def refuse_unwritable(file: Path) -> None:
    """Refuse a file that cannot be written. This is done before the run, not after it."""
    needed = [file] * file.exists() + [file.parent] * replaceable(file)
    if file.is_dir() or not all(os.access(one, os.W_OK) for one in needed):
        raise pytest.UsageError(f"--report-json {file}: no file can be written there")
