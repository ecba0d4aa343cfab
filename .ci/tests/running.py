"""Solutions that run, for tests that look at them from outside."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shell import ROOT

EXERCISES = ("ex1", "ex2", "ex3", "ex4", "ex5")
PATIENCE = 60  # seconds


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@dataclass
class Running:
    """A cluster whose output is read up to its ready line, and then only when a test asks."""

    process: "subprocess.Popen[bytes]"
    url: str = ""
    workers: set[int] = field(default_factory=set)

    def children(self) -> set[int]:
        pid = self.process.pid
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return set()
        return {int(one) for one in text.split()}

    def await_replacement(self, of: int) -> None:
        count = len(self.workers)
        eventually(lambda: of not in self.children() and len(self.children()) == count,
                   f"worker {of} is not replaced")

    def signal_all(self, number: int) -> None:
        os.killpg(self.process.pid, number)


@contextmanager
def running(exercise: str, settings: dict[str, str], **options: Any) -> Iterator[Running]:
    environment = {**os.environ, "PORT": "0", "WORKERS": "2", **settings}
    program = ROOT / f"build/bin/{exercise}-solution"
    process = subprocess.Popen([program], stdout=subprocess.PIPE, start_new_session=True,
                               env=environment, **options)
    cluster = Running(process)
    try:
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), True)
        text = b""
        while not (found := re.search(rb"^ready url=(\S+) .*\n", text, re.MULTILINE)):
            piece = os.read(process.stdout.fileno(), 1 << 16)
            assert piece, f"no ready line: {text!r}"
            text += piece
        cluster.url = found[1].decode()
        cluster.workers = cluster.children()
        yield cluster
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(10)
