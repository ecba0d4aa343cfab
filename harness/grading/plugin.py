"""The pytest plugin: options, the order of checks, how each is run, and what is made of the outcomes.

One leading process starts the run and tells the user; its children run the checks (see crew.py). With -n0 it runs them itself.
"""
from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, Generator

import pytest

from . import progress
from .checklist import INCONCLUSIVE_EXIT, Checklist, declaration_of, needs_of, sentence
from .crew import Crew
from .folders import replaceable
from .lab import Lab
from .order import arrange
from .preflight import problems
from .program import NoProgram, Program
from .report import publish
from .report_json import write
from .run import LeadingRun, Run
from .runner import run_check
from .trace import Trace, folder_for
from .verdict import HARNESS_FAULT, Declaration, Exercise, Record

HARNESS = Path(__file__).resolve().parent.parent
ROOT = HARNESS.parent
RECORD = "record"
CLEARING = 10.0
"""Seconds after a Ctrl+C in which another one is not heeded."""
LEADER: pytest.StashKey[Leader] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grading")
    group._addoption("-n", type=count, default=0, metavar="N", help="run so many checks at once (0: one after another, in this process)")
    group.addoption("--solution", action="store_true", help="grade the reference solution")
    group.addoption("--program", metavar="COMMAND", help="grade this program instead of the built starter")
    group.addoption("--real-time", action="store_true", help="use the contract's own figures, not scaled ones")
    # --trace (keep what each check did) is a name that pytest has given away: pytest.ini turns off its debugger, whose it is.
    group.addoption("--report-dir", metavar="DIR", help="write the report with pictures there (empty: nowhere; else build/reports/…)")
    group.addoption("--report-json", metavar="FILE", help="write the report there as JSON")


def count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on is wanted, not {text!r}")
    return int(text)


def option(config: pytest.Config, name: str) -> Any:
    return config.getoption(name)


def command_of(config: pytest.Config, exercise: Exercise) -> tuple[str, str]:
    """The command to grade and what to say if it is not there."""
    given, built = option(config, "program"), f"build/bin/ex{exercise.number}"
    if given is not None and option(config, "solution"):
        raise NoProgram("--program and --solution exclude each other")
    if given is not None:
        return str(given), "--program takes a command line as you would type it in this folder"
    if option(config, "solution"):
        return f"{built}-solution", f"Build it first: make ex{exercise.number}-solution"
    return built, f"Build it first: make ex{exercise.number}"


def find_program(config: pytest.Config, exercise: Exercise) -> Program:
    command, advice = command_of(config, exercise)
    return Program.find(command, Path.cwd() if option(config, "program") is not None else ROOT, advice)


def root(config: pytest.Config) -> Path:
    """Where `build` is: that of the kit, or that of an exercise of one's own."""
    return ROOT if config.rootpath == HARNESS else config.rootpath


def module_of(config: pytest.Config) -> str:
    """The test file that was asked for; there is one for each exercise."""
    names = {Path(arg.split("::")[0]).stem for arg in config.args if Path(arg.split("::")[0]).name.startswith("test_ex")}
    if len(names) != 1:
        raise pytest.UsageError("name the test file of one exercise, for instance harness/test_ex1_graceful_shutdown.py")
    return names.pop()


class Leader:
    """What the leading process keeps: the checklist, the display, the run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.began = config, time.monotonic()
        from .terminal import Display  # slow to load, and only this process shows anything

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
        if self.starter:
            progress.record(self.checklist)
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


def report_folder(config: pytest.Config, exercise: Exercise) -> Path | None:
    """Where the report with the pictures goes; None: nowhere."""
    given = option(config, "report_dir")
    if given is not None:
        return Path(given) if given else None
    which = "-solution" if option(config, "solution") else "-program" if option(config, "program") is not None else ""
    return root(config) / f"build/reports/ex{exercise.number}{which}"


def refuse_unwritable(file: Path) -> None:
    """Before the run, not after it."""
    needed = [file] * file.exists() + [file.parent] * replaceable(file)
    if file.is_dir() or not all(os.access(one, os.W_OK) for one in needed):
        raise pytest.UsageError(f"--report-json {file}: no file can be written there")


def short_id(nodeid: str) -> str:
    return nodeid.partition("::")[2]


def record_of(report: pytest.TestReport) -> Record | None:
    found = [value for name, value in report.user_properties if name == RECORD]
    return Record(**found[-1]) if found and report.when == "call" and isinstance(found[-1], dict) else None


# ----- in whichever process runs a check


def pytest_configure(config: pytest.Config) -> None:
    if not config.option.collectonly:
        config.stash[LEADER] = Leader(config)


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    exercise = request.module.EXERCISE
    program = find_program(request.config, exercise)
    return Lab(exercise, program, Run.of_environment(), bool(option(request.config, "real_time")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    items[:] = arrange(items, lambda item: declaration(item).seconds, lambda item: needed_by(item, items),
                       lambda item: declaration(item).heavy)


def needed_by(item: pytest.Function, items: list[pytest.Function]) -> list[pytest.Function]:
    """Those of the items that it builds on."""
    names = needs_of(class_of(item), item.function)
    return [other for other in items if other.name in names]


def declaration(item: pytest.Function) -> Declaration:
    return declaration_of(item.function)


def class_of(item: pytest.Function) -> type:
    return item.cls if isinstance(item.cls, type) else object


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    item, cls = pyfuncitem, class_of(pyfuncitem)
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    needed = {short_id(other.nodeid): sentence(other.function) for other in needed_by(item, functions(item.session))}
    number = int(getattr(cls, "item", 0))
    record = Record(short_id(item.nodeid), number, sentence(item.function))
    bench = item.funcargs["lab"]
    assert isinstance(bench, Lab)
    if option(item.config, "trace"):
        bench.trace = Trace(folder_for(root(item.config), bench.exercise.number, record.id))
        record.trace = os.path.relpath(bench.trace.folder)
    run_check(record, cls, item.function, bench, needed, lambda: item.obj(**arguments))
    if bench.trace is not None:
        record.notes += bench.trace.keep_events(bench.log)
    record.hint = hint(item.module.EXERCISE, number, record.hint) if record.result == "fail" else ""
    item.user_properties.append((RECORD, vars(record)))
    if record.result == "fail":
        pytest.fail(record.seen, pytrace=False)
    if record.result != "pass":
        pytest.skip(record.seen)
    return True


def hint(exercise: Exercise, number: int, first: str) -> str:
    where = f"the hints for {f'item {number}' if number else 'the common ground'} in {exercise.folder}/README.md"
    return f"{first} (more: {where})" if first else where


# ----- the leading process


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    leader, items = session.config.stash.get(LEADER, None), functions(session)
    if leader is None or session.testsfailed and not option(session.config, "continue_on_collection_errors"):
        return None
    leader.checklist.choose({short_id(item.nodeid) for item in items})
    processes = option(session.config, "n")
    if processes == 0 or not items:
        leader.display.begin()
        return None
    crew = Crew(session, processes, needs={item: needed_by(item, items) for item in items},
                heavy={item for item in items if declaration(item).heavy}, forked=leader.run.leave)
    leader.display.begin()
    crew.run()
    return True


def functions(session: pytest.Session) -> list[pytest.Function]:
    return [item for item in session.items if isinstance(item, pytest.Function)]


class Listener:
    """Hooks that get no config: registered once the leader is known."""

    def __init__(self, leader: Leader) -> None:
        self.leader = leader

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.leader.display.start(short_id(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.leader.take(report)


def pytest_sessionstart(session: pytest.Session) -> None:
    leader = session.config.stash.get(LEADER, None)
    if leader is None:
        return
    session.config.pluginmanager.register(Listener(leader), "grading-listener")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background process ignores it
        signal.signal(signal.SIGINT, Interrupt())


class Interrupt:
    """Ctrl+C ends the run and tells what is known by then. That is soon done: a second Ctrl+C must not break it off at once."""

    def __init__(self) -> None:
        self.since = -CLEARING

    def __call__(self, number: int, frame: object) -> None:
        if time.monotonic() > self.since + CLEARING:
            self.since = time.monotonic()
            raise KeyboardInterrupt


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count by our results, print nothing: the display does that."""
    record = record_of(report) if isinstance(report, pytest.TestReport) else None
    if record is not None:
        names = {"pass": "passed", "fail": "failed", "skipped": "skipped", "inconclusive": "inconclusive"}
        return names[record.result], "", ""
    return ("inconclusive" if report.outcome == "failed" else ""), "", ""


def pytest_terminal_summary(config: pytest.Config) -> None:
    leader = config.stash.get(LEADER, None)
    if leader is not None:
        leader.finish()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    leader = session.config.stash.get(LEADER, None)
    if leader is not None:
        leader.display.stop()
    ran = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    yield
    if leader is not None and ran and leader.checklist.items:
        session.exitstatus = INCONCLUSIVE_EXIT if leader.unreported else leader.checklist.exit_code()


def pytest_unconfigure(config: pytest.Config) -> None:
    leader = config.stash.get(LEADER, None)
    if leader is not None:
        leader.display.stop()
        leader.run.end()
