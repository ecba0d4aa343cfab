"""The learner's path with make, from the first grading to the solution.

Only item 1 is graded, except in the tests that say otherwise.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shell import ROOT, environment

ONE_CHECK = "-k test_two_workers_answer"

pytestmark = pytest.mark.xdist_group("build")  # or they would wait for each other


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "progress.json"


def make(file: Path, *words: str) -> tuple[int, str]:
    return run(file, ["make", *words])


def run(file: Path, command: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=ROOT, env=environment(file), text=True, timeout=300,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


def progress(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text())["1"]
    assert isinstance(found, dict)
    return found


def test_a_starter_and_its_hints(file: Path) -> None:
    assert "make ex1-grade" in make(file, "ex1-hint")[1]
    code, output = make(file, "ex1-grade", f"ARGS={ONE_CHECK}")
    assert code == 2 and "\nnext: make ex1-hint\n" in output
    assert progress(file)["results"] == {}, "a part of a grading does not count"
    code, output = make(file, "ex1-hint")
    assert code == 0 and "item 1 failed" in output and "Hint 1 of 3" in output
    code, output = make(file, "ex1-diff")
    assert code == 2 and "make ex1-diff FORCE=1" in output
    code, output = make(file, "progress")
    assert code == 0 and "item 1" in output


def test_the_whole_starter_counts(file: Path) -> None:
    make(file, "ex1-grade")
    skipped = dict.fromkeys("2345", "skipped")
    assert progress(file)["results"] == {"1": "fail", **skipped}
    assert "0 of 5" in make(file, "progress")[1]


@pytest.mark.parametrize("words", [
    ("ex1-solution", f"ARGS={ONE_CHECK}"),
    ("ex1-grade", f"ARGS=--program build/bin/ex1 {ONE_CHECK}"),
])
def test_other_programs_do_not_count(file: Path, words: tuple[str, str]) -> None:
    output = make(file, *words)[1]
    assert " of 1 passed" in output and "next:" not in output and not file.exists()


@pytest.mark.parametrize("options", ["", "--real-time"])
def test_the_command_of_a_failure_runs_it_again(file: Path, options: str) -> None:
    output = make(file, "ex1-grade", f"ARGS={ONE_CHECK} {options}")[1]
    label = "    again     "
    lines = output.splitlines()
    again = next(line.removeprefix(label) for line in lines if line.startswith(label))
    assert again.startswith("make ex1-grade ARGS=") and options in again and "--trace" in again
    output = run(file, ["sh", "-c", again])[1]
    assert "0 of 1 passed" in output
    assert "    trace     build/trace/ex1/test_two_workers_answer\n" in output
    assert (ROOT / "build/trace/ex1/test_two_workers_answer/stdout-1.log").exists()


def test_clean_keeps_the_progress(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "build/bin").mkdir(parents=True)
    for name in ("progress.json", "bin/ex1", ".hidden"):
        (tmp_path / "build" / name).touch()
    done = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True)
    assert "kept: build/progress.json" in done.stdout
    assert [one.name for one in (tmp_path / "build").iterdir()] == ["progress.json"]
    (tmp_path / "build/progress.json").unlink()
    done = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == ""
