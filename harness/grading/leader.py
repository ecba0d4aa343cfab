"""The leading process of a grading: it keeps the checklist, the display and the run, and publishes the results."""
from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest

from harness.cluster.program import NoProgram
from harness.cluster.run import LeadingRun
from harness.grading.options import find_program, option, refuse_unwritable, report_folder
from harness.grading.preflight import problems
from harness.grading.publish import publish
from harness.judging.checklist import INCONCLUSIVE_EXIT, Checklist
from harness.judging.verdict import HARNESS_FAULT, Record
from harness.system.places import HARNESS
from harness.telling.report_json import write

RECORD = "record"
LEADER: pytest.StashKey[Leader] = pytest.StashKey()


def module_of(config: pytest.Config) -> str:
    """The module of the test file that was asked for; there is one for each exercise."""
    names = {Path(arg.split("::")[0]).stem for arg in config.args if Path(arg.split("::")[0]).name.startswith("test_ex")}
    if len(names) != 1:
        raise pytest.UsageError("name the test file of one exercise, for instance harness/test_ex1_graceful_shutdown.py")
    return f"harness.{names.pop()}" if config.rootpath == HARNESS else names.pop()


class Leader:
    """Takes in the record of each check, shows it, and at the end publishes all of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.began = config, time.monotonic()
        from harness.telling.terminal import Display  # slow to load, and only this process shows anything

        self.checklist = Checklist.of_module(module_of(config))
        try:
            self.program = find_program(config, self.checklist.exercise)
        except NoProgram as why:
            raise pytest.UsageError(str(why)) from None
        lacking = problems()
        if lacking:
            pytest.exit("nothing can be graded on this machine: " + "; ".join(lacking), INCONCLUSIVE_EXIT)
        self.report_folder = report_folder(config, self.checklist.exercise)
        self.run = LeadingRun(keep_timelines=self.report_folder is not None)
        self.unreported = False
        self.starter = option(config, "program") is None and not option(config, "solution") and config.rootpath == HARNESS
        self.display = Display(self.checklist, self.program.shown, self.starter)
        if report := option(config, "report_json"):
            refuse_unwritable(Path(report))

    def take(self, report: pytest.TestReport) -> None:
        record = record_of(report)
        if record is None and report.when == "call" or report.outcome == "failed" and record is None:
            record = Record(short_id(report.nodeid), 0, "", seen=f"{HARNESS_FAULT}: {report.longreprtext[-2000:]}")
            self.run.put_result(record.id, "inconclusive")
        if record is None:
            return
        record.rerun = self.rerun(report.nodeid)
        item = self.checklist.add(record)
        if item is not None:
            record.item, record.title = item.number, item.planned[record.id]
            self.display.update(item, record)

    def rerun(self, nodeid: str) -> str:
        """One command line, for the kit's folder, that runs just this check again; it builds the kit's own programs before."""
        if option(self.config, "program") is None and self.config.rootpath == HARNESS:
            which = "solution" if option(self.config, "solution") else "grade"
            more = (" --real-time" if option(self.config, "real_time") else "") + " --trace"
            return f"make ex{self.checklist.exercise.number}-{which} ARGS='-n0 -k {nodeid.rpartition('::')[2]}{more}'"
        file, _, rest = nodeid.partition("::")
        path = os.path.relpath(self.config.rootpath / file)
        same = Path(shutil.which("python3") or "/").resolve() == Path(sys.executable).resolve()
        words = ["python3" if same else sys.executable, "-m", "pytest", f"{path}::{rest}"]
        words += ["--program", option(self.config, "program")] if option(self.config, "program") is not None else []
        words += ["--real-time"] if option(self.config, "real_time") else []
        return shlex.join([*words, "-n0", "--trace"])

    def finish(self) -> None:
        seconds = time.monotonic() - self.began
        self.display.end(seconds)
        if self.report_folder is not None and self.checklist.items:
            folder = self.report_folder
            if option(self.config, "report_dir") is None and not self.checklist.whole:
                folder = folder.with_name(f"{folder.name}-part")  # the page of all checks stays
            said = publish(folder, self.checklist, self.program.shown, seconds, self.run.timeline)
            self.display.console.print(said, markup=False)
        if option(self.config, "report_json"):
            try:
                write(Path(option(self.config, "report_json")), self.checklist, self.program.shown, seconds)
            except OSError as why:
                self.unreported = True
                self.display.console.print(f"The report could not be written: {why}")


def short_id(nodeid: str) -> str:
    return nodeid.partition("::")[2]


def record_of(report: pytest.TestReport) -> Record | None:
    found = [value for name, value in report.user_properties if name == RECORD]
    return Record(**found[-1]) if found and report.when == "call" and isinstance(found[-1], dict) else None
