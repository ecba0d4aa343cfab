"""`make class` as an instructor meets it."""
from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.classroom import (
    build_submission, grade_submission, local_engine, machine_rest, plan, results)
from harness.cluster.isolation import Isolation
from harness.system import processors
from harness.system.places import ROOT
from harness.tests.toys import await_true

BROKEN = "int main( {\n"
STARTER = next((ROOT / "exercises").glob("ex1_*")) / "main.cpp"


def command(folder: Path, *more: str) -> list[str]:
    return [str(ROOT / ".ci/python"), "-m", "harness.classroom.command", str(folder / "in"),
            str(folder / "out"), "--exercise", "1", "--force", *more]


def grade(folder: Path, *more: str, code: int = 0) -> str:
    done = subprocess.run(command(folder, *more), cwd=ROOT, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def submit(folder: Path, **sources: str) -> None:
    for student, source in sources.items():
        (folder / "in" / student).mkdir(parents=True, exist_ok=True)
        (folder / "in" / student / "main.cpp").write_text(source)


def result(folder: Path, student: str) -> dict[str, Any]:
    return dict(json.loads((folder / "out" / student / results.FILE).read_text()))


def table(folder: Path) -> list[list[str]]:
    with open(folder / "out/grades.csv", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_each_submission_gets_its_result(tmp_path: Path) -> None:
    submit(tmp_path, ada=STARTER.read_text(encoding="utf-8"), bob=BROKEN)
    (tmp_path / "in/eve").mkdir()
    said = grade(tmp_path)
    assert "3 of 3 submissions have a result: 1 graded, 2 build-failed" in said
    assert [row[:7] for row in table(tmp_path)[1:]] == [
        ["ada", "", "ada", "1", "0", "5", "graded"],
        ["bob", "", "bob", "1", "0", "5", "build-failed"],
        ["eve", "", "eve", "1", "0", "5", "build-failed"]]
    ada = result(tmp_path, "ada")
    assert ada["source"] == hashlib.sha256(STARTER.read_bytes()).hexdigest()
    assert ada["binary"] and ada["kit"] == results.kit_version(1) and ada["gradings"] == 1
    assert [one["result"] for one in ada["items"]][:2] == ["fail", "skipped"]
    page = (tmp_path / "out/ada/report.html").read_text(encoding="utf-8")
    assert str(ROOT) not in page and str(tmp_path) not in page
    assert "make ex1-grade ARGS=" in page, "lines for the student's own machine"
    assert "main.cpp:1:" in (tmp_path / "out/bob/report.html").read_text(encoding="utf-8")
    assert "main.cpp:1:" in (tmp_path / "out/bob/build.log").read_text(encoding="utf-8")

    again = grade(tmp_path)
    assert "0 to grade of 3, 1 at a time" in again

    one = grade(tmp_path, "--only", "ada")
    assert "1 to grade" in one
    now = result(tmp_path, "ada")
    assert now["gradings"] == 2 and now["binary"] == ada["binary"]
    assert "build" not in now["seconds"], "the same program"


def test_what_has_changed_is_graded_anew(tmp_path: Path) -> None:
    submit(tmp_path, ada=BROKEN, bob=BROKEN)
    grade(tmp_path)
    (tmp_path / "out/ada/program").touch()
    submit(tmp_path, ada="/* another */" + BROKEN)
    assert "1 to grade" in grade(tmp_path)
    assert not (tmp_path / "out/ada/program").exists(), "nothing is left of the other one"
    assert "another" in (tmp_path / "out/ada/report.html").read_text()
    (tmp_path / "in/ada/main.cpp").unlink()
    assert "1 to grade" in grade(tmp_path)
    assert result(tmp_path, "ada")["sentence"] == "there is no main.cpp"
    left = {entry.name for entry in (tmp_path / "out/ada").iterdir()}
    assert left == {"result.json", "report.html"}
    old = results.read(tmp_path / "out/bob")
    assert old is not None
    old.kit = "an older one"
    results.write(old, tmp_path / "out/bob")
    assert "1 to grade" in grade(tmp_path)


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    submit(tmp_path, **{f"student-{number}": BROKEN + "x" * number for number in range(12)})
    whole = tmp_path / "whole"
    submit(whole, **{f"student-{number}": BROKEN + "x" * number for number in range(12)})
    grade(whole)
    for _ in range(3):
        with subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT) as run:
            assert run.stdout is not None
            while (line := run.stdout.readline()) and "exercise 1" not in line:
                pass
            time.sleep(random.uniform(0, 0.5))
            run.kill()
    grade(tmp_path)
    assert table(tmp_path) == table(whole)
    assert all(result(tmp_path, f"student-{number}")["gradings"] == 1 for number in range(12))
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {
        entry.name for entry in (whole / "out").iterdir()}


def test_no_grading_begins_when_its_command_has_ended(tmp_path: Path) -> None:
    submit(tmp_path, ada=BROKEN)
    grade(tmp_path)
    (tmp_path / "out/ada" / results.FILE).unlink()
    words = [str(ROOT / ".ci/python"), "-m", "harness.classroom.grade_submission", "--force"]
    begun = [subprocess.run([*words, "--parent", str(parent), str(tmp_path / "out"), "0"], cwd=ROOT)
             for parent in (os.getppid(), os.getpid())]
    assert [one.returncode for one in begun] == [1, 0]
    assert result(tmp_path, "ada")["gradings"] == 1


def test_ctrl_c_ends_it_and_leaves_nothing_running(tmp_path: Path) -> None:
    submit(tmp_path, ada=STARTER.read_text(encoding="utf-8"))
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, preexec_fn=heed_ctrl_c) as run:
        program = tmp_path / "out/ada/program"
        assert await_true(lambda: program.exists() and program.stat().st_size > 0, 120)
        run.send_signal(signal.SIGINT)
        assert run.stdout is not None
        said = run.stdout.read()
    assert run.returncode == 130 and "the same command goes on" in said, said
    assert "Traceback" not in said
    marked = str(tmp_path / "out")
    assert await_true(lambda: not running(marked), 20), running(marked)
    assert not (tmp_path / "out/ada/result.json").exists()


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def running(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if word in line]


def test_only_one_command_at_a_time_uses_a_folder(tmp_path: Path) -> None:
    submit(tmp_path, ada=BROKEN)
    books = tmp_path / "out" / plan.BOOKS
    books.mkdir(parents=True)
    with subprocess.Popen(["flock", "-F", str(books), "sleep", "60"]) as holder:
        assert await_true(lambda: subprocess.run(["flock", "-n", str(books), "true"]).returncode
                          == 1, 20)
        assert "another command grades into" in grade(tmp_path, code=2)
        holder.kill()


@pytest.mark.parametrize("out", ["in", "in/results", "."])
def test_results_and_submissions_lie_apart(tmp_path: Path, out: str) -> None:
    submit(tmp_path, ada=BROKEN)
    words = command(tmp_path)
    words[words.index(str(tmp_path / "out"))] = str(tmp_path / out)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "apart from the submissions" in done.stderr, done.stderr
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")] == [
        "in", "in/ada", "in/ada/main.cpp"]


def test_a_dispute_takes_no_verdict_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no disk")

    folder = tmp_path / "ada"
    folder.mkdir()
    (folder / "program").write_bytes(b"a program")
    submission = results.Submission("ada", 1, BROKEN.encode(), folder="ada")
    before = results.Result("ada", 1, "graded", "5 of 5", source=submission.checksum,
                            binary=hashlib.sha256(b"a program").hexdigest(), gradings=1)
    grade_submission.leave(before, folder, "the page")
    monkeypatch.setattr(grade_submission, "choose", sandboxed)
    monkeypatch.setattr(grade_submission, "graded", fail)
    assert grade_submission.grade(submission, folder, before, True).state == "crashed"
    assert results.read(folder) == before and (folder / "report.html").read_text() == "the page"


@pytest.mark.parametrize(("more", "word"), [
    (["--only", "nobody"], "no student 'nobody'"), (["--points", "/nowhere"], "/nowhere")])
def test_wrong_words_are_refused(tmp_path: Path, more: list[str], word: str) -> None:
    submit(tmp_path, ada=BROKEN)
    assert word in grade(tmp_path, *more, code=2)


def test_a_grader_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(grade_submission, "choose", sandboxed)
    monkeypatch.setattr(grade_submission, "build", fail)
    submission = results.Submission("ada", 1, BROKEN.encode(), folder="ada")
    grade_submission.grade(submission, tmp_path / "out/ada", None)
    found = results.read(tmp_path / "out/ada")
    assert found is not None and found.state == "crashed"
    assert found.sentence == "the grader failed: OSError: no disk"
    assert "no disk" in (tmp_path / "out/ada/report.html").read_text()
    plan.write([submission], tmp_path / "out")
    assert plan.lacking([submission], tmp_path / "out") == [0], "it is tried again"


def sandboxed(_: bool) -> Isolation:
    """As choose() would say it, but this process stays in its network."""
    return Isolation(bubblewrap=True)


def test_a_node_without_isolation_grades_nobody(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(*_: object) -> build_submission.Built:
        built.append(True)
        return build_submission.Built("", "it does not compile")

    monkeypatch.setattr(grade_submission, "choose", lambda _: Isolation(lacking="no bubblewrap"))
    monkeypatch.setattr(grade_submission, "build", build)
    submission = results.Submission("ada", 1, BROKEN.encode(), folder="ada")
    found = grade_submission.grade(submission, tmp_path / "ada", None)
    assert found.state == "crashed" and "none: no bubblewrap" in found.sentence and not built
    assert grade_submission.grade(submission, tmp_path / "ada", None,
                                  force=True).state == "build-failed"


def test_a_node_with_another_kit_grades_nobody(tmp_path: Path) -> None:
    submission = results.Submission("ada", 1, BROKEN.encode(), folder="ada")
    plan.write([submission], tmp_path)
    (tmp_path / plan.BOOKS / plan.KITS).write_text('{"1": "of another compiler"}')
    done = subprocess.run([str(ROOT / ".ci/python"), "-m", "harness.classroom.grade_submission",
                           str(tmp_path), "0"], cwd=ROOT)
    found = results.read(tmp_path / "ada")
    assert done.returncode == 0 and found is not None and found.state == "crashed"
    assert "another compiler or another kit" in found.sentence
    assert found.kit == "of another compiler", "it counts where the plan was made"


def test_a_machine_under_load_is_noticed() -> None:
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        try:
            found = machine_rest.load()
        finally:
            busy.kill()
    assert any(one.pid == busy.pid and "while" in one.command for one in found), found


@pytest.mark.parametrize(("share", "expected"), [
    (8.0, [[0, 1], [2, 3], [4, 5], [6, 7]]), (4.0, [list(range(8))] * 2), (0.5, [list(range(8))])])
def test_a_container_runs_no_more_at_once_than_it_may(
        monkeypatch: pytest.MonkeyPatch, share: float, expected: list[list[int]]) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(processors, "share", lambda: share)
    assert machine_rest.slots() == expected


def test_each_grading_has_its_cores_in_every_round(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_rest, "slots", lambda: [[0], [1]])
    taken: list[tuple[str, ...]] = []
    engine = local_engine.LocalEngine(tmp_path)
    real = subprocess.Popen

    def popen(words: list[str], **options: Any) -> subprocess.Popen[str]:
        taken.append(tuple(words[2:3]))
        return real(["sleep", "0.2"], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    for _ in range(3):
        engine.grade([0, 1], lambda number: None, lambda number, said: None)
    assert [sorted(taken[at:at + 2]) for at in (0, 2, 4)] == [[("0",), ("1",)]] * 3


def test_each_grading_has_two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "share", lambda: float(len(os.sched_getaffinity(0))))
    slots = machine_rest.slots()
    cores = [core for slot in slots for core in slot]
    assert len(cores) == len(set(cores)) and set(cores) <= os.sched_getaffinity(0)
    assert {len(slot) for slot in slots} == {min(2, len(os.sched_getaffinity(0)))}
