"""Checks that run side by side."""
from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness.system import processes
from harness.tests.toys import await_true, command, grade, server, write_exercise

TOLD = '''
import json, signal, time
def tell(fixture, name, seconds):
    began = time.monotonic()
    time.sleep(seconds)
    with open(fixture.program.words[-1] + ".told", "a") as file:
        file.write(json.dumps([name, began, time.monotonic(), os.getpid()]) + "\\n")
'''
HEAVY = TOLD + '''
class TestItem1:
    """Heavy and light ones"""
    item = 1
    @check(seconds=3, heavy=True)
    def test_heavy_1(self, fixture: Fixture) -> None:
        """First"""
        tell(fixture, "heavy", 0.3)
    @check(seconds=2, heavy=True)
    def test_heavy_2(self, fixture: Fixture) -> None:
        """Second"""
        tell(fixture, "heavy", 0.3)
    @check(seconds=1)
    def test_light(self, fixture: Fixture) -> None:
        """Third"""
        tell(fixture, "light", 0.1)
    @check(seconds=0.5, needs=("test_heavy_2",))
    def test_last(self, fixture: Fixture) -> None:
        """Fourth"""
        tell(fixture, "last", 0)
'''
KILLED = TOLD + '''
class TestItem1:
    """One is killed"""
    item = 1
    def test_killed(self, fixture: Fixture) -> None:
        """First"""
        os.kill(os.getpid(), signal.SIGKILL)
    def test_exits(self, fixture: Fixture) -> None:
        """Second"""
        os._exit(7)
    def test_leaves_pytest(self, fixture: Fixture) -> None:
        """Third"""
        import pytest
        pytest.exit("enough")
    def test_good(self, fixture: Fixture) -> None:
        """Fourth"""
        tell(fixture, "good", 0)
'''
DOUBTFUL = TOLD + """
from harness.judging.verdict import Bound, BoundBroken
LATE = BoundBroken("too late", Bound(0.0, 1.0, 2.0, "it"))
class TestItem1:
    \"\"\"One is in doubt\"\"\"
    item = 1
    def test_doubtful(self, fixture: Fixture) -> None:
        \"\"\"First\"\"\"
        first = not os.path.exists(fixture.program.words[-1] + ".told")
        tell(fixture, "doubtful", 0.2)
        if first:
            FIRST
    def test_other(self, fixture: Fixture) -> None:
        \"\"\"Second\"\"\"
        tell(fixture, "other", 0.4)
    @check(needs=("test_doubtful",))
    def test_builds_on_it(self, fixture: Fixture) -> None:
        \"\"\"Third\"\"\"
        tell(fixture, "builds on it", 0)
"""
FEWER = TOLD + """
class TestItem1:
    \"\"\"One measures, three follow\"\"\"
    item = 1
    needs = ("test_first",)
    def test_first(self, fixture: Fixture) -> None:
        \"\"\"First\"\"\"
        MEASURED
    def test_1(self, fixture: Fixture) -> None:
        \"\"\"Second\"\"\"
        tell(fixture, "1", 0.2)
    def test_2(self, fixture: Fixture) -> None:
        \"\"\"Third\"\"\"
        tell(fixture, "2", 0.2)
    def test_3(self, fixture: Fixture) -> None:
        \"\"\"Fourth\"\"\"
        tell(fixture, "3", 0.2)
"""
ENDLESS = TOLD + '''
class TestItem1:
    """Without end"""
    item = 1
    def test_endless(self, fixture: Fixture) -> None:
        """It does not end"""
        tell(fixture, "begun", 0)
        time.sleep(100)
'''


def told(folder: Path) -> list[tuple[str, float, float, int]]:
    """What the checks have told so far; a file that is open but not yet written tells nothing."""
    file = folder / "server.py.told"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(name, began, ended, pid) for name, began, ended, pid in map(json.loads, lines)]


def test_heavy_checks_run_one_at_a_time_and_a_check_after_those_it_builds_on(tmp_path: Path
                                                                             ) -> None:
    graded = grade(tmp_path, HEAVY, "-n3")
    assert graded.code == 0, graded.output
    heavy = sorted(one[1:3] for one in told(tmp_path) if one[0] == "heavy")
    (light,), (last,) = ([one[1:3] for one in told(tmp_path) if one[0] == name]
                         for name in ("light", "last"))
    assert heavy[0][1] <= heavy[1][0] <= heavy[1][1] <= last[0]
    assert light[0] < heavy[0][1], "a light check need not wait"


@pytest.mark.parametrize(("first", "why"), [
    ('raise Inconclusive("too slow")', "inconclusive: too slow"),
    ('fixture.behind = lambda: 0.3; raise LATE',
     "failed while the machine was 0.3 s behind: too late")])
def test_who_is_in_doubt_runs_once_more_alone(tmp_path: Path, first: str, why: str) -> None:
    graded = grade(tmp_path, DOUBTFUL.replace("FIRST", first), "-n3")
    assert graded.code == 0, graded.output
    assert "this is the second time, alone. The first time it was " + why in " ".join(
        graded.output.split())
    ran = sorted(told(tmp_path), key=lambda one: one[1])
    (other,) = [one for one in ran if one[0] == "other"]
    again = [one for one in ran if one[0] == "doubtful"][1]
    assert again[1] >= other[2] and ran[-1][0] == "builds on it" and ran[-1][1] >= again[2]


@pytest.mark.parametrize("first", [
    'raise LATE', 'fixture.behind = lambda: 0.3; raise CheckFailed("wrong")',
    'fixture.behind = lambda: 0.3; LATE.likely = "STEP 1 is still to do"; raise LATE'])
def test_who_is_not_in_doubt_runs_once(tmp_path: Path, first: str) -> None:
    graded = grade(tmp_path, DOUBTFUL.replace("FIRST", first), "-n3")
    assert graded.result("test_doubtful") == "fail", graded.output
    assert [one[0] for one in told(tmp_path)].count("doubtful") == 1


@pytest.mark.parametrize(("measured", "at_once"), [
    ("fixture.start_used = lambda: 0.01", 3), ("fixture.start_used = lambda: 100.0", 1),
    ("fixture.behind = lambda: 9.0", 2)])
def test_so_many_run_at_once_as_the_machine_carries(tmp_path: Path, measured: str, at_once: int
                                                    ) -> None:
    graded = grade(tmp_path, FEWER.replace("MEASURED", measured), "-n3")
    assert graded.code == 0, graded.output
    ran = [one[1:3] for one in told(tmp_path)]
    assert at_once == max(sum(began <= other[0] < ended for other in ran)
                          for began, ended in ran)


def test_a_child_that_has_died_is_replaced(tmp_path: Path) -> None:
    graded = grade(tmp_path, KILLED, "-n1")
    assert graded.code == 3 and graded.result("test_good") == "pass", graded.output
    assert "has ended: signal 9" in graded.check("test_killed")["seen"]
    assert "has ended: exit code 7" in graded.check("test_exits")["seen"]
    assert "Exit: enough" in graded.check("test_leaves_pytest")["seen"]


def ctrl_c_again_and_again(pid: int, number: int) -> None:
    """As an impatient user does it: several times, until the leading process is gone."""
    for _ in range(5):
        os.killpg(pid, number)
        await_true(lambda: not processes.alive(pid), 0.02)


@pytest.mark.parametrize(("send", "number", "code"), [
    (os.kill, signal.SIGINT, 2), (ctrl_c_again_and_again, signal.SIGINT, 2),
    (os.killpg, signal.SIGINT, 2), (os.kill, signal.SIGTERM, -signal.SIGTERM),
    (os.killpg, signal.SIGHUP, -signal.SIGHUP),
    (os.kill, signal.SIGKILL, -signal.SIGKILL)])
def test_no_process_outlives_the_leading_process(
        tmp_path: Path, send: Callable[[int, int], None], number: int, code: int) -> None:
    write_exercise(tmp_path, ENDLESS)
    run = subprocess.Popen(command(tmp_path, server(tmp_path), "-n3"), cwd=tmp_path,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           start_new_session=True)
    try:
        assert await_true(lambda: bool(told(tmp_path)), 20)
        below = processes.descendants(run.pid)
        send(run.pid, number)
        assert run.wait(10) == code
    finally:
        run.kill()
    assert told(tmp_path)[0][3] in below
    assert await_true(lambda: not any(map(processes.alive, below)), 10)


def test_the_first_failure_may_end_it(tmp_path: Path) -> None:
    failing = HEAVY.replace('tell(fixture, "light", 0.1)', 'raise CheckFailed("no")')
    graded = grade(tmp_path, failing.replace("0.3", "3"), "-n3", "-x")
    assert graded.result("test_light") == "fail", graded.output
    assert not (tmp_path / "server.py.told").exists(), graded.output
    assert graded.code == 3, "a check that did not run is inconclusive"


@pytest.mark.parametrize("wanted", ["-n-1", "-nx"])
def test_a_number_that_cannot_be_is_refused(tmp_path: Path, wanted: str) -> None:
    graded = grade(tmp_path, HEAVY, wanted)
    assert graded.code == 4 and "a whole number from 0 on is wanted" in graded.output
