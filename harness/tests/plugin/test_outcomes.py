"""The results of checks, the exit codes, the report, and the line that runs a check again."""
from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from harness.cluster.program import Program
from harness.tests.toys import grade, server

PASSING = '''
class TestItem1:
    """The first item"""
    item = 1
    @check(seconds=1)
    def test_good(self, fixture: Fixture) -> None:
        """It answers"""
        assert fixture.start().client.get("/").status == 200
'''
MIXED = PASSING + '''
    @check(expected="the sky", likely="the weather", hint="look up")
    def test_bad(self, fixture: Fixture) -> None:
        """It fails"""
        fixture.start().client.get("/bad")
        raise CheckFailed("seen clouds")

class TestItem2:
    """The second item"""
    item = 2
    @check(needs=("test_bad",))
    def test_after_bad(self, fixture: Fixture) -> None:
        """It needs what failed"""
        raise RuntimeError("never reached")
    @check(needs=("test_after_bad",))
    def test_after_skipped(self, fixture: Fixture) -> None:
        """It needs what was skipped"""
    @check(needs=("test_good",))
    def test_after_good(self, fixture: Fixture) -> None:
        """It needs what passed"""

class TestCommon:
    """Common ground"""
    item = 0
    def test_common(self, fixture: Fixture) -> None:
        """It is common"""
'''
DOUBTFUL = PASSING + '''
    def test_broken(self, fixture: Fixture) -> None:
        """The harness has a fault"""
        fixture.start()
        {}["nothing"]
    def test_doubtful(self, fixture: Fixture) -> None:
        """The machine was slow"""
        raise Inconclusive("too slow")
'''
TALKATIVE = PASSING + '''
    def test_known(self, fixture: Fixture) -> None:
        """It says what it wrote"""
        self.heard(fixture.start())
        raise CheckFailed("it said:\\n    line 8")
    def test_two(self, fixture: Fixture) -> None:
        """Two programs"""
        self.heard(fixture.start()), self.heard(fixture.start())
        raise CheckFailed("seen clouds")
    def heard(self, cluster):
        while not cluster.output(error=True):
            time.sleep(0.01)
'''
TALK = ("print(*[f'line {number}' for number in range(9)], sep='\\n', flush=True); "
        "print('*' * 999, file=sys.stderr, flush=True)")
DYING = PASSING + '''
    def test_dies(self, fixture: Fixture) -> None:
        """The process that runs the check dies"""
        os._exit(9)
'''


def test_all_pass_is_exit_0(tmp_path: Path) -> None:
    graded = grade(tmp_path, PASSING)
    counts = graded.report["passed"], graded.report["total"]
    assert graded.code == 0 and counts == (1, 1), graded.output
    assert "[x] 1. The first item" in graded.output and "1 of 1 passed" in graded.output
    assert graded.output.rstrip().splitlines()[-1].startswith("1 passed in ")


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_failures_skips_and_what_they_say(tmp_path: Path, processes: str) -> None:
    graded = grade(tmp_path, MIXED, processes)
    assert graded.code == 1, graded.output
    expected = {"test_good": "pass", "test_bad": "fail", "test_after_bad": "skipped",
                "test_after_skipped": "skipped", "test_after_good": "pass", "test_common": "pass"}
    assert {name: graded.result(name) for name in expected} == expected
    assert [item["result"] for item in graded.report["items"]] == ["fail", "skipped"]
    bad = graded.check("test_bad")
    assert [bad[key] for key in ("expected", "seen", "likely")] == [
        "the sky", "seen clouds", "the weather"]
    assert bad["hint"] == "look up (more: the hints for item 1 in exercises/ex9_toy/README.md)"
    for part in ("PORT=8000", "curl -sSi http://127.0.0.1:8000/bad", "the sky", "seen clouds",
                 "the weather", "look up", "-n0"):
        assert part in graded.output, part
    assert "start with the toy" not in graded.output, "that advice is for the starter only"
    assert "Traceback" not in graded.output


def test_a_failure_shows_what_the_program_wrote_last(tmp_path: Path) -> None:
    graded = grade(tmp_path, TALKATIVE, program=server(tmp_path, TALK))
    last = ["ready" if "ready url" in line else line
            for line in graded.check("test_known")["wrote"]]
    cut = f"standard error: {'*' * 100} … {'*' * 200}"
    # Which of the two streams is read first is left to chance. Line 8 is part of the message.
    assert sorted(last) == sorted([*(f"line {number}" for number in range(4, 8)), cut, "ready"])
    assert f" {cut}\n" in graded.output and "\n    wrote     " in graded.output
    both = graded.check("test_two")["wrote"]
    for number in (1, 2):
        start = f"cluster {number} standard error: *"
        assert sum(line.startswith(start) for line in both) == 1
    assert graded.check("test_good")["wrote"] == []


def test_the_rerun_line_runs_just_that_check(tmp_path: Path) -> None:
    line = grade(tmp_path, MIXED).check("test_bad")["rerun"]
    again = subprocess.run(shlex.split(line), cwd=tmp_path, capture_output=True, text=True,
                           timeout=60)
    assert again.returncode == 1
    assert "1 failed in" in again.stdout and "passed in" not in again.stdout


def test_faults_of_the_harness_are_inconclusive(tmp_path: Path) -> None:
    graded = grade(tmp_path, DOUBTFUL)
    assert graded.code == 3, graded.output
    assert graded.result("test_broken") == graded.result("test_doubtful") == "inconclusive"
    assert "the harness itself failed: KeyError" in graded.check("test_broken")["seen"]


def test_a_dying_harness_process_is_inconclusive(tmp_path: Path) -> None:
    graded = grade(tmp_path, DYING)
    assert graded.code == 3 and graded.result("test_dies") == "inconclusive", graded.output
    assert graded.result("test_good") == "pass", graded.output


def test_a_missing_program_is_a_clear_message(tmp_path: Path) -> None:
    graded = grade(tmp_path, PASSING, program="build/bin/nothing")
    assert graded.code == 4 and "there is no program build/bin/nothing" in graded.output
    assert "Traceback" not in graded.output and len(graded.output.splitlines()) < 5


def test_a_program_is_called_by_the_name_that_was_given(tmp_path: Path) -> None:
    link = tmp_path / "another-name"
    link.symlink_to("/bin/sh")
    assert Program.find(f"{link} -c true", tmp_path, "").words == [str(link), "-c", "true"]
    assert Program.find("./another-name", tmp_path, "").words == [str(link)]


def test_a_program_that_never_starts_fails_its_check(tmp_path: Path) -> None:
    graded = grade(tmp_path, PASSING, program=server(tmp_path, "sys.exit('no')"))
    seen = graded.check("test_good")["seen"]
    assert graded.code == 1 and "ended with exit code 1 before its ready line" in seen


@pytest.mark.parametrize(("says", "likely"), [
    ("12:00:00.000 master[1] STEP 4 is still to do: nobody was started",
     "STEP 4 is still to do, as the program says itself (and perhaps one before it); or the "
     "weather"),
    ("12:00:00.000 master[1] STEP 10 is still to do: x\n12:00:00.000 master[1] STEP 9 is still "
     "to do: y", "STEP 9 is still to do, as the program says itself (and perhaps one before it); "
     "or the weather"),
    ("all is done", "the weather")])
def test_a_step_that_is_still_to_do_is_a_likely_cause(tmp_path: Path, says: str,
                                                      likely: str) -> None:
    graded = grade(tmp_path, MIXED, program=server(tmp_path, f"print({says!r}, flush=True)"))
    assert graded.check("test_bad")["likely"] == likely
