"""One program that runs: it is started below a cluster supervisor, watched, its output is read, and
at the end all its processes are ended."""
from __future__ import annotations

import os
import time
from functools import partial

from harness.cluster import limits
from harness.cluster.output import Output
from harness.cluster.program import Program
from harness.cluster.program_folder import ProgramFolder
from harness.cluster.run import Run
from harness.cluster.supervised_program import SupervisedProgram
from harness.cluster.unfinished import step_to_do
from harness.cluster.watcher import Watcher
from harness.judging.delay_meter import DelayMeter
from harness.judging.events import EventLog, Line, shortened
from harness.judging.exercise import Exercise
from harness.judging.verdict import CheckFailed
from harness.system import processes, scheduling

LONGEST_SHOWN = 500
"""Characters of a line of output in a message."""
ENDING_SECONDS = 12.0
"""Longer than a cluster supervisor tries to kill its cluster."""


class RunningProgram:
    """A program below a cluster supervisor, in a session and a folder of its own."""

    def __init__(self, program: Program, exercise: Exercise, run: Run, log: EventLog, number: int,
                 settings: dict[str, str], prefix: list[str]) -> None:
        self.exercise, self.run, self.log = exercise, run, log
        self.number, self.settings = number, settings
        self.place = ProgramFolder(
            run.clusters / f"{os.getpid()}-{number}-{time.monotonic_ns()}", run.user)
        self.cwd, self.tmp, self.journal = self.place.cwd, self.place.tmp, self.place.journal
        environment = program.environment() | {
            "TMPDIR": str(self.place.path / "tmp"),
            "JOURNAL": str(self.place.path / "journal.jsonl"), **settings}
        self.started = time.monotonic()
        self.supervised = SupervisedProgram(run, prefix + program.words, environment,
                                            self.place.path)
        self.pid = self.supervised.pid
        self.excess = ""
        """How the program went beyond a limit."""
        self.disk_was_full = False
        self._open_looked = 0.0
        self.exit_code: int | None = None
        self.written = Output(log, number)
        self.watcher = Watcher(self.pid, self.supervised.supervisor, log, number, self._look)
        self.meter = DelayMeter(self.watcher.pids, partial(
            scheduling.processor_time_of_ended, self.supervised.supervisor))
        log.add("note", t=self.started, cluster=number, pid=self.pid, text="start",
                data={"settings": settings, "program": " ".join([*prefix, program.command])})
        self.written.read(self.supervised.output, error=False)
        self.written.read(self.supervised.error, error=True)
        self.watcher.start()
        self.meter.start()

    @property
    def lines(self) -> list[Line]:
        """The program's output so far."""
        return self.written.lines()

    def _look(self, pids: list[int]) -> None:
        """End the program if it goes beyond a limit. The watcher calls this at each scan with the
        living processes."""
        self.disk_was_full = self.disk_was_full or limits.nearly_full(self.run.folder)
        if self.excess:
            return
        if time.monotonic() > self._open_looked + limits.OPEN_SECONDS:
            self._open_looked = time.monotonic()
            self.excess = limits.too_much_open(pids)
        self.excess = (
            self.excess or limits.too_many_processes(len(pids)) or limits.too_many_threads(pids)
            or limits.too_much_memory(pids) or limits.too_much_output(self.written.size)
            or limits.too_much_stored(self.place.own) or self.supervised.harmed())
        if self.excess:
            self.log.add("note", cluster=self.number, text=self.excess)
            self.supervised.end()

    # ----- its output

    def said(self) -> str:
        """The last lines of the program's output, as the end of a message."""
        last = [shortened(line.text, LONGEST_SHOWN) for line in self.lines[-8:]]
        if not last:
            return "; it wrote nothing"
        return "; the last that it wrote:\n" + "\n".join(f"    {text}" for text in last)

    def output(self, *, error: bool = False) -> list[str]:
        return [line.text for line in self.whole_lines() if line.error == error]

    def refuse_unfinished(self, since: float, what: str) -> None:
        """Do not wait on for what a starter has said, since that moment, that it cannot do yet."""
        step = step_to_do(line.text for line in self.lines if line.t >= since and not line.error)
        if step:
            raise CheckFailed(f"{what}, and the program says: {step}")

    def whole_lines(self) -> list[Line]:
        """The lines so far; all of them if the program has ended."""
        if not processes.alive(self.pid):
            self.written.join(1)
        return self.lines

    # ----- its end

    def wait_exit(self, patience: float) -> int | None:
        """The exit code, negative for a signal; None if the program has not ended in time."""
        if self.watcher.wait_gone([self.pid], patience):
            return None
        self.exit_code = self.supervised.wait(5)
        return self.exit_code

    def tear_down(self) -> list[str]:
        """End all processes that are still there; returns notes about those that the program has
        left behind after its own end."""
        ended = not processes.alive(self.pid)
        found: list[str] = []
        self.watcher.scan()
        if ended:
            began = time.monotonic()
            left = self.watcher.wait_gone(self.watcher.pids(), 1.0)
            if left:
                behind = self.meter.allowance(began, began + 1.0)
                left = self.watcher.wait_gone(left, min(5.0, behind))
            left += [pid for pid in self.watcher.below()
                     if processes.alive(pid) and pid not in left]
            if left:
                found.append(f"left behind after the master's end: {processes.describe(left)}")
        self.supervised.end()
        if not self.supervised.wait_over(ENDING_SECONDS):
            found.append(f"the kernel does not end {processes.describe(self.watcher.below())}")
        self.written.join(2)
        self.meter.stop()
        self.watcher.stop()
        self.supervised.close()
        return found

    def remove_folder(self) -> None:
        self.place.remove()
