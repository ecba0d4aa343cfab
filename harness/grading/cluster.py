"""One running cluster: start it, wait for it, signal it, see it end, and clear up whatever it leaves."""
from __future__ import annotations

import os
import re
import resource
import time
from signal import SIGCONT, SIGSTOP, Signals, pidfd_send_signal
from typing import Callable, NoReturn

from . import limits, processes, search
from .events import EventLog
from .folders import remove, text_of
from .http_client import Client
from .output import Line, Output
from .program import Program
from .run import Run
from .timing import ABSURD, DelayMeter, expect_within, refuse_late
from .verdict import BoundBroken, CheckFailed, Exercise, Inconclusive
from .ward import Ward
from .watcher import Watcher
from .wrote import shortened

READY = re.compile(r"^ready url=(http://(\[[0-9a-fA-F:.%]+\]|[^:/\s]+):(\d+)) workers=(\d+) pid=(\d+)$")
QUIET_SECONDS = 6.0
START_SECONDS = 30.0
MOST_START_SECONDS = 90.0
"""With what the machine was behind."""
LONGEST_SHOWN = 500
"""Characters of a line of output in a message."""
CHILD_AGE = 0.06
"""A child younger than 50 ms may still be inside its parent's spawn: it must not be stopped."""
MOST_WORKERS, MOST_PORT = 64, 65535
"""What a ready line may claim."""
ENDING_SECONDS = 12.0
"""Longer than a keeper tries."""
WRONG_EXITS = {
    (0, 1): "a normal end is taken for a forced one: something counts as cut, lost or killed",
    (1, 0): "it ends in time, but the exit code does not tell that something was cut, lost or killed",
}
"""The likely cause, by the exit code that was wanted and the one that came."""


class Cluster:
    """A program under test, below a keeper and in a session and a folder of its own."""

    def __init__(self, program: Program, exercise: Exercise, run: Run, log: EventLog, number: int,
                 settings: dict[str, str], prefix: list[str]) -> None:
        self.exercise, self.run, self.log, self.number, self.settings = exercise, run, log, number, settings
        self.folder = run.folder / "clusters" / f"{os.getpid()}-{number}-{time.monotonic_ns()}"
        self.cwd, self.tmp, self.journal = self.folder / "cwd", self.folder / "tmp", self.folder / "journal.jsonl"
        for folder in (self.cwd, self.tmp):
            folder.mkdir(parents=True)
        environment = program.environment(exercise) | {"TMPDIR": str(self.tmp), "JOURNAL": str(self.journal), **settings}
        self.started = time.monotonic()
        self.ward = Ward(run.address, prefix + program.words, environment, self.folder, self.cwd)
        self.pid = self.ward.pid
        self.excess = ""
        """What the program did beyond all limits."""
        self.disk_was_full = False
        self.exit_code: int | None = None
        self.written = Output(log, number)
        self.watcher = Watcher(self.pid, self.ward.keeper, log, number, self._look)
        self.meter = DelayMeter(self.watcher.pids)
        log.add("note", t=self.started, cluster=number, pid=self.pid, text="start",
                data={"settings": settings, "program": " ".join([*prefix, program.shown])})
        self.written.read(self.ward.output, error=False)
        self.written.read(self.ward.error, error=True)
        self.watcher.start()
        self.meter.start()
        self.ready_at: float | None = None
        self.url, self.workers = "", 0
        self.slots: dict[int, int] = {}
        """Which pid was last seen in which slot."""
        self.client = Client("http://127.0.0.1:1", log, number, self.meter.allowance)

    @property
    def lines(self) -> list[Line]:
        """What the program wrote so far."""
        return self.written.lines()

    def _look(self, count: int) -> None:
        """Once in a while, with the number of its processes: end it if it goes beyond the limits."""
        self.disk_was_full = self.disk_was_full or limits.nearly_full(self.run.folder)
        if self.excess:
            return
        self.excess = (limits.too_many_processes(count) or limits.too_much_output(self.written.size)
                       or limits.too_much_stored(self.folder) or self.ward.harmed())
        if self.excess:
            self.log.add("note", cluster=self.number, text=self.excess)
            self.ward.end()

    # ----- starting

    def wait_ready(self) -> None:
        """Wait for the ready line as long as the program is busy; give up when it has been quiet for some seconds."""
        code = self.wait_started()
        match = self._ready_line() or (self._ready_line() if self.output() else None)
        if match is None:
            what = f"the program ended with exit code {code} before its ready line"
            if code is None:
                now = time.monotonic()
                what = f"no ready line after {now - self.started:.1f} s"
                if (behind := self.meter.allowance(self.started, now)) > ABSURD:
                    raise Inconclusive(f"{what}, but the machine was {behind:.1f} s behind then")
            raise CheckFailed(what + self.said(), expected="a line `ready url=http://127.0.0.1:8000 workers=N pid=1234`",
                              likely="the master starts no worker, or a worker never tells it that it is ready",
                              hint="start the workers, wait until each has said that it is ready, then print the line")
        self.url, self.workers = match.group(1), int(match.group(4))
        if int(match.group(3)) > MOST_PORT or not 1 <= self.workers <= MOST_WORKERS:
            raise CheckFailed(f"the ready line says {match.group()}", expected=f"a port up to {MOST_PORT}, 1 to {MOST_WORKERS} workers")
        self.client = Client(self.url, self.log, self.number, self.meter.allowance)

    def wait_started(self) -> int | None:
        """Wait until there is a ready line, or the program has ended (its exit code), or it has been quiet for some seconds.

        Quiet means that its processes neither use a processor nor wait for one: how long a start may take is nowhere said.
        """
        quiet_since, used = time.monotonic(), -1.0
        while self._ready_line() is None:
            code = self.wait_exit(0)
            now, pids = time.monotonic(), self.watcher.pids()
            total = sum(map(processes.processor_time, pids))
            if total > used or any(processes.ready_threads(pid) for pid in pids):
                quiet_since, used = now, total
            if code is not None or self._started_too_long(now):
                return code
            quiet = now - quiet_since
            if quiet > QUIET_SECONDS and quiet > QUIET_SECONDS + self.meter.allowance(quiet_since, now):
                return code
            with self.written.came:
                self.written.came.wait(0.05)
        return None

    def _started_too_long(self, now: float) -> bool:
        took = now - self.started
        return took > START_SECONDS and (took > MOST_START_SECONDS or took > START_SECONDS + self.meter.allowance(self.started, now))

    def _ready_line(self) -> re.Match[str] | None:
        for line in self.lines:
            match = None if line.error else READY.match(line.text)
            if match:
                if self.ready_at is None:
                    self.ready_at = line.t
                    self.log.add("ready", cluster=self.number, pid=self.pid, t=line.t, text=line.text)
                return match
        return None

    def said(self) -> str:
        """What the program wrote, for a message."""
        shown = [shortened(line.text, LONGEST_SHOWN) for line in self.lines[-8:]]
        if not shown:
            return "; it wrote nothing"
        return "; the last that it wrote:\n" + "\n".join(f"    {text}" for text in shown)

    def output(self, *, error: bool = False) -> list[str]:
        return [line.text for line in self.whole_lines() if line.error == error]

    def whole_lines(self) -> list[Line]:
        """The lines so far; all of them if the program has ended."""
        if not processes.alive(self.pid):
            self.written.join(1)
        return self.lines

    # ----- signals

    def signal(self, number: Signals) -> float:
        """Send a signal to the master; returns the moment."""
        return self._send(number, self.pid, "master", lambda: pidfd_send_signal(self.watcher.seen[self.pid].handle, number))

    def signal_group(self, number: Signals) -> float:
        """Send a signal to the whole process group, as a terminal's Ctrl+C does."""
        return self._send(number, self.pid, "group", lambda: os.killpg(self.pid, number))

    def signal_worker(self, slot: int, number: Signals) -> float:
        pid = search.pid_of(self, slot)
        seen = self.watcher.seen.get(pid)
        if seen is None:
            self.watcher.scan()
            seen = self.watcher.seen.get(pid)
        if seen is None or (seen.gone is not None and number != SIGCONT):
            raise CheckFailed(f"worker {slot} answered with pid {pid}, but there is no such process below the master",
                              expected="the workers are the master's direct children; `pid` is the worker's own")
        if number == SIGCONT and not processes.alive(pid):
            return time.monotonic()
        if number == SIGSTOP:
            time.sleep(max(0.0, seen.first + CHILD_AGE - time.monotonic()))
        handle = seen.handle
        moment = self._send(number, pid, f"worker {slot}", lambda: pidfd_send_signal(handle, number))
        if number == SIGSTOP:
            await_true(lambda: processes.stopped(pid), 5, f"worker {slot} did not stop")
        return moment

    def _send(self, number: Signals, pid: int, whom: str, action: Callable[[], None]) -> float:
        moment = time.monotonic()
        self.log.add("signal", cluster=self.number, pid=pid, t=moment, text=number.name, data={"to": whom})
        try:
            if self.exit_code is not None:
                raise ProcessLookupError
            action()
        except ProcessLookupError:
            raise CheckFailed(f"the {whom} was gone before it was sent {number.name}" + self.said()) from None
        return moment

    def settle(self, path: str) -> None:
        """Wait until all requests to the path are surely read: the journal says so, or a while has passed."""
        start = time.monotonic()
        exchanges = sum(event.kind == "request" and event.path == path and event.cluster == self.number
                        for event in self.log.all())
        needle = f'"{path}"'
        while time.monotonic() < start + 0.3:
            if self._journalled(needle) >= exchanges:
                return
            time.sleep(0.01)
        time.sleep(min(0.3, self.meter.allowance(start, time.monotonic())))

    def _journalled(self, needle: str) -> int:
        return sum('"request"' in line and needle in line for line in text_of(self.journal).splitlines())

    # ----- its end

    def expect_within(self, bound: float, start: float, end: float, what: str, due: float | None = None) -> None:
        expect_within(self.meter, bound, start, end, what, due)

    def refuse_late(self, bound: float, start: float, what: str, due: float | None = None) -> NoReturn:
        refuse_late(self.meter, bound, start, what, due)

    def wait_exit(self, patience: float) -> int | None:
        """The exit code as a shell counts it, but negative for a signal; None if it has not ended in time."""
        if self.watcher.wait_gone([self.pid], patience):
            return None
        self.exit_code = self.ward.wait(5)
        return self.exit_code

    def doubt_keeper(self) -> None:
        """After a wait: a master that has ended is not blamed for a keeper that is slow to tell how."""
        if self.exit_code is None and not self.watcher.wait_gone([self.pid], 0):
            raise Inconclusive("the master has ended, but its keeper has not told its exit code")

    def expect_exit(self, code: int, since: float, within: float, *, explained: bool = False) -> float:
        """The master ends with that code, no later than `within` seconds after the moment `since`; returns when.

        `explained`: the check itself knows a likelier cause than those of ends in general.
        """
        seen = self.wait_exit(since + within * 1.5 + 3 - time.monotonic())
        self.doubt_keeper()
        at = self.watcher.gone_at(self.pid)
        if seen is None or at is None:
            self.refuse_late(within, since, "the end of the master (still there)")
        try:
            self.expect_within(within, since, at, "the end of the master")
        except BoundBroken as late:
            if (code, seen) == (0, 1) and not explained:
                late.likely = ("the drain does not complete: until the timeout something is waited for that never comes, for instance "
                               "that a count reaches 0")
            raise
        if seen != code:
            how = f"was ended by {Signals(-seen).name}" if seen < 0 else f"ended with exit code {seen}"
            raise CheckFailed(f"the master {how}" + self.said(), expected=f"exit code {code}", likely="" if explained else WRONG_EXITS.get((code, seen), ""))
        return at

    def expect_nothing_left(self, since: float, within: float) -> None:
        """All processes are gone `within` seconds after `since`, nobody listens, no file is left."""
        self.expect_processes_gone(since, within)
        last = max((one.gone or since for one in self.watcher.seen.values()), default=since)
        self.expect_within(within, since, last, "the end of the last process")
        self.expect_no_trace()

    def expect_processes_gone(self, since: float, within: float) -> None:
        """No process of the cluster is there any more, wherever it has gone to."""
        self.watcher.scan()
        self.watcher.wait_gone(list(self.watcher.seen), since + within * 1.5 + 2 - time.monotonic())
        left = [pid for pid in self.watcher.below() if processes.alive(pid)]
        if left:
            self.refuse_late(within, since, f"no process may be left, but there is {describe(left)}")

    def expect_no_trace(self) -> None:
        """No file is left. (A socket cannot listen without a process, and those are gone.)"""
        files = [str(path.relative_to(self.folder)) for folder in (self.cwd, self.tmp) for path in folder.rglob("*")]
        if files:
            raise CheckFailed(f"files left behind: {', '.join(files)}", expected="no file left after the end")

    def tear_down(self) -> list[str]:
        """End whatever is still there, and say what the program had left behind after its own end."""
        ended = not processes.alive(self.pid)
        found: list[str] = []
        self.watcher.scan()
        if ended:
            began = time.monotonic()
            left = self.watcher.wait_gone(self.watcher.pids(), 1.0)
            if left:
                left = self.watcher.wait_gone(left, min(5.0, self.meter.allowance(began, began + 1.0)))
            left += [pid for pid in self.watcher.below() if processes.alive(pid) and pid not in left]
            found = [f"left behind after the master's end: {describe(left)}"] if left else []
        self.ward.end()
        if not self.ward.wait_over(ENDING_SECONDS):
            found.append(f"the kernel does not end {describe(self.watcher.below())}")
        self.client.close()
        self.written.join(2)
        self.meter.stop()
        self.watcher.stop()
        self.ward.close()
        return found

    def remove_folder(self) -> None:
        remove(self.folder)


def describe(pids: list[int]) -> str:
    return ", ".join(f"{pid} ({processes.command_line(pid) or '?'})" for pid in pids)


def await_true(condition: Callable[[], bool], patience: float, otherwise: str) -> None:
    """Wait for something that is not the program's duty; if it does not come the check is inconclusive."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Inconclusive(otherwise)
        time.sleep(0.005)


def raise_own_limit(wanted: int) -> bool:
    """Raise this process's limit of open files; False if that many are not to be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted <= hard

