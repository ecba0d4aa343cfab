"""Nothing of a program stays, whatever it leaves behind and however the run ends."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed
from harness.system import processes
from harness.tests.toys import await_true, command, server, write_exercise

RUNAWAY = '''
import subprocess
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=SESSION,
                 env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)
'''
ESCAPES = [("False", "None"), ("True", "None"), ("True", "{}"), ("False", "{}")]
SLOW = '''
class TestItem1:
    """The only item"""
    item = 1
    def test_waits(self, fixture: Fixture) -> None:
        """It takes long"""
        fixture.start()
        time.sleep(600)
    def test_waits_too(self, fixture: Fixture) -> None:
        """It takes long as well"""
        fixture.start()
        time.sleep(600)
'''


@pytest.mark.parametrize(("session", "environment"), ESCAPES)
def test_orphans_are_found_and_ended(make_fixture: Callable[[str], Fixture], session: str,
                                     environment: str) -> None:
    fixture = make_fixture(RUNAWAY.replace("SESSION", session).replace("ENV", environment))
    cluster = fixture.start()
    await_true(lambda: bool(processes.children(cluster.pid)), 5)
    runaway = processes.children(cluster.pid)[0]
    await_true(lambda: runaway in cluster.watcher.seen, 5)
    signalled = cluster.signal(signal.SIGTERM)
    cluster.expect_exit(0, signalled, 5)
    with pytest.raises(CheckFailed, match="no process may be left"):
        cluster.expect_nothing_left(signalled, 0.1)
    notes = fixture.finish()
    assert str(runaway) in notes[0] and not processes.alive(runaway)


def test_files_are_found(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("import tempfile; open('here.txt', 'w'); tempfile.mkstemp()")
    cluster = fixture.start()
    signalled = cluster.signal(signal.SIGTERM)
    cluster.expect_exit(0, signalled, 5)
    with pytest.raises(CheckFailed, match="files left behind: cwd/here.txt, tmp/"):
        cluster.expect_nothing_left(signalled, 5)
    fixture.finish()


def test_a_clean_end_has_no_findings(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("")
    cluster = fixture.start()
    signalled = cluster.signal(signal.SIGTERM)
    cluster.expect_exit(0, signalled, 5)
    cluster.expect_nothing_left(signalled, 5)
    assert fixture.finish() == []


def test_a_stopped_cluster_is_ended(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("")
    cluster = fixture.start()
    cluster.signal(signal.SIGSTOP)
    fixture.finish()
    assert not processes.alive(cluster.pid)


@pytest.mark.parametrize("spread", ["-n0", "-n2"])
def test_kill_9_of_pytest_leaves_nothing(tmp_path: Path, spread: str) -> None:
    write_exercise(tmp_path, SLOW)
    program = server(tmp_path, RUNAWAY.replace("SESSION", "False").replace("ENV", "{}"))
    run = subprocess.Popen(command(tmp_path, program, spread), cwd=tmp_path,
                           stdout=subprocess.DEVNULL,
                           env={**os.environ, "TMPDIR": str(tmp_path)})
    wanted = 2 if spread == "-n2" else 1
    path = str(tmp_path / "server.py")

    def clusters() -> int:
        """The number of clusters that have started their runaway."""
        below = processes.descendants(run.pid)
        words = [(pid, processes.command_line(pid)) for pid in below]
        return sum(path in line and "pytest " not in line and bool(processes.children(pid))
                   for pid, line in words)

    assert await_true(lambda: clusters() >= wanted, 20)
    time.sleep(0.2)
    everything = processes.descendants(run.pid)
    homes = [Path(home) for pid in everything
             if "/clusters/" in (home := processes.folder_of(pid))]
    assert len(homes) >= wanted
    run.send_signal(signal.SIGKILL)
    run.wait()
    gone = await_true(lambda: not any(processes.alive(pid) for pid in everything), 10)
    assert gone, [processes.command_line(pid) for pid in everything if processes.alive(pid)]
    assert await_true(lambda: not list(tmp_path.glob("cluster-harness-*"))
                      and not any(home.exists() for home in homes), 5)
