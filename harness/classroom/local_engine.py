"""Grades on this machine: one submission at a time on each pair of cores."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Callable

from harness.classroom import machine_rest
from harness.system.places import ROOT

ENDING_SECONDS = 20.0
"""For a grading that is told to end: its program and its processes go first."""
WITHOUT_FAULT = (0, 3, 130)
"""Exit codes of a grading: there is a result; it is inconclusive; it was told to end."""


class LocalEngine:
    """Each grading is a process of its own, in a group of its own."""

    def __init__(self, out: Path, *how: str) -> None:
        """`how`: options of each grading, see grade_submission."""
        self.out, self.how = out, how
        self.slots = machine_rest.slots()
        self.at_once = len(self.slots)
        self._free: SimpleQueue[list[int]] = SimpleQueue()
        for slot in self.slots:
            self._free.put(slot)
        self._running: set[subprocess.Popen[str]] = set()
        self._ending = False

    def grade(self, numbers: list[int], begun: Callable[[int], None],
              done: Callable[[int, str], None]) -> None:
        with ThreadPoolExecutor(len(self.slots)) as pool:
            waiting: dict[Future[str], int] = {}
            left = list(numbers)
            try:
                while left or waiting:
                    while left and len(waiting) < len(self.slots):
                        number = left.pop(0)
                        begun(number)
                        waiting[pool.submit(self._one, number)] = number
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        done(waiting.pop(future), future.result())
            except BaseException:
                self._end()
                raise

    def _one(self, number: int) -> str:
        slot = self._free.get()
        words = ["taskset", "--cpu-list", ",".join(map(str, slot)), str(ROOT / ".ci/python"), "-m",
                 "harness.classroom.grade_submission", "--parent", str(os.getpid()), *self.how,
                 str(self.out), str(number)]
        try:
            with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                                  errors="replace", stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, start_new_session=True) as grading:
                self._running.add(grading)
                if self._ending:
                    grading.terminate()
                said = grading.communicate()[0]
                self._running.discard(grading)
                if grading.returncode in WITHOUT_FAULT:
                    return ""
                return f"exit code {grading.returncode}: {' '.join(said.split())[-500:]}"
        finally:
            self._free.put(slot)

    def _end(self) -> None:
        """A second Ctrl+C does not break this off."""
        self._ending = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        running = list(self._running)
        for grading in running:
            grading.terminate()
        for grading in running:
            try:
                grading.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(grading.pid, signal.SIGKILL)
                print("a grading did not end, and was killed", file=sys.stderr)
