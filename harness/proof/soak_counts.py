"""Counts of repeated gradings, in one file to which every series adds.

{"seconds": 812.5,
 "counts": {"1 the solution": {"kind": "solution",
                               "states": {"idle, 2 cores": {"right": 12, "inconclusive": 1}}}},
 "noted": [{"program": "1 the solution", "state": "idle, 2 cores", "outcome": "inconclusive",
            "faults": ["…"]}]}
"""
from __future__ import annotations

import fcntl
import json
import math
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from harness.proof.grade_program import Subject, Verdict
from harness.system.files import write_whole

FALSE = ("unexplained", "harness fault", "false acceptance", "false refusal")
CERTAINTY = 0.95
KEPT = Path(__file__).with_name("soak.json")
"""The counts that PROOF.md shows."""


@dataclass
class Tally:
    seconds: float = 0.0
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    noted: list[dict[str, Any]] = field(default_factory=list)
    """The gradings that were not right, in full: somebody has to explain each."""

    def add(self, verdict: Verdict, state: str) -> None:
        program = name_of(verdict.subject)
        own = self.counts.setdefault(program, {"kind": verdict.subject.kind, "states": {}})
        outcomes = own["states"].setdefault(state, {})
        outcomes[verdict.outcome] = outcomes.get(verdict.outcome, 0) + 1
        if verdict.outcome != "right":
            self.noted.append({"program": program, "state": state, "outcome": verdict.outcome,
                               "faults": verdict.faults})

    def graded(self, subject: Subject) -> Counter[str]:
        """State → gradings of that program in it."""
        states = self.counts.get(name_of(subject), {"states": {}})["states"]
        return Counter({state: sum(outcomes.values()) for state, outcomes in states.items()})

    def sums(self, kind: str | None = None, load: str | None = None) -> Counter[str]:
        """Outcome → gradings of that kind of program under that load (all if None).

        "all" is their sum.
        """
        found: Counter[str] = Counter()
        for one in self.counts.values():
            for state, outcomes in one["states"].items():
                if kind in (None, one["kind"]) and load in (None, state.partition(",")[0]):
                    found.update(outcomes)
        found["all"] = found.total()
        return found

    def kinds(self) -> list[str]:
        return sorted({one["kind"] for one in self.counts.values()})


def name_of(subject: Subject) -> str:
    return f"{subject.exercise.number} {subject.name}"


def false_ones(sums: Counter[str]) -> int:
    return sum(sums[outcome] for outcome in FALSE)


def read(file: Path) -> Tally:
    """An empty tally if there is no such file; raises ValueError if it holds something else."""
    if not file.exists():
        return Tally()
    try:
        return Tally(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ValueError(f"{file} holds no counts of gradings: give another file, or move it "
                         "away") from None


def write(tally: Tally, file: Path) -> None:
    """Whole or not at all: a series may be ended at any moment."""
    write_whole(file, json.dumps(vars(tally), indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def kept_in(file: Path) -> Iterator[None]:
    """Only one series at a time counts in a folder. Raises ValueError if there is one already."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"another series keeps its counts in {file.parent} just now") from None
    finally:
        os.close(folder)


def upper_bound(events: int, tries: int) -> float:
    """The rate that is not exceeded with 95 % certainty, from so many events in so many tries.

    By Clopper and Pearson, "The use of confidence or fiducial limits", 1934, one-sided. For no
    event it is 1 - 0.05^(1/n), which the rule of three rounds to 3/n.
    """
    if events >= tries:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        rate = (low + high) / 2
        low, high = (rate, high) if at_most(events, tries, rate) > 1 - CERTAINTY else (low, rate)
    return high


def at_most(events: int, tries: int, rate: float) -> float:
    """How likely so few events are in so many tries.

    By logarithms: the coefficients alone are beyond any float.
    """
    ways = [math.lgamma(tries + 1) - math.lgamma(k + 1) - math.lgamma(tries - k + 1)
            for k in range(events + 1)]
    return math.fsum(math.exp(way + k * math.log(rate) + (tries - k) * math.log1p(-rate))
                     for k, way in enumerate(ways))


def rows(tally: Tally) -> list[list[str]]:
    """For each kind of program, idle and loaded, and in all: gradings, false verdicts, the bound of
    their rate, inconclusive ones, the bound of theirs."""
    found = []
    for kind in (*tally.kinds(), None):
        for load in ("idle", "cpu", "memory", None):
            sums = tally.sums(kind, load)
            total, false, unsaid = sums["all"], false_ones(sums), sums["inconclusive"]
            if total and (kind or not load):
                found.append([kind or "all", load or "all", f"{total:,}", str(false),
                              rate(false, total), str(unsaid), rate(unsaid, total)])
    return found


HEADINGS = ("programs", "load", "gradings", "false verdicts", "rate at most (95 %)",
            "inconclusive", "rate at most (95 %)")


def rate(events: int, tries: int) -> str:
    return f"{upper_bound(events, tries):.2%}"
