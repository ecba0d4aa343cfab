"""One cluster as a check sees it: it becomes ready, gets signals, and is expected to end in time
and to leave nothing."""
from __future__ import annotations

import os
import re
import time
from signal import SIGCONT, SIGSTOP, Signals, pidfd_send_signal
from typing import Callable, NoReturn

from harness.clients import worker_slots
from harness.clients.http_client import Client
from harness.cluster.program import Program
from harness.cluster.run import Run
from harness.cluster.running_program import RunningProgram
from harness.cluster.unfinished import step_to_do
from harness.judging.events import EventLog
from harness.judging.exercise import Exercise
from harness.judging.time_bounds import ABSURD, await_true, expect_within, refuse_late
from harness.judging.verdict import BoundBroken, CheckFailed, Inconclusive
from harness.system import processes, scheduling
from harness.system.files import names_in, text_of

READY = re.compile(r"^ready url=(http://(\[[0-9a-fA-F:.%]+\]|[^:/\s]+):(\d+)) "
                   r"workers=(\d+) pid=(\d+)$")
QUIET_SECONDS = 6.0
UNFINISHED_QUIET_SECONDS = 1.5
START_SECONDS = 30.0
MOST_START_SECONDS = 90.0
"""The longest start on a machine that is behind."""
START_USED_LEAST = 0.001
NOT_FOUND = (126, 127)
"""Exit codes of shells for what is not there, or may not be run."""
CHILD_AGE = 0.06
"""Seconds. A child younger than 50 ms may still be inside its parent's spawn: it must not be
stopped."""
MOST_WORKERS, MOST_PORT = 64, 65535
"""The largest figures that a ready line may claim."""
WRONG_EXITS = {
    (0, 1): "a normal end is taken for a forced one: something counts as cut, lost or killed",
    (1, 0): "it ends in time, but the exit code does not tell that something was cut, lost or "
            "killed",
}
"""The likely cause, by the exit code that was wanted and the one that came."""


class Cluster(RunningProgram):
    """A program under test."""

    def __init__(self, program: Program, exercise: Exercise, run: Run, log: EventLog, number: int,
                 settings: dict[str, str], prefix: list[str]) -> None:
        super().__init__(program, exercise, run, log, number, settings, prefix)
        self.ready_at: float | None = None
        self.start_used = 0.0
        """Seconds of processor time that all its processes took until the ready line; 0: there was
        none. The kernel counts in hundredths, so this has a least value."""
        self.url, self.workers = "", 0
        self.honesty: list[str] = []
        """What an instructor may want to know of how the program does it; never a verdict."""
        self.slots: dict[int, int] = {}
        """Slot → the pid that was last seen in it."""
        self.client = Client("http://127.0.0.1:1", log, number, self.meter.allowance)

    # ----- starting

    def wait_ready(self) -> float:
        """Wait for the ready line as long as the program is busy; fail when it has been quiet for
        some seconds. Returns how long it took."""
        code = self.wait_started()
        match = self._ready_line() or (self._ready_line() if self.output() else None)
        if match is None:
            what = f"the program ended with exit code {code} before its ready line"
            if code is None:
                now = time.monotonic()
                what = f"no ready line after {now - self.started:.1f} s"
                if (behind := self.meter.allowance(self.started, now)) > ABSURD:
                    raise Inconclusive(f"{what}, but the machine was {behind:.1f} s behind then")
            likely = "the master starts no worker, or a worker never tells it that it is ready"
            if code in NOT_FOUND and not processes.shares_numbers():
                likely = ("a file that it needs is not to be seen in the sandbox; --no-isolation "
                          "shows the whole machine")
            raise CheckFailed(
                what + self.said(),
                expected="a line `ready url=http://127.0.0.1:8000 workers=N pid=1234`",
                likely=likely,
                hint="start the workers, wait until each has said that it is ready, then print the "
                     "line")
        self.start_used = max(START_USED_LEAST,
                              sum(map(scheduling.processor_time, self.watcher.pids())))
        self.url, self.workers = match.group(1), int(match.group(4))
        if int(match.group(3)) > MOST_PORT or not 1 <= self.workers <= MOST_WORKERS:
            raise CheckFailed(f"the ready line says {match.group()}",
                              expected=f"a port up to {MOST_PORT}, 1 to {MOST_WORKERS} workers")
        self.client = Client(self.url, self.log, self.number, self.meter.allowance)
        return (self.ready_at or self.started) - self.started

    def wait_started(self) -> int | None:
        """Wait until there is a ready line, or the program has ended, or it has been quiet for some
        seconds; returns its exit code if it has ended.

        Quiet means that its processes neither use a processor nor wait for one. The contract does
        not say how long a start may take.
        """
        quiet_since, used = time.monotonic(), -1.0
        while self._ready_line() is None:
            code = self.wait_exit(0)
            now, pids = time.monotonic(), self.watcher.pids()
            total = sum(map(scheduling.processor_time, pids))
            if total > used or any(scheduling.ready_threads(pid) for pid in pids):
                quiet_since, used = now, total
            if code is not None or self._started_too_long(now):
                return code
            quiet, enough = now - quiet_since, self._quiet_enough()
            if quiet > enough and quiet > enough + self.meter.allowance(quiet_since, now):
                return code
            with self.written.came:
                self.written.came.wait(0.05)
        return None

    def _quiet_enough(self) -> float:
        """A starter that says that a step is still to do has no other reason to be quiet."""
        unfinished = step_to_do(line.text for line in self.lines)
        return UNFINISHED_QUIET_SECONDS if unfinished else QUIET_SECONDS

    def _started_too_long(self, now: float) -> bool:
        took = now - self.started
        return took > START_SECONDS and (
            took > MOST_START_SECONDS
            or took > START_SECONDS + self.meter.allowance(self.started, now))

    def _ready_line(self) -> re.Match[str] | None:
        for line in self.lines:
            match = None if line.error else READY.match(line.text)
            if match:
                if self.ready_at is None:
                    self.ready_at = line.t
                    self.log.add("ready", cluster=self.number, pid=self.pid, t=line.t,
                                 text=line.text)
                return match
        return None

    # ----- signals

    def signal(self, number: Signals) -> float:
        """Send a signal to the master; returns the moment."""
        return self._send(number, self.pid, "master", lambda: pidfd_send_signal(
            self.watcher.seen[self.pid].handle, number))

    def signal_group(self, number: Signals) -> float:
        """Send a signal to the whole process group, as a terminal's Ctrl+C does."""
        group = self.watcher.seen[self.pid].here
        return self._send(number, self.pid, "group", lambda: os.killpg(group, number))

    def signal_worker(self, slot: int, number: Signals) -> float:
        pid = worker_slots.pid_of(self, slot)
        seen = self.watcher.seen.get(pid)
        if seen is None:
            self.watcher.scan()
            seen = self.watcher.seen.get(pid)
        if seen is None or (seen.gone is not None and number != SIGCONT):
            raise CheckFailed(f"worker {slot} answered with pid {pid}, but there is no such "
                              "process below the master",
                              expected="the workers are the master's direct children; `pid` is the "
                                       "worker's own")
        if number == SIGCONT and not processes.alive(pid):
            return time.monotonic()
        if number == SIGSTOP:
            time.sleep(max(0.0, seen.first + CHILD_AGE - time.monotonic()))
        handle = seen.handle
        moment = self._send(number, pid, f"worker {slot}",
                            lambda: pidfd_send_signal(handle, number))
        if number == SIGSTOP:
            await_true(lambda: processes.stopped(pid), 5, f"worker {slot} did not stop")
        return moment

    def _send(self, number: Signals, pid: int, whom: str, action: Callable[[], None]) -> float:
        moment = time.monotonic()
        self.log.add("signal", cluster=self.number, pid=pid, t=moment, text=number.name,
                     data={"to": whom})
        try:
            if self.exit_code is not None:
                raise ProcessLookupError
            action()
        except ProcessLookupError:
            gone = f"the {whom} was gone before it was sent {number.name}"
            raise CheckFailed(gone + self.said()) from None
        return moment

    def settle(self, path: str) -> None:
        """Wait until the program has surely read all requests to the path: the journal says so, or
        a while has passed."""
        start = time.monotonic()
        wanted = without_query(path)
        exchanges = sum(event.kind == "request" and without_query(event.path or "") == wanted
                        and event.cluster == self.number for event in self.log.all())
        needle = f'"{wanted}"'
        while time.monotonic() < start + 0.3:
            if self._journalled(needle) >= exchanges:
                return
            time.sleep(0.01)
        time.sleep(min(0.3, self.meter.allowance(start, time.monotonic())))

    def _journalled(self, needle: str) -> int:
        return sum('"request"' in line and needle in line
                   for line in text_of(self.journal).splitlines())

    # ----- its end

    def tear_down(self) -> list[str]:
        try:
            return super().tear_down()
        finally:
            self.client.close()

    def expect_within(self, bound: float, start: float, end: float, what: str,
                      due: float | None = None) -> None:
        expect_within(self.meter, bound, start, end, what, due)

    def refuse_late(self, bound: float, start: float, what: str,
                    due: float | None = None) -> NoReturn:
        refuse_late(self.meter, bound, start, what, due)

    def doubt_supervisor(self) -> None:
        """To be called after a wait for the master's end. A master that has ended is not blamed for
        a cluster supervisor that is slow to tell its exit code."""
        if self.exit_code is None and not self.watcher.wait_gone([self.pid], 0):
            raise Inconclusive("the master has ended, but its cluster supervisor has not told its "
                               "exit code")

    def expect_exit(self, code: int, since: float, within: float, *,
                    explained: bool = False) -> float:
        """The master ends with that code, at most `within` seconds after the moment `since`;
        returns the moment of its end.

        `explained`: the check itself knows a likelier cause than the general ones given here.
        """
        seen = self.wait_exit(since + within * 1.5 + 3 - time.monotonic())
        self.doubt_supervisor()
        at = self.watcher.gone_at(self.pid)
        if seen is None or at is None:
            self.refuse_late(within, since, "the end of the master (still there)")
        try:
            self.expect_within(within, since, at, "the end of the master")
        except BoundBroken as late:
            if (code, seen) == (0, 1) and not explained:
                late.likely = ("the drain does not complete: until the timeout it waits for "
                               "something that never comes, for instance for a count to reach 0")
            raise
        if seen != code:
            how = f"ended with exit code {seen}"
            if seen < 0:
                how = f"was ended by {Signals(-seen).name}"
            raise CheckFailed(f"the master {how}" + self.said(), expected=f"exit code {code}",
                              likely="" if explained else WRONG_EXITS.get((code, seen), ""))
        return at

    def expect_nothing_left(self, since: float, within: float) -> None:
        """All processes are gone `within` seconds after `since`, and no file is left."""
        self.expect_processes_gone(since, within)
        last = max((one.gone or since for one in self.watcher.seen.values()), default=since)
        self.expect_within(within, since, last, "the end of the last process")
        self.expect_no_trace()

    def expect_processes_gone(self, since: float, within: float) -> None:
        """No process of the cluster is left, whatever session or parent it has now."""
        self.watcher.scan()
        self.watcher.wait_gone(list(self.watcher.seen), since + within * 1.5 + 2 - time.monotonic())
        left = [pid for pid in self.watcher.below() if processes.alive(pid)]
        if left:
            self.refuse_late(within, since, "no process may be left, "
                                            f"but there is {processes.describe(left)}")

    def expect_no_trace(self) -> None:
        """No file is left. (A socket cannot listen without a process, and those are gone.)"""
        left = [name for folder in (self.cwd, self.tmp) for name in names_in(folder)]
        if left:
            raise CheckFailed(f"files left behind: {', '.join(left)}",
                              expected="no file left after the end")


def without_query(path: str) -> str:
    """As the journal has it."""
    return path.partition("?")[0]
