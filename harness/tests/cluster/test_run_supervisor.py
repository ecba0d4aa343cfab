"""The run supervisor outlives refusals of the machine, and clears up however it ends."""
from __future__ import annotations

import errno
import json
import os
import select
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.cluster.fixture import Fixture
from harness.cluster.run import LeadingRun, Run
from harness.system.places import ROOT
from harness.system.processes import TOKEN

BROKEN = f"""
import os, socket, sys
sys.path.insert(0, {str(ROOT)!r})
from harness.cluster import run_supervisor

def refuse(*_):
    raise OSError(11, "Resource temporarily unavailable")
def fail(*_):
    raise RuntimeError("a fault")
FAULT
run_supervisor.main()
"""
ASKED = b'{"words": []}\n'
REFUSED_ONCE = """
take = socket.recv_fds
def take_none(*words):
    for descriptor in take(*words)[1]:
        os.close(descriptor)
    socket.recv_fds = take
    return b"", [], 0, None
socket.recv_fds = take_none
""".strip()


class RunSupervisor:
    def __init__(self, folder: Path, fault: str) -> None:
        asking, asked = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self.asking, token = asking.detach(), uuid.uuid4().hex
        self.run = Run(folder, folder, self.asking)
        with asked:
            self.process = subprocess.Popen(
                [sys.executable, "-c", BROKEN.replace("FAULT", fault), str(asked.fileno()),
                 str(folder)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
                pass_fds=(asked.fileno(),), env={**os.environ, TOKEN: token})
        with socket.socket(fileno=os.dup(self.asking)) as told:
            for descriptor in socket.recv_fds(told, 64, 1)[1]:
                os.close(descriptor)

    def ask(self) -> str:
        with self.run.connect(10) as connection:
            connection.settimeout(10)
            try:
                connection.sendall(ASKED)
                return connection.makefile().readline()
            except (BrokenPipeError, ConnectionResetError):
                return ""

    def end(self) -> int:
        assert self.process.stdin is not None
        os.close(self.asking)
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


def test_a_connection_that_cannot_be_taken_harms_no_other(folder: Path) -> None:
    supervisor = RunSupervisor(folder, f"{REFUSED_ONCE}\nos.fork = refuse")
    assert supervisor.ask() == ""
    assert "error" in json.loads(supervisor.ask())
    assert supervisor.end() == 0


def test_nothing_of_a_run_can_be_used_or_read_by_another_user(
        make_fixture: Callable[[str], Fixture]) -> None:
    """No socket has a name, and no argument a secret."""
    run = make_fixture("").run
    assert isinstance(run, LeadingRun) and run._supervisor is not None
    words = Path(f"/proc/{run._supervisor.pid}/cmdline").read_bytes()
    assert run.token.encode() not in words
    assert b"supervisor" in words
    assert run.token not in Path("/proc/net/unix").read_text()
    for folder in (run.folder, run.disk):
        assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("sent", (True, False))
def test_a_run_that_ends_at_once_is_no_fault(folder: Path, sent: bool) -> None:
    """Whether it ends before or after it was sent something, which it has not taken."""
    asking, asked = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with asked:
        program = BROKEN.replace("FAULT", "" if sent else "os.read(0, 1)")
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(asked.fileno()), str(folder)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(asked.fileno(),),
            env={**os.environ, TOKEN: uuid.uuid4().hex})
    with asking:
        if sent:
            assert select.select([asking], [], [], 10)[0]
    _, errors = process.communicate(b"\n" if not sent else None, 20)
    assert (process.returncode, errors) == (0, b"")


def test_a_run_supervisor_with_a_fault_clears_up(folder: Path) -> None:
    supervisor = RunSupervisor(folder, "run_supervisor.fork_supervisor = fail")
    assert supervisor.ask() == ""
    assert supervisor.end() == 1
