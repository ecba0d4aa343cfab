"""Saving is all that a learner has to do, in a small copy of the kit whose build takes no time."""
from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Callable, Iterator

import pytest
from watchdog.events import (
    FileClosedEvent, FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent,
)

from harness.learner.watch import End, Saves
from harness.system import processes
from harness.system.places import HARNESS
from harness.system.processes import RUN_MARKER
from harness.tests import toys
from harness.tests.toys import EXERCISE, SERVER

PATIENCE = 60.0
BUILD = f'''#!/bin/sh
if grep -q mistake exercises/ex1_toy/main.cpp
then echo 'main.cpp:1:1: error: a mistake'; exit 1
fi
mkdir -p build/bin &&
{{ echo '#!{sys.executable}'; cat exercises/ex1_toy/main.cpp; }} >build/bin/ex1 &&
chmod +x build/bin/ex1
'''
CHECKS = '''
class TestItem1:
    """The first item"""
    item = 1
    def test_answers(self, fixture: Fixture) -> None:
        """It answers"""
        fixture.start()

class TestItem2:
    """The second item"""
    item = 2
    def test_says_good(self, fixture: Fixture) -> None:
        """It says good"""
        cluster = fixture.start()
        while "endless" in cluster.output():
            time.sleep(0.1)
        if "good" not in cluster.output():
            raise CheckFailed("it did not say good")
'''


class Kit:
    """The copy, and the watch in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.source = root, root / "exercises/ex1_toy/main.cpp"
        self.source.parent.mkdir(parents=True)
        (root / ".ci").mkdir()
        (root / ".ci/build").write_text(BUILD)
        (root / ".ci/build").chmod(0o755)
        ignored = shutil.ignore_patterns("tests", "proof", "test_ex*", "__pycache__")
        shutil.copytree(HARNESS, root / "harness", ignore=ignored)
        ini = root / "harness/pytest.ini"
        ini.write_text(ini.read_text().replace("-n8", "-n2"))
        exercise = EXERCISE.replace("number=9", "number=1") + CHECKS
        (root / "harness/test_ex1_toy.py").write_text(exercise)
        self.save("bad")
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("PYTEST", "CLUSTER_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.learner.watch", "1"], cwd=root, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True)
        self.output, self.read = "", 0
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.output += line
                self._came.notify_all()

    def await_text(self, text: str) -> str:
        """Wait for a text behind the last one that was awaited; returns the output between them."""
        with self._came:
            came = self._came.wait_for(lambda: text in self.output[self.read:], PATIENCE)
            assert came, f"no {text!r} in {self.output}"
            found = self.output.index(text, self.read)
            between, self.read = self.output[self.read:found], found + len(text)
            return between

    def save(self, word: str) -> None:
        self.source.write_text(SERVER.replace("EXTRA", f"print('{word}')"))

    def save_by_rename(self, word: str) -> None:
        """As vim and others do it: a new file takes the place of the old one."""
        fresh = self.source.with_name(".main.cpp.new")
        fresh.write_text(SERVER.replace("EXTRA", f"print('{word}')"))
        fresh.rename(self.source)

    def end(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def running(self) -> list[int]:
        """The processes whose command line has this folder in it."""
        return [pid for pid in all_pids() if str(self.root) in processes.command_line(pid)]


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path)
    yield made
    for pid in (*processes.descendants(made.process.pid), made.process.pid):
        processes.kill(pid)
    made.process.wait()


def await_true(condition: Callable[[], bool]) -> None:
    assert toys.await_true(condition, PATIENCE)


def test_each_save_is_graded_and_the_end_is_clean(kit: Kit) -> None:
    assert "[ ] 2. The second item   FAIL" in kit.await_text("waiting for a save")
    kit.save_by_rename("good")
    kit.await_text("building and grading ex1")
    assert "[x] 2. The second item" in kit.await_text("1 of 1 passed"), "first what failed last"
    assert "[x] 1. The first item" in kit.await_text("2 of 2 passed"), "then everything"
    kit.await_text("waiting for a save")
    kit.save("bad")
    kit.await_text("building and grading ex1")
    assert "1 of 1" not in kit.await_text("1 of 2 passed"), "nothing had failed before"
    kit.await_text("waiting for a save")
    kit.save("bad again")
    rest = "the rest is graded when item 2 passes; everything now: make ex1-grade"
    assert "0 of 1 passed" in kit.await_text(rest)
    assert "passed" not in kit.await_text("waiting for a save"), "each failure is shown once"
    assert kit.end() == 0 and "Traceback" not in kit.output and kit.running() == []


def test_an_error_of_the_compiler_is_shown_as_it_is(kit: Kit) -> None:
    kit.await_text("waiting for a save")
    kit.save("mistake")
    between = kit.await_text("waiting for a save")
    assert "\nmain.cpp:1:1: error: a mistake\n\nex1 was not built" in between
    kit.save("good")
    kit.await_text("2 of 2 passed")
    assert kit.end() == 0


@pytest.mark.parametrize(("event", "counts"), [
    (FileClosedEvent("ex/main.cpp"), True),
    (FileClosedEvent("ex/queue.hpp"), True),
    (FileMovedEvent("ex/4913", "ex/main.cpp"), True),
    (FileMovedEvent("ex/main.cpp", "ex/main.cpp~"), False),
    (FileClosedEvent("ex/.main.cpp.swp"), False),
    (FileCreatedEvent("ex/.#main.cpp"), False),
    (FileClosedEvent("ex/README.md"), False),
    (FileModifiedEvent("ex/main.cpp"), False),
], ids=str)
def test_what_counts_as_a_save(event: FileSystemEvent, counts: bool, tmp_path: Path) -> None:
    saves = Saves(tmp_path, End())
    saves.on_any_event(event)
    with open("/dev/zero", "rb") as always_readable:
        assert saves.come(always_readable.fileno()) == counts


def test_a_replaced_folder_and_a_file_behind_a_link_are_noticed(kit: Kit) -> None:
    kit.await_text("waiting for a save")
    kit.source.parent.rename(kit.root / "before")
    kit.source.parent.mkdir()
    kit.save("good")
    kit.await_text("2 of 2 passed")
    kit.await_text("waiting for a save")
    elsewhere = kit.root / "mine.cpp"
    kit.source.rename(elsewhere)
    kit.source.symlink_to(elsewhere)
    kit.save("bad")
    kit.await_text("1 of 2 passed")
    assert kit.end() == 0 and "Traceback" not in kit.output


@pytest.mark.parametrize("how", ["a save", "Ctrl+C"])
def test_a_grading_under_way_is_ended(kit: Kit, how: str) -> None:
    kit.await_text("waiting for a save")
    kit.save("endless")
    kit.await_text("first item 2, which failed last")
    await_true(lambda: any("build/bin/ex1" in processes.command_line(pid) for pid in kit.running()))
    if how == "Ctrl+C":
        assert kit.end() == 0
    else:
        kit.save("good")
        assert "1 of 1" not in kit.await_text("building and grading")
        kit.await_text("2 of 2 passed")
        assert kit.end() == 0
    assert kit.running() == [] and "Traceback" not in kit.output
    assert not [pid for pid in all_pids() if marked(pid, kit)]


def test_an_end_whose_exception_is_lost_is_remembered(tmp_path: Path) -> None:
    end = End()
    saves = Saves(tmp_path, end)
    with pytest.raises(KeyboardInterrupt):
        end(signal.SIGINT, None)
    end(signal.SIGINT, None)  # an impatient user: the end under way goes on
    with pytest.raises(KeyboardInterrupt):
        saves.come()


def test_a_terminal_that_is_closed_ends_it(kit: Kit) -> None:
    kit.await_text("waiting for a save")
    assert kit.end() == 0
    leader, follower = pty.openpty()
    with open(kit.root / "errors", "w") as errors:
        watch = subprocess.Popen(
            [sys.executable, "-m", "harness.system.quiet_start", "harness.learner.watch", "1"],
            cwd=kit.root, stdin=follower, stdout=follower, stderr=errors, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    try:
        os.close(follower)
        kit.save("endless")
        await_true(lambda: any("build/bin/ex1" in processes.command_line(pid)
                               for pid in kit.running()))
        os.close(leader)
        assert watch.wait(PATIENCE) in (0, 1)
    finally:
        watch.kill()
    assert (kit.root / "errors").read_text() == "" and kit.running() == []


def marked(pid: int, kit: Kit) -> bool:
    """Whether a process bears the mark of a grading, and lives in the kit's folder."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        folder = os.readlink(f"/proc/{pid}/cwd")
        return RUN_MARKER.encode() in environment and str(kit.root) in folder
    except OSError:
        return False
