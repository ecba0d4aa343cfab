"""Runs checks side by side, in children of the leading process. They are forked when everything is
loaded, since to start as many Pythons would take longer than most checks.

The leading process deals the checks, in their order, to children that are free: it sends the number
of a check; the child runs the check and sends back pytest's reports. A check is dealt when those
that it builds on have ended. Heavy checks run one at a time. A check whose outcome is in doubt runs
once more, alone: that outcome counts.
"""
from __future__ import annotations

import os
import signal
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Callable, Mapping, Protocol

import pytest
from _pytest.runner import runtestprotocol

from harness.system import prctl

LOOKS_EVERY = 0.5
"""Seconds between two looks whether the run is to stop."""
MOST_AGAIN = 8
"""Checks that run once more: a machine that leaves more in doubt is no machine to grade on."""


class Child:
    def __init__(self, session: pytest.Session, forked: Callable[[], None]) -> None:
        leader = os.getpid()
        self.pipe, end = Pipe()
        self.item: pytest.Function | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                prctl.end_with(leader)
                # Ctrl+C goes to all processes; the leading process ends the others.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                forked()
                serve(session, end)
            except BaseException:
                end.send(traceback.format_exc())
            finally:
                os._exit(1)
        end.close()

    def reap(self) -> str:
        """Kill it if it still runs; returns how it has ended."""
        self.pipe.close()
        os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return f"exit code {code}" if code >= 0 else f"signal {-code}"


def serve(session: pytest.Session, pipe: Connection) -> None:
    """Run checks until the leading process kills this one."""
    config = session.config
    while True:
        reports = runtestprotocol(session.items[pipe.recv()], log=False, nextitem=None)
        pipe.send([config.hook.pytest_report_to_serializable(config=config, report=report)
                   for report in reports])


@dataclass(frozen=True)
class Doubt:
    """What the leading process thinks of the reports of a check."""

    of: Callable[[list[pytest.TestReport]], str]
    """Why the outcome is in doubt; empty if it is not."""
    tell: Callable[[list[pytest.TestReport], str], None]
    """Notes in the reports of the second time why there was a first."""
    postpone: Callable[[pytest.Function], None]
    """Called when a check has run once, and waits to run alone."""


class AtOnce(Protocol):
    """How many checks may run at once, by the reports of those that have run."""

    now: int

    def learn(self, reports: list[pytest.TestReport]) -> None: ...


class ParallelChecks:
    """`needs` has for each check those that it builds on; each child calls `forked` first. There
    are `count` children; how many of them are used at once is `at_once`."""

    def __init__(self, session: pytest.Session, count: int,
                 needs: Mapping[pytest.Function, list[pytest.Function]],
                 heavy: set[pytest.Function], forked: Callable[[], None], doubt: Doubt,
                 at_once: AtOnce) -> None:
        self.session, self.needs, self.heavy, self.forked = session, needs, heavy, forked
        self.doubt, self.at_once = doubt, at_once
        self.waiting = list(needs)
        self.again: dict[pytest.Function, str] = {}
        """Checks that are to run once more, alone, and why; also those that have."""
        self.ended: list[pytest.Function] = []
        self.children = [Child(session, forked) for _ in range(min(count, len(self.waiting)))]

    def run(self) -> None:
        try:
            while self.waiting or any(child.item for child in self.children):
                self.deal()
                ready = wait([child.pipe for child in self.children if child.item], LOOKS_EVERY)
                for child in [one for one in self.children if one.pipe in ready]:
                    self.take(child)
                if self.session.shouldstop:
                    raise self.session.Interrupted(self.session.shouldstop)
                if self.session.shouldfail:
                    raise self.session.Failed(self.session.shouldfail)
        finally:
            for child in self.children:
                os.kill(child.pid, signal.SIGKILL)
            for child in self.children:
                child.reap()

    def deal(self) -> None:
        for child in self.children:
            item = self.next() if child.item is None else None
            if item is not None:
                self.waiting.remove(item)
                child.item = item
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                with suppress(OSError):  # the child is dead: take() will find that out
                    child.pipe.send(self.session.items.index(item))

    def next(self) -> pytest.Function | None:
        """What may run now. Who is to run alone waits until nothing else may."""
        running = [child.item for child in self.children if child.item]
        if any(item in self.again for item in running) or len(running) >= self.at_once.now:
            return None
        busy = any(item in self.heavy for item in running)
        free = (item for item in self.waiting
                if item not in self.again and not (busy and item in self.heavy)
                and all(need in self.ended for need in self.needs[item]))
        alone = (item for item in self.waiting if item in self.again and not running)
        return next(free, None) or next(alone, None)

    def take(self, child: Child) -> None:
        """Take in a child's reports. A child that has died is replaced."""
        item = child.item
        assert item is not None
        child.item = None
        try:
            sent: list[dict[str, Any]] | str = child.pipe.recv()
        except (EOFError, OSError):
            sent = "the process that ran this check has ended"
        if isinstance(sent, str):
            self.children.remove(child)
            reports = [pytest.TestReport(item.nodeid, item.location, {}, "failed",
                                         f"{sent}: {child.reap()}", "call")]
            self.replace()
        else:
            config = self.session.config
            reports = [config.hook.pytest_report_from_serializable(config=config, data=data)
                       for data in sent]
        self.at_once.learn(reports)
        if item in self.again:
            self.doubt.tell(reports, self.again[item])
        elif len(self.again) < MOST_AGAIN and (why := self.doubt.of(reports)):
            self.again[item] = why
            self.waiting.append(item)
            self.doubt.postpone(item)
            return
        self.ended.append(item)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def replace(self) -> None:
        """Fork another child. Where the machine refuses that, those that are left have to do; if
        none is left, the error is raised."""
        try:
            self.children += [Child(self.session, self.forked)] if self.waiting else []
        except OSError:
            if not self.children:
                raise
