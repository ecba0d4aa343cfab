"""What is told when a grading is called in an unusual way, and when Ctrl+C ends it."""
from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.plugin import preflight
from harness.plugin.built_program import checksum
from harness.system.places import ROOT
from harness.tests.plugin.test_outcomes import PASSING
from harness.tests.toys import await_true, command, grade, server, write_exercise

LONG = PASSING + '''
    def test_long(self, fixture: Fixture) -> None:
        """It waits for its end"""
        fixture.start()
        (HARNESS / os.environ["BEGUN"]).touch()
        time.sleep(60)
'''
LOST = '''
import signal
class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def pytest_runtest_logreport(report):
    if report.when == "call":
        Lost()
'''
"""A Ctrl+C in a destructor, in which an exception is lost."""
QUIET = [sys.executable, "-m", "harness.system.quiet_start"]


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_names_the_options(word: str, tmp_path: Path) -> None:
    graded = grade(tmp_path, PASSING, word)
    assert graded.code == 0 and "Traceback (most" not in graded.output, graded.output
    assert word == "--version" or "--real-time" in graded.output


@pytest.mark.parametrize("words, code, told", [
    (("-k", "no_such_check"), 5, "No check was chosen: nothing is graded."),
    (("-k", "a("), 4, "Wrong expression"),
    (("no_such_file.py",), 4, "not found"),
])
def test_where_nothing_is_graded_there_is_no_score(words: tuple[str, ...], code: int, told: str,
                                                   tmp_path: Path) -> None:
    graded = grade(tmp_path, PASSING, *words)
    assert graded.code == code, graded.output
    assert told in graded.output and "of 1 passed" not in graded.output, graded.output


def test_the_source_of_a_program_is_named_and_must_be_there(tmp_path: Path) -> None:
    source = tmp_path / "main.cpp"
    lost = grade(tmp_path, PASSING, "--source", str(source))
    assert lost.code == 4 and f"--source: there is no file {source}" in lost.output
    source.write_text("int main() {}")
    graded = grade(tmp_path, PASSING, "--source", str(source))
    assert graded.report["source"] == checksum(source.read_bytes()), graded.output
    assert graded.report["program"] == "build/bin/ex9"


def test_a_program_that_may_not_be_run(tmp_path: Path) -> None:
    (tmp_path / "a program").write_text("#!/bin/sh\n")
    graded = grade(tmp_path, PASSING, program="'./a program'")
    assert graded.code == 4, graded.output
    assert "./a program may not be run: chmod +x './a program'" in graded.output


def test_plugins_of_others_may_be_turned_off(tmp_path: Path) -> None:
    assert grade(tmp_path, PASSING, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1").code == 0


def test_a_grading_that_is_stopped_has_no_score(tmp_path: Path) -> None:
    write_exercise(tmp_path, LONG)
    begun = tmp_path / "begun"
    with subprocess.Popen(command(tmp_path, server(tmp_path)), cwd=tmp_path, text=True,
                          env={"BEGUN": str(begun)}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        assert await_true(begun.exists, 30)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)[0]
    assert process.returncode == 2, output
    assert "stopped: there is no score" in output and "of 1 passed" not in output, output


def test_a_ctrl_c_whose_exception_is_lost_stops_it_too(tmp_path: Path) -> None:
    write_exercise(tmp_path, LONG)
    with open(tmp_path / "conftest.py", "a") as conftest:
        conftest.write(LOST)
    done = subprocess.run(command(tmp_path, server(tmp_path)), cwd=tmp_path, timeout=30,
                          env={"BEGUN": str(tmp_path / "begun")}, capture_output=True, text=True)
    assert done.returncode == 2 and "KeyboardInterrupt" in done.stderr, done.stderr
    assert "stopped: there is no score" in done.stdout, done.stdout


def test_ctrl_c_while_modules_load_ends_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "slow_to_load.py").write_text(
        "import signal, sys\nprint('loads', flush=True)\nsignal.pause()\n")
    with subprocess.Popen([*QUIET, "slow_to_load"], cwd=ROOT, env={"PYTHONPATH": str(tmp_path)},
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == "loads\n"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (-signal.SIGINT, "", "")


def test_ctrl_c_is_taken_once_modules_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "takes_it.py").write_text(
        "import os, signal, sys\ndef main():\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n        print(*sys.argv)\n        return 7\n")
    done = subprocess.run([*QUIET, "takes_it", "a", "b"], cwd=ROOT, capture_output=True, text=True,
                          env={"PYTHONPATH": str(tmp_path)}, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (7, "takes_it a b\n", "")


@pytest.mark.parametrize(("command", "environment", "code", "said"), [
    ("print('gr\\xf6\\xdfer')", {"PYTHONIOENCODING": "ascii"}, 0, "gr??er\n"),
    ("import os; print(os.environ.get('COLUMNS'))", {"COLUMNS": "0"}, 0, "None\n"),
    ("import os; print(os.environ.get('COLUMNS'))", {"COLUMNS": "7"}, 0, "7\n")])
def test_a_strange_terminal_does_no_harm(command: str, environment: dict[str, str], code: int,
                                         said: str, tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(f"def main():\n    {command}\n    return 0\n")
    done = subprocess.run([*QUIET, "says"], cwd=ROOT, capture_output=True, text=True, timeout=30,
                          env={"PYTHONPATH": str(tmp_path), **environment})
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "")


def test_a_pipe_that_nobody_reads_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text("def main():\n    print('x' * 99999)\n    return 0\n")
    line = f"{' '.join(QUIET)} says | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True,
                          env={"PYTHONPATH": str(tmp_path)}, timeout=30)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_opened(closed: str) -> None:
    names = "import os; ok = [os.fstat(fd) for fd in (0, 1, 2)]; os._exit(len(ok))"
    done = subprocess.run(["sh", "-c", f'.ci/python -c "{names}" {closed}'], cwd=ROOT, timeout=30)
    assert done.returncode == 3


def test_without_a_loopback_nothing_is_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [one for one in preflight.problems() if "loopback" in one]
    monkeypatch.setattr(preflight, "LOOPBACK", "192.0.2.1")  # of nobody's machine
    (problem,) = [one for one in preflight.problems() if "loopback" in one]
    assert "no connection to 192.0.2.1 is possible" in problem
