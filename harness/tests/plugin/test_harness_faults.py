"""A fault of the machine or of the harness is no program's failure: it is told, the exit code is 3,
and nothing is left."""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.plugin import preflight
from harness.system import prctl, processes
from harness.system.places import HARNESS, ROOT
from harness.tests.toys import Graded, await_true, command, grade, server, write_exercise

CHECKS = '''
import signal
from harness.system import prctl, processes

class TestItem1:
    """The first item"""
    item = 1
    def test_first(self, fixture: Fixture) -> None:
        """It meets a fault"""
        STEPS

class TestItem2:
    """The second item"""
    item = 2
    def test_second(self, fixture: Fixture) -> None:
        """It meets none"""
        AFTER
        assert fixture.start().client.get("/").status == 200
'''
FILL = '''
        cluster = fixture.start()
        with open(fixture.run.folder / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                pass
        cluster.watcher.scan()
        raise CheckFailed("the journal is broken")
'''
KILLED = '''
        cluster = fixture.start()
        its = processes.numbers_here([cluster.pid, cluster.supervised.supervisor]).values()
        open("pids", "w").write(" ".join(map(str, its)))
        os.kill(os.getpid(), signal.SIGKILL)
'''
RUN_SUPERVISOR = '''
        first = fixture.start()
        processes.kill(processes.parent(first.supervised.supervisor))
        if processes.shares_numbers():
            assert first.client.get("/").status == 200
        fixture.start()
'''
CLUSTER_SUPERVISOR = '''
        from harness.cluster import supervised_program
        supervised_program.largest_file = lambda folder: "nonsense"
        fixture.start()
'''


def checks(steps: str, after: str = "pass") -> str:
    return CHECKS.replace("STEPS", steps.strip()).replace("AFTER", after)


# ----- before a run


def broken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(38, "Function not implemented")

    if name == "prctl":
        monkeypatch.setattr(prctl, "adopt_orphans", refuse)
    elif name == "fork":
        monkeypatch.setattr(os, "fork", refuse)
    elif name == "children":
        monkeypatch.setattr(processes, "children", lambda pid: [])
    elif name == "memory":
        monkeypatch.setattr(processes, "resident", lambda pid: 0)
    elif name == "room":
        monkeypatch.setattr(preflight, "free_bytes", lambda place: 1000)
    elif name == "early":
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
    else:
        monkeypatch.setattr(preflight, "LATEST_WAKE", -1.0)


@pytest.mark.parametrize(("name", "told"), [
    ("prctl", "no process may adopt orphans here"),
    ("fork", "processes and children: .*not implemented"),
    ("children", "which children a process has"), ("memory", "statm tell nothing"),
    ("room", "0 MiB free, 256 MiB are needed"), ("early", "ends before its time"),
    ("late", "too busy to grade on")])
def test_a_missing_thing_is_named(monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    assert preflight.problems() == []
    broken(name, monkeypatch)
    (problem,) = preflight.problems()
    assert re.search(told, problem)


def test_nothing_is_graded_where_something_is_missing(tmp_path: Path) -> None:
    path = write_exercise(tmp_path, checks("open('ran', 'w')"))
    (path.parent / "conftest.py").open("a").write("from harness.plugin import preflight\n"
                                                  "preflight.LATEST_WAKE = -1.0\n")
    done = subprocess.run(command(tmp_path, server(tmp_path)), cwd=tmp_path, capture_output=True,
                          text=True, timeout=60)
    output = done.stdout + done.stderr
    assert done.returncode == 3
    assert "nothing can be graded on this machine: a sleep of 4 ms" in output
    assert not (tmp_path / "ran").exists() and "Traceback" not in output


@pytest.mark.parametrize("module", ["h11", "rich"])
def test_a_package_that_is_missing_is_named(module: str) -> None:
    without = ("import importlib.util as util; find = util.find_spec; "
               f"util.find_spec = lambda name: None if name == {module!r} else find(name); "
               "import harness.conftest")
    done = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 3 and f"has no {module}. Type .ci/python" in done.stderr
    assert "Traceback" not in done.stderr


# ----- during a run


def small_disk(folder: Path, size: str) -> list[str]:
    """A prefix for commands: the folder is then on a small disk of its own, and there is no room in
    memory."""
    mount = (f"mount -t tmpfs -o size={size} none {folder} && "
             "mount -t tmpfs -o size=64k none /dev/shm")
    for unshare in (["unshare", "-m"], ["unshare", "-Urm"]):
        tried = [*unshare, "sh", "-c", mount]
        if shutil.which("unshare") and not subprocess.run(tried, capture_output=True).returncode:
            return [*unshare, "sh", "-c", f'{mount} && exec "$@"', "sh"]
    pytest.skip("no file system can be mounted here, not even in a namespace of its own")


def grade_on_small_disk(folder: Path, steps: str, *more: str) -> Graded:
    disk = folder / "disk"
    disk.mkdir()
    return grade(folder, steps, *more, prefix=small_disk(disk, "300m"), TMPDIR=str(disk))


def expect_first_inconclusive(graded: Graded) -> None:
    assert graded.code == 3, graded.output
    assert graded.result("test_first") == "inconclusive", graded.output
    assert graded.result("test_second") == "pass", graded.output


def test_a_disk_that_becomes_full_is_inconclusive(tmp_path: Path) -> None:
    steps = checks(FILL, 'os.unlink(fixture.run.folder / "ballast")')
    graded = grade_on_small_disk(tmp_path, steps, "-n0")
    expect_first_inconclusive(graded)
    assert "the disk was full" in graded.check("test_first")["seen"]


def test_a_disk_that_stays_full_does_not_end_the_grading(tmp_path: Path) -> None:
    graded = grade_on_small_disk(tmp_path, checks(FILL), "-n2")
    assert graded.code == 3 and graded.result("test_first") == "inconclusive", graded.output
    assert graded.result("test_second") in ("pass", "inconclusive")


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    graded = grade(tmp_path, checks("pass"), "-n0", "--report-json", "/dev/full")
    assert graded.code == 3, graded.output
    assert "The report could not be written: [Errno 28]" in graded.output, graded.output
    assert "2 of 2 passed" in graded.output


@pytest.mark.parametrize(("steps", "told", "options"), [
    (RUN_SUPERVISOR, "run supervisor, which starts the programs, does not answer",
     ["--no-isolation"]),
    (RUN_SUPERVISOR, "supervisor", []),
    (CLUSTER_SUPERVISOR, "could not be started: TypeError", [])],
    ids=["run", "run-in-sandbox", "cluster"])
def test_a_supervisor_that_fails_is_inconclusive(tmp_path: Path, steps: str, told: str,
                                                 options: list[str]) -> None:
    graded = grade(tmp_path, checks(steps), "-n2", *options, TMPDIR=str(tmp_path))
    assert graded.code == 3 and told in graded.check("test_first")["seen"], graded.output
    assert_nothing_left(tmp_path)


def test_a_killed_child_does_not_hold_up_the_grading(tmp_path: Path) -> None:
    graded = grade(tmp_path, checks(KILLED), "-n2", TMPDIR=str(tmp_path))
    expect_first_inconclusive(graded)
    assert not any(processes.alive(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    assert_nothing_left(tmp_path)


def assert_nothing_left(folder: Path) -> None:
    assert await_true(lambda: not list(folder.glob("cluster-harness-*")), 5)
    assert [pid for pid in processes.everyone()
            if str(folder) in processes.command_line(pid) and processes.alive(pid)] == []


@pytest.mark.parametrize("number", range(1, 6))
def test_kill_9_in_the_middle_of_an_exercise(tmp_path: Path, number: int) -> None:
    """First a child that runs checks is killed: its clusters end at once. Then pytest itself is
    killed."""
    if not (ROOT / f"build/bin/ex{number}-solution").exists():
        pytest.skip(f"build it first: make ex{number}-solution")
    (file,) = HARNESS.glob(f"test_ex{number}_*.py")
    words = [sys.executable, "-m", "pytest", str(file), "--solution", "-n3"]
    run = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL,
                           env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        assert await_true(lambda: bool(clusters_of(run.pid)), 30)
        victim, its = next(iter(clusters_of(run.pid).items()))
        everything = processes.descendants(run.pid)
        homes = {Path(home).parent for pid in everything
                 if "/clusters/" in (home := processes.folder_of(pid))}
        ended = [home for home in homes if home.name.startswith(f"{victim}-")]
        os.kill(victim, signal.SIGKILL)
        assert await_true(lambda: not any(map(processes.alive, its)), 5)
        assert await_true(lambda: not any(home.exists() for home in ended), 5)
        everything += processes.descendants(run.pid)
    finally:
        run.kill()
        run.wait()
    assert await_true(lambda: not any(map(processes.alive, everything)), 10)
    assert await_true(lambda: not list(tmp_path.glob("cluster-harness-*"))
                      and not any(home.exists() for home in homes), 5)


def clusters_of(run: int) -> dict[int, list[int]]:
    """The children of the run that have a cluster just now, each with the processes of its
    clusters."""
    found: dict[int, list[int]] = {}
    for pid in processes.descendants(run):
        home = processes.folder_of(pid)
        if "/clusters/" in home:
            found.setdefault(int(Path(home).parent.name.split("-")[0]), []).append(pid)
    return found
