"""The supervised program: the handle that a check has on a program below a cluster supervisor. It
knows the pid and how the program ended, and it can end it."""
from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from harness.cluster.limits import MOST_TASKS, largest_file
from harness.cluster.run import Run
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

START_SECONDS = 20.0
MACHINES = (errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE)
"""Errors of a start that say nothing about the program."""


class SupervisedProgram:
    """Asks the run's supervisor to start the program. One thread of its own listens to the cluster
    supervisor; any thread may call the methods."""

    def __init__(self, run: Run, words: list[str], environment: dict[str, str],
                 folder: Path) -> None:
        self.status: int | None = None
        """The exit code, negative for a signal; None while it runs."""
        self.fault = ""
        """A fault of the cluster supervisor itself."""
        self.over = self._ended = False
        self._harm = ""
        self._same_user = run.user is None
        """Another user cannot reach the supervisor."""
        self._told = threading.Condition()
        request = {"words": words, "environment": environment, "folder": str(folder),
                   "cwd": str(folder / "cwd"), "largest_file": largest_file(folder),
                   "most_tasks": MOST_TASKS, "user": run.user}
        try:
            self._connection = run.connect(START_SECONDS)
            self._connection.settimeout(START_SECONDS)
            self._messages = self._connection.makefile("r", encoding="ascii")
            self.output, self.error = self._ask(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._messages.readline() or "{}")
        except OSError as why:
            raise Inconclusive("the run supervisor, which starts the programs, does not answer: "
                               f"{why}") from None
        if "pid" not in answer:
            self._refuse(words[0], answer)
        self.pid, self.supervisor = int(answer["pid"]), int(answer["supervisor"])
        self._connection.settimeout(None)
        threading.Thread(target=self._listen, daemon=True, name="supervised").start()

    def _ask(self, request: bytes) -> tuple[int, int]:
        """Send the request with the writing ends of two pipes; returns the reading ends."""
        (output, output_end), (error, error_end) = os.pipe(), os.pipe()
        try:
            sent = socket.send_fds(self._connection, [request], [output_end, error_end])
            if sent < len(request):
                self._connection.sendall(request[sent:])
        finally:
            os.close(output_end)
            os.close(error_end)
        return output, error

    def _refuse(self, name: str, answer: dict[str, Any]) -> None:
        for one in (self.output, self.error):
            os.close(one)
        self._connection.close()
        if "error" not in answer or answer["error"] in MACHINES:
            why = answer.get("text") or answer.get("fault", "its cluster supervisor is gone")
            raise Inconclusive(f"the program could not be started: {why}")
        raise CheckFailed(f"{name} cannot be started: {answer['text']}",
                          expected="a program that can be started",
                          likely="it is not executable, or a script without a first line that "
                                 "names its interpreter")

    def _listen(self) -> None:
        try:
            for line in self._messages:
                with self._told:
                    message = json.loads(line)
                    self.status = message.get("status", self.status)
                    self._harm = message.get("harm", self._harm)
                    self.fault = message.get("fault", self.fault)
                    self._ended = self._ended or "ended" in message
                    self._told.notify_all()
        except (OSError, ValueError):
            pass
        with self._told:
            self.over = True
            self._told.notify_all()

    def harmed(self) -> str:
        """How the cluster supervisor was killed, stopped or hindered; "" if it was not. It has a
        session of its own, so only the program can have done that.

        (A kernel out of memory could kill it, too. But that takes the largest process, and a
        cluster supervisor is among the smallest.)
        """
        if self._harm:
            return self._harm
        if self.over and not self._ended and not self.fault:
            if self._same_user:
                return "the program killed its parent"
            self.fault = "it was killed"
        if self.over:
            return ""
        return "the program stopped its parent" if processes.state(self.supervisor) == "T" else ""

    def wait(self, patience: float) -> int | None:
        with self._told:
            self._told.wait_for(lambda: self.status is not None or self.over, patience)
            return self.status

    def end(self) -> None:
        """Let the cluster supervisor kill all processes that are left, even if the program has
        stopped the supervisor. The end is not waited for."""
        try:
            if not self.over:  # afterwards the pid may be another process's
                processes.send(self.supervisor, signal.SIGCONT)
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def wait_over(self, patience: float) -> bool:
        with self._told:
            return self._told.wait_for(lambda: self.over, patience)

    def close(self) -> None:
        self._connection.close()
