"""Repeated gradings: which are planned, and what becomes of a series that is interrupted."""
from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.proof import choose_programs, machine_load, soak, soak_counts
from harness.proof.grade_program import Verdict
from harness.system.places import ROOT
from harness.tests.proof.subjects import SOLUTION, STARTER

LOADS = list(machine_load.LOADS)
SERIES_OF_NONE = """
import sys
from harness.proof import build_programs, choose_programs, grade_program, soak
none = grade_program.Subject(build_programs.exercises()[0], 'starter', 'none', 'build/bin/none')
choose_programs.choose = lambda wanted: [none]
sys.exit(soak.main())
"""


@pytest.mark.parametrize("runs", [1, 2, 7, 12])
def test_each_program_is_graded_as_often_as_was_asked_and_half_of_it_without_load(runs: int
                                                                                  ) -> None:
    rounds = soak.plan([SOLUTION, STARTER], runs, LOADS, soak_counts.Tally())
    gradings = [(load, subject.kind, state) for load, some in rounds for subject, state in some]
    assert Counter(kind for _, kind, _ in gradings) == {"solution": runs, "starter": runs}
    assert all(state.load == load for load, _, state in gradings)
    assert sum(load == "idle" for load, _, _ in gradings) == 2 * ((runs + 1) // 2)
    if runs == 12:
        assert {state for _, _, state in gradings} == set(machine_load.STATES)
    assert max(len(some) for _, some in rounds) <= soak.ROUND


def test_a_series_goes_on_where_another_ended() -> None:
    """A grading that is counted is not made again."""
    counts = soak_counts.Tally()
    for state in ("idle, 2 cores", "idle, 2 cores", "idle, 2 cores", "cpu, 2 cores"):
        counts.add(Verdict(SOLUTION), state)
    rounds = soak.plan([SOLUTION, STARTER], 4, LOADS, counts)
    left = Counter((subject.kind, state.shown) for _, some in rounds for subject, state in some)
    assert left == Counter([
        ("solution", "idle, 1 core"), ("solution", "memory, 2 cores"),
        ("starter", "idle, 2 cores"), ("starter", "idle, 1 core"),
        ("starter", "cpu, 2 cores"), ("starter", "memory, 2 cores")])


def test_a_word_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(SystemExit, match="there is no load sun; there are: idle, cpu, memory"):
        choose_programs.listed("cpu,sun", LOADS, "load")
    with pytest.raises(SystemExit, match="there is no exercise 7; there are: 1, 2, 3, 4, 5"):
        choose_programs.choose(argparse.Namespace(only="7", kind="", name=None))


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_series_keeps_its_counts(ended_by: signal.Signals, tmp_path: Path) -> None:
    """It is graded without being built: a starter that is not there has no result, which is
    inconclusive."""
    file = tmp_path / "soak.json"
    words = [sys.executable, "-c", SERIES_OF_NONE, "--runs", "500", "--load", "idle", "--jobs", "1",
             "--file", str(file)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as series:
        assert series.stdout
        first = series.stdout.readline()
        series.send_signal(ended_by)
        rest = series.communicate(timeout=60)[0]
    assert re.fullmatch(r" *1 of 500: exercise 1, none \(idle, [12] cores?\): inconclusive, 0.0 s"
                        r"\n", first)
    assert series.returncode == 130 and "0 wrong verdicts" in rest
    assert 1 <= soak_counts.read(file).sums()["inconclusive"] < 500
