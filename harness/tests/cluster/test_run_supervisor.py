"""The run supervisor outlives refusals of the machine, and clears up however it ends."""
from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Iterator

import pytest

from harness.system.places import ROOT

BROKEN = f"""
import os, socket, sys
sys.path.insert(0, {str(ROOT)!r})
from harness.cluster import run_supervisor

def refuse(*_):
    raise OSError(11, "Resource temporarily unavailable")
accept = socket.socket.accept
def refuse_once(listener):
    socket.socket.accept = accept
    refuse()
def fail(*_):
    raise RuntimeError("a fault")
FAULT
run_supervisor.main()
"""
ASKED = b'{"words": []}\n'


class RunSupervisor:
    def __init__(self, folder: Path, fault: str) -> None:
        self.folder, self.address = folder, f"\0cluster-harness-test-{uuid.uuid4().hex}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen()
            self.process = subprocess.Popen(
                [sys.executable, "-c", BROKEN.replace("FAULT", fault), str(listener.fileno()),
                 uuid.uuid4().hex, str(folder)],
                stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(listener.fileno(),))

    def ask(self) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(10)
            asking.connect(self.address)
            asking.sendall(ASKED)
            try:
                return asking.makefile().readline()
            except ConnectionResetError:
                return ""

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "run").mkdir()
    yield tmp_path / "run"
    assert not (tmp_path / "run").exists(), "the run supervisor has removed it"


def test_a_fork_that_fails_is_told_to_the_check_that_asked(folder: Path) -> None:
    supervisor = RunSupervisor(folder, "os.fork = refuse")
    for _ in range(2):
        assert json.loads(supervisor.ask()) == {"error": errno.EAGAIN,
                                                "text": "Resource temporarily unavailable"}
    assert supervisor.end() == 0


def test_a_connection_that_cannot_be_taken_is_taken_later(folder: Path) -> None:
    supervisor = RunSupervisor(folder, "socket.socket.accept = refuse_once; os.fork = refuse")
    assert "error" in json.loads(supervisor.ask())
    assert supervisor.end() == 0


def test_a_run_supervisor_with_a_fault_clears_up(folder: Path) -> None:
    supervisor = RunSupervisor(folder, "run_supervisor.fork_supervisor = fail")
    assert supervisor.ask() == ""
    assert supervisor.end() == 1
