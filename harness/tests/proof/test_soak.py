"""Repeated gradings: what is planned, what is counted, and what an outcome is called."""
from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.grading import run_check
from harness.proof import (
    build_programs, choose_programs, grade_program, machine_load, soak, soak_counts,
)
from harness.proof.wrong_program import Wrong
from harness.system import processes
from harness.system.places import ROOT

EXERCISE = build_programs.Exercise(1, "ex1_graceful_shutdown", ())
SOLUTION = grade_program.Subject(EXERCISE, "solution", "the solution", "build/bin/ex1-solution")
STARTER = grade_program.Subject(EXERCISE, "starter", "the starter", "build/bin/ex1")
WRONG = grade_program.Subject(EXERCISE, "wrong", "no-deadline", "x", Wrong("no-deadline", "", 4, (), "timer", {5: "it follows"}))


def report(results: dict[int, str], likely: str = "no timer") -> dict[str, Any]:
    def group(number: int, result: str) -> dict[str, Any]:
        check = {"id": f"TestItem{number}::test_it", "result": result, "likely": likely, "seen": "what was seen"}
        return {"item": number, "result": result, "checks": [check]}

    items = [group(number, results.get(number, "pass")) for number in grade_program.ITEMS]
    return {"seconds": 1.0, "items": items, "common": group(0, results.get(0, "pass"))}


@pytest.mark.parametrize("subject, results, outcome", [
    (SOLUTION, {}, "right"),
    (SOLUTION, {2: "fail"}, "false refusal"),
    (SOLUTION, {0: "fail"}, "false refusal"),
    (SOLUTION, {3: "inconclusive"}, "inconclusive"),
    (SOLUTION, {3: "inconclusive", 4: "fail"}, "false refusal"),
    (STARTER, {1: "fail", 2: "skipped", 3: "skipped", 4: "fail", 5: "skipped"}, "right"),
    (STARTER, {1: "fail", 2: "skipped", 3: "skipped", 4: "fail"}, "false acceptance"),
    (WRONG, {4: "fail", 5: "fail"}, "right"),
    (WRONG, {4: "fail", 5: "skipped"}, "right"),
    (WRONG, {5: "fail"}, "false acceptance"),
    (WRONG, {4: "inconclusive", 5: "fail"}, "inconclusive"),
    (WRONG, {4: "fail"}, "right"),
    (WRONG, {4: "fail", 5: "inconclusive"}, "inconclusive"),
    (WRONG, {1: "fail", 4: "fail", 5: "fail"}, "false refusal"),
])
def test_an_outcome_is_called_by_its_name(subject: grade_program.Subject, results: dict[int, str], outcome: str) -> None:
    verdict = grade_program.Verdict(subject)
    grade_program.judge(verdict, report(results), grade_program.How())
    assert verdict.outcome == outcome, verdict.faults
    assert bool(verdict.faults) == (outcome != "right")


def test_a_failure_must_name_the_mistake() -> None:
    verdict = grade_program.Verdict(WRONG)
    grade_program.judge(verdict, report({4: "fail", 5: "fail"}, likely="something else"), grade_program.How())
    assert verdict.outcome == "unexplained"


def test_a_fault_of_the_harness_is_not_called_inconclusive() -> None:
    verdict = grade_program.Verdict(SOLUTION)
    told = report({3: "inconclusive"})
    told["items"][2]["checks"][0]["seen"] = run_check.harness_fault(KeyError("x"))
    grade_program.judge(verdict, told, grade_program.How())
    assert verdict.outcome == "harness fault" and "harness fault" in soak_counts.FALSE


def test_of_a_wrong_program_only_its_item_can_be_asked_for() -> None:
    verdict = grade_program.Verdict(WRONG)
    grade_program.judge(verdict, report({4: "fail", 1: "fail"}), grade_program.How(item_only=True))
    assert verdict.outcome == "right"


@pytest.mark.parametrize("events, tries, bound", [(0, 300, 0.00994), (0, 1, 0.95), (1, 20, 0.21611), (3, 100, 0.07571), (5, 5, 1.0)])
def test_the_upper_bound(events: int, tries: int, bound: float) -> None:
    """Figures from tables of exact binomial limits; for no event the rule of three is near."""
    assert soak_counts.upper_bound(events, tries) == pytest.approx(bound, abs=1e-4)


def test_series_add_up(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    for outcome, state in (("right", "idle, 2 cores"), ("right", "cpu, 1 core"), ("inconclusive", "cpu, 1 core")):
        counts = soak_counts.read(file)
        verdict = grade_program.Verdict(SOLUTION)
        if outcome != "right":
            verdict.note(outcome, "why")
        counts.add(verdict, state)
        soak_counts.write(counts, file)
    counts = soak_counts.read(file)
    assert counts.sums() == Counter({"right": 2, "inconclusive": 1, "all": 3})
    assert counts.sums("solution", "cpu")["all"] == 2 and counts.sums("wrong")["all"] == 0
    assert [one["faults"] for one in counts.noted] == [["why"]]
    assert [row[:6] for row in soak_counts.rows(counts)][-1] == ["all", "all", "3", "0", "63.16%", "1"]


def test_the_upper_bound_of_many() -> None:
    assert 0.12 < soak_counts.upper_bound(240, 2000) < 0.14 and soak_counts.upper_bound(0, 100_000) < 0.00004


def test_two_series_do_not_write_to_the_same_place(tmp_path: Path) -> None:
    with soak_counts.kept_in(tmp_path / "soak.json"):
        with pytest.raises(ValueError, match="another series"), soak_counts.kept_in(tmp_path / "other.json"):
            pass
    with soak_counts.kept_in(tmp_path / "soak.json"):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"other": 1}'])
def test_a_file_of_something_else_is_not_overwritten(text: str, tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="holds no counts"):
        soak_counts.read(file)


@pytest.mark.parametrize("runs", [1, 2, 7, 12])
def test_each_program_is_graded_as_often_as_was_asked_and_half_of_it_without_load(runs: int) -> None:
    rounds = soak.plan([SOLUTION, STARTER], runs, list(machine_load.LOADS), soak_counts.Tally())
    gradings = [(load, subject.kind, state) for load, some in rounds for subject, state in some]
    assert Counter(kind for _, kind, _ in gradings) == {"solution": runs, "starter": runs}
    assert all(state.load == load for load, _, state in gradings)
    assert sum(load == "idle" for load, _, _ in gradings) == 2 * ((runs + 1) // 2)
    if runs == 12:
        assert {state for _, _, state in gradings} == set(machine_load.STATES)
    assert max(len(some) for _, some in rounds) <= soak.ROUND


def test_a_series_goes_on_where_another_ended() -> None:
    """What is counted is not graded again."""
    counts = soak_counts.Tally()
    for state in ("idle, 2 cores", "idle, 2 cores", "idle, 2 cores", "cpu, 2 cores"):
        counts.add(grade_program.Verdict(SOLUTION), state)
    rounds = soak.plan([SOLUTION, STARTER], 4, list(machine_load.LOADS), counts)
    left = Counter((subject.kind, state.shown) for _, some in rounds for subject, state in some)
    assert left == Counter([("solution", "idle, 1 core"), ("solution", "memory, 2 cores"), ("starter", "idle, 2 cores"), ("starter", "idle, 1 core"),
                            ("starter", "cpu, 2 cores"), ("starter", "memory, 2 cores")])


def test_the_load_is_there_meanwhile_and_ends() -> None:
    me = os.getpid()
    before = processes.children(me)
    with machine_load.loaded("cpu") as there:
        [stress] = [pid for pid in processes.children(me) if pid not in before]
        while len(burners := processes.children(stress)) < 2:
            assert there()
            time.sleep(0.01)
    assert not there()
    until = time.monotonic() + 5
    while any(map(processes.alive, (stress, *burners))):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_no_load_starts_nothing() -> None:
    before = processes.children(os.getpid())
    with machine_load.loaded("idle") as there:
        assert there() and processes.children(os.getpid()) == before


def test_a_word_that_is_not_known_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="there is no load sun; there are: idle, cpu, memory"):
        choose_programs.listed("cpu,sun", list(machine_load.LOADS), "load")
    with pytest.raises(SystemExit, match="there is no exercise 7; there are: 1, 2, 3, 4, 5"):
        choose_programs.choose(argparse.Namespace(only="7", kind="", name=None))


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_series_keeps_its_counts(ended_by: signal.Signals, tmp_path: Path) -> None:
    """It is graded without being built: a starter that is not there has no result, which is inconclusive."""
    file = tmp_path / "soak.json"
    code = ("import sys; from harness.proof import soak, choose_programs, grade_program, build_programs\n"
            "none = grade_program.Subject(build_programs.exercises()[0], 'starter', 'none', 'build/bin/none')\n"
            "choose_programs.choose = lambda wanted: [none]\n"
            "sys.exit(soak.main())")
    words = [sys.executable, "-c", code, "--runs", "500", "--load", "idle", "--jobs", "1", "--file", str(file)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as series:
        assert series.stdout
        first = series.stdout.readline()
        series.send_signal(ended_by)
        rest = series.communicate(timeout=60)[0]
    assert re.fullmatch(r" *1 of 500: exercise 1, none \(idle, [12] cores?\): inconclusive, 0.0 s\n", first)
    assert series.returncode == 130 and "0 wrong verdicts" in rest
    assert 1 <= soak_counts.read(file).sums()["inconclusive"] < 500
