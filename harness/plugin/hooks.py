"""The pytest plugin: it collects the checks, has each of them run, and passes on their outcomes.

One leading process starts the run and informs the user; its children run the checks. With -n0 the
leading process runs them itself.
"""
from __future__ import annotations

import os
import signal
import time
from typing import Generator

import pytest

from harness.cluster.fixture import Fixture
from harness.cluster.run import Run
from harness.judging.check_order import arrange
from harness.judging.checklist import declaration_of, needs_of, sentence
from harness.judging.exercise import Declaration, Exercise
from harness.judging.exit_code import INCONCLUSIVE_EXIT, exit_code
from harness.judging.parallel import Doubt, ParallelChecks
from harness.judging.verdict import HARNESS_FAULT, Record
from harness.plugin.at_once import AtOnce
from harness.plugin.leading_process import LEADER, RECORD, Leader, record_of, short_id
from harness.plugin.options import option, root
from harness.plugin.run_check import run_check
from harness.telling.trace_folder import Trace, folder_for

pytest_plugins = ["harness.plugin.options"]
BEHIND, BEHIND_SHARE = 0.1, 0.25
"""A check in which something came too late runs once more if the machine was behind for so many
seconds, and for so much of its time. Less is usual when eight run on two cores."""
CLEARING = 10.0
"""Seconds after a Ctrl+C in which another one is ignored."""


# ----- the checks


@pytest.fixture
def fixture(request: pytest.FixtureRequest) -> Fixture:
    exercise = request.module.EXERCISE
    program = request.config.stash[LEADER].program
    real_time = bool(option(request.config, "real_time"))
    return Fixture(exercise, program, Run.of_environment(), real_time)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    items[:] = arrange(items, lambda item: declaration(item).seconds,
                       lambda item: needed_by(item, items), lambda item: declaration(item).heavy)


def needed_by(item: pytest.Function, items: list[pytest.Function]) -> list[pytest.Function]:
    """Those of the items that this one builds on."""
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
    needed = {short_id(other.nodeid): sentence(other.function)
              for other in needed_by(item, functions(item.session))}
    number = int(getattr(cls, "item", 0))
    record = Record(short_id(item.nodeid), number, sentence(item.function))
    fixture = item.funcargs["fixture"]
    assert isinstance(fixture, Fixture)
    trace: Trace | None = None
    if option(item.config, "trace"):
        trace = Trace(folder_for(root(item.config), fixture.exercise.number, record.id))
        record.trace = os.path.relpath(trace.folder)
    run_check(record, item.function, fixture, needed, lambda: item.obj(**arguments), trace,
              item.config.stash[LEADER].todo)
    record.hint = hint(item.module.EXERCISE, number, record.hint) if record.result == "fail" else ""
    item.user_properties.append((RECORD, vars(record)))
    if record.result == "fail":
        pytest.fail(record.seen, pytrace=False)
    if record.result != "pass":
        pytest.skip(record.seen)
    return True


def hint(exercise: Exercise, number: int, first: str) -> str:
    subject = f"item {number}" if number else "the common ground"
    where = f"the hints for {subject} in {exercise.folder}/README.md"
    return f"{first} (more: {where})" if first else where


# ----- the leading process


def in_doubt(reports: list[pytest.TestReport]) -> str:
    """Why a check is to run once more, alone: its outcome may be due to what ran beside it."""
    for record in filter(None, map(record_of, reports)):
        if record.result == "inconclusive" and HARNESS_FAULT not in record.seen:
            return f"inconclusive: {record.seen}"
        if record.result == "pass" and record.excused > 0:
            return (f"passed, with something {record.excused * 1000:.0f} ms late, perhaps because "
                    "the checks beside it had the processors")
        behind = record.behind >= max(BEHIND, BEHIND_SHARE * record.seconds)
        if record.late and behind and not record.says_step:
            return f"failed while the machine was {record.behind:.1f} s behind: {record.seen}"
    return ""


def tell_of_doubt(reports: list[pytest.TestReport], why: str) -> None:
    note = f"this is the second time, alone. The first time it was {why}"
    for report in reports:
        for name, value in report.user_properties if report.when == "call" else []:
            if name == RECORD and isinstance(value, dict):
                value["notes"].append(note)


def pytest_configure(config: pytest.Config) -> None:
    asked = config.option
    if asked.collectonly or asked.help or asked.version:
        return
    # A process in a shell's background ignores SIGINT; that stays so.
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_DFL):
        signal.signal(signal.SIGINT, Interrupt())
    config.stash[LEADER] = Leader(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    leader, items = session.config.stash.get(LEADER, None), functions(session)
    go_on = option(session.config, "continue_on_collection_errors")
    if leader is None or session.testsfailed and not go_on:
        return None
    leader.checklist.choose({short_id(item.nodeid) for item in items})
    processes = option(session.config, "n")
    if processes == 0 or not items:
        leader.display.begin()
        return None
    display = leader.display
    doubt = Doubt(in_doubt, tell_of_doubt,
                  postpone=lambda item: display.postpone(short_id(item.nodeid)))
    checks = ParallelChecks(session, processes,
                            needs={item: needed_by(item, items) for item in items},
                            heavy={item for item in items if declaration(item).heavy},
                            forked=leader.run.leave, doubt=doubt, at_once=AtOnce(processes))
    leader.display.begin()
    checks.run()
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
    if isinstance(interrupt := signal.getsignal(signal.SIGINT), Interrupt):
        interrupt.session = session


class Interrupt:
    """Ctrl+C ends the run, which then publishes the results so far. That takes a moment, and a
    second Ctrl+C must not break it off.

    The session is told, too: the interpreter loses an exception that comes while it runs a
    destructor or a callback.
    """

    def __init__(self) -> None:
        self.since = -CLEARING
        self.session: pytest.Session | None = None

    def __call__(self, number: int, frame: object) -> None:
        if time.monotonic() > self.since + CLEARING:
            self.since = time.monotonic()
            if self.session is not None:
                self.session.shouldstop = "Ctrl+C"
            raise KeyboardInterrupt


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count by the results of checks, and print nothing: the display does that."""
    record = record_of(report) if isinstance(report, pytest.TestReport) else None
    if record is not None:
        names = {"pass": "passed", "fail": "failed", "skipped": "skipped",
                 "inconclusive": "inconclusive"}
        return names[record.result], "", ""
    return ("inconclusive" if report.outcome == "failed" else ""), "", ""


def pytest_terminal_summary(exitstatus: int, config: pytest.Config) -> None:
    leader = config.stash.get(LEADER, None)
    if leader is not None:
        leader.finish(stopped=exitstatus == pytest.ExitCode.INTERRUPTED)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    leader = session.config.stash.get(LEADER, None)
    if leader is not None:
        leader.display.stop()
    ran = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    yield
    if leader is not None and ran and leader.checklist.items:
        code = exit_code(leader.checklist)
        session.exitstatus = INCONCLUSIVE_EXIT if leader.unreported else code


def pytest_unconfigure(config: pytest.Config) -> None:
    leader = config.stash.get(LEADER, None)
    if leader is not None:
        leader.display.stop()
        leader.run.end()
        # The interpreter's own end would put back the default, by which a late Ctrl+C kills.
        if isinstance(signal.getsignal(signal.SIGINT), Interrupt):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
