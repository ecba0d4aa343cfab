"""The leading process of a grading: it has the checklist, the display and the run, and publishes
the results."""
from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.isolation import choose, needed_by, refuse_unreadable
from harness.cluster.program import NoProgram
from harness.cluster.run import LeadingRun
from harness.judging.checklist import Checklist
from harness.judging.exit_code import INCONCLUSIVE_EXIT
from harness.judging.report import as_json
from harness.judging.verdict import HARNESS_FAULT, Record
from harness.plugin.built_program import checksum, take
from harness.plugin.open_steps import steps_with_todo
from harness.plugin.options import (
    find_program, option, refuse_unwritable, report_folder, submission)
from harness.plugin.preflight import problems
from harness.plugin.publish import publish
from harness.plugin.source_notes import source_notes
from harness.system.files import text_of
from harness.system.places import HARNESS, ROOT
from harness.telling.report_json import write

RECORD = "record"
LEADER: pytest.StashKey[Leader] = pytest.StashKey()


def module_of(config: pytest.Config) -> str:
    """The module of the test file that the user asked for; each exercise has one."""
    files = [Path(arg.split("::")[0]) for arg in config.args]
    names = {file.stem for file in files if file.name.startswith("test_ex")}
    if len(names) != 1:
        raise pytest.UsageError("name the test file of one exercise, for instance "
                                "harness/test_ex1_graceful_shutdown.py")
    return f"harness.{names.pop()}" if config.rootpath == HARNESS else names.pop()


class Leader:
    """Takes in the record of each check, shows it, and at the end publishes all of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.began = config, time.monotonic()
        # Loaded here, since it is slow to load and only the leading process shows anything.
        from harness.telling.terminal import Display

        self.checklist = Checklist.of_module(module_of(config))
        try:
            self.program = find_program(config, self.checklist.exercise)
            self.submission = submission(config)
        except NoProgram as why:
            raise pytest.UsageError(str(why)) from None
        self.isolation = choose(not option(config, "no_isolation"))
        lacking = problems()
        if lacking:
            pytest.exit("nothing can be graded on this machine: " + "; ".join(lacking),
                        INCONCLUSIVE_EXIT)
        self.report_folder = report_folder(config, self.checklist.exercise)
        self.run = LeadingRun(self.report_folder is not None, self.isolation)
        try:
            self.program, self.graded = take(self.program, own_target(config, self.checklist),
                                             self.run.programs, self.submission is not None)
            shown = needed_by(self.program.words)
            if self.isolation.user is not None:
                refuse_unreadable(self.program.words)
            self.run.start(shown)
        except (NoProgram, OSError) as why:
            self.run.end()
            raise pytest.UsageError(str(why)) from None
        except BaseException:
            self.run.end()
            raise
        self.unreported = False
        self.todo: list[int] | None = None
        """The steps that have their TODO in the source of the graded starter."""
        self.honesty: list[str] = []
        """What an instructor may want to know about the submission."""
        self.starter = self.submission is not None or own_starter(config)
        if self.submission is not None:
            command = f"build/bin/ex{self.checklist.exercise.number}"
            self.program = replace(self.program, command=command)
            self.graded = replace(self.graded, source=checksum(self.submission.read_bytes()))
        if self.starter and self.graded.source:
            self.look_at_source()
        self.display = Display(self.checklist, self.program.command, self.starter,
                               self.graded.source)
        if report := option(config, "report_json"):
            refuse_unwritable(Path(report))

    def look_at_source(self) -> None:
        folder = Path(self.checklist.exercise.folder)
        main = text_of(self.submission or ROOT / folder / "main.cpp")
        self.todo = steps_with_todo(main)
        self.honesty = source_notes(main, text_of(ROOT / "solutions" / folder.name / "main.cpp"))

    def take(self, report: pytest.TestReport) -> None:
        record = record_of(report)
        if record is None and (report.when == "call" or report.outcome == "failed"):
            record = Record(short_id(report.nodeid), 0, "",
                            seen=f"{HARNESS_FAULT}: {report.longreprtext[-2000:]}")
            self.run.put_result(record.id, "inconclusive")
        if record is None:
            return
        record.rerun = self.rerun(report.nodeid)
        self.honesty += [note for note in record.honesty if note not in self.honesty]
        item = self.checklist.add(record)
        if item is not None:
            record.item, record.title = item.number, item.planned[record.id]
            self.display.update(item, record)

    def rerun(self, nodeid: str) -> str:
        """One command line, to be run in the kit's folder, that runs just this check again. For
        the kit's own programs it builds them first."""
        program = option(self.config, "program") if self.submission is None else None
        real_time = ["--real-time"] if option(self.config, "real_time") else []
        if program is None and self.config.rootpath == HARNESS:
            which = "solution" if option(self.config, "solution") else "grade"
            arguments = ["-n0", "-k", nodeid.rpartition("::")[2], *real_time, "--trace"]
            return f"make ex{self.checklist.exercise.number}-{which} ARGS='{' '.join(arguments)}'"
        file, _, rest = nodeid.partition("::")
        path = os.path.relpath(self.config.rootpath / file)
        same = Path(shutil.which("python3") or "/").resolve() == Path(sys.executable).resolve()
        words = ["python3" if same else sys.executable, "-m", "pytest", f"{path}::{rest}"]
        words += ["--program", program] if program is not None else []
        return shlex.join([*words, *real_time, "-n0", "--trace"])

    def finish(self, stopped: bool) -> None:
        """`stopped`: by Ctrl+C."""
        if not self.checklist.items:
            self.display.console.print("No check was chosen: nothing is graded.")
        if not stopped and not any(item.records for item in self.checklist.items):
            return
        seconds = time.monotonic() - self.began
        self.display.end(seconds, stopped)
        if self.isolation.lacking:
            self.display.console.print(f"Isolation: {self.isolation}", markup=False)
        if self.report_folder is not None:
            folder = self.report_folder
            if option(self.config, "report_dir") is None and not self.checklist.whole:
                folder = folder.with_name(f"{folder.name}-part")  # the page of all checks stays
            said = publish(folder, self.checklist, self.report(seconds), self.run.timeline)
            self.display.console.print(said, markup=False)
        if report := option(self.config, "report_json"):
            try:
                write(Path(report), self.report(seconds))
            except OSError as why:
                self.unreported = True
                self.display.console.print(f"The report could not be written: {why}")

    def report(self, seconds: float) -> dict[str, Any]:
        found = as_json(self.checklist, self.program.command, seconds)
        return {**found, **asdict(self.graded), "isolation": str(self.isolation),
                "honesty": self.honesty}


def own_starter(config: pytest.Config) -> bool:
    return (option(config, "program") is None and not option(config, "solution")
            and config.rootpath == HARNESS)


def own_target(config: pytest.Config, checklist: Checklist) -> str:
    """Which of the kit's own programs is graded; empty: another one."""
    if option(config, "program") is not None or config.rootpath != HARNESS:
        return ""
    return f"ex{checklist.exercise.number}" + "-solution" * bool(option(config, "solution"))


def short_id(nodeid: str) -> str:
    return nodeid.partition("::")[2]


def record_of(report: pytest.TestReport) -> Record | None:
    found = [value for name, value in report.user_properties if name == RECORD]
    if found and report.when == "call" and isinstance(found[-1], dict):
        return Record(**found[-1])
    return None
