"""What a learner has reached, kept in one small file, build/progress.json:

    {"1": {"graded": "2026-11-26 12:30",              when the starter was last graded as a whole
           "results": {"1": "pass", "2": "fail"},     what its items got then
           "failed": [{"check": "TestItem2…::test_…", "item": 2, "title": "…"}],
                                                      what failed when last tried, be it in a part of a grading; in the checklist's order,
                                                      what a whole grading could not judge behind what has failed in it
           "hints": {"2": 1},                         how many hints were given for an item (0: common ground)
           "earned": false,                           all items have passed once
           "agreed": false}}                          the learner has asked for the solution before that

A file that cannot be read, or a field that is missing or of another form, counts as no progress.
CLUSTER_PROGRESS names another file; tests use it.
"""
from __future__ import annotations

import fcntl
import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator

from harness.judging.checklist import COMMON, Checklist
from harness.judging.verdict import Record
from harness.system.files import write_whole
from harness.system.places import ROOT

FILE = "CLUSTER_PROGRESS"


@dataclass(frozen=True)
class Failure:
    check: str
    item: int
    title: str


@dataclass
class Standing:
    """How far an exercise is."""

    graded: str = ""
    results: dict[str, str] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=dict)
    earned: bool = False
    agreed: bool = False

    @property
    def passed(self) -> int:
        return list(self.results.values()).count("pass")


def place() -> Path:
    return Path(os.environ.get(FILE) or ROOT / "build/progress.json")


def load() -> dict[str, Standing]:
    """Exercise → standing, for those that were graded."""
    try:
        found = json.loads(place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {number: read(entry) for number, entry in mapping(found).items()}


def of(number: int) -> Standing:
    return load().get(str(number), Standing())


@contextmanager
def changing(number: int) -> Iterator[Standing]:
    """A standing that is kept when it has been changed. Others who want to change the file wait meanwhile."""
    target = place()
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        everything = load()
        yield everything.setdefault(str(number), Standing())
        write_whole(target, json.dumps({key: asdict(one) for key, one in everything.items()}, indent=1) + "\n")
    finally:
        os.close(folder)


def record(checklist: Checklist) -> None:
    """Take a grading of the learner's own program into account. Only a whole one changes what counts."""
    try:
        with changing(checklist.exercise.number) as standing:
            take(standing, checklist)
    except OSError as why:
        print(f"your progress is not kept: {why}", file=sys.stderr)


def take(standing: Standing, checklist: Checklist) -> None:
    tried = [one for item in checklist.items for one in item.records.values()]
    if checklist.whole:
        standing.graded = datetime.now().strftime("%Y-%m-%d %H:%M")
        standing.results = {str(item.number): str(item.result) for item in checklist.counted}
        standing.earned = standing.earned or checklist.passed == len(checklist.counted)
        there = {id_ for item in checklist.items for id_ in item.planned}
        standing.failed = [one for one in standing.failed if one.check in there]
    standing.failed = still_failed(standing.failed, tried, checklist.order, checklist.whole)


def still_failed(before: list[Failure], tried: list[Record], order: list[str], whole: bool) -> list[Failure]:
    """What was not judged now stays as it was: behind what has failed now, if `whole` was graded. `order` is that of the checklist."""
    judged = {one.id for one in tried if one.result in ("pass", "fail")}
    found = [one for one in before if one.check not in judged]
    found += [Failure(one.id, one.item, one.title) for one in tried if one.result == "fail"]
    place_of = {check: number for number, check in enumerate(order)}
    return sorted(found, key=lambda one: (whole and one.check not in judged, one.item if one.item != COMMON else sys.maxsize,
                                          place_of.get(one.check, sys.maxsize)))


# ----- reading what an older kit, or a hand, may have written


def read(entry: object) -> Standing:
    fields = mapping(entry)
    failed = fields.get("failed")
    return Standing(
        graded=text(fields.get("graded")),
        results={key: text(value) for key, value in mapping(fields.get("results")).items()},
        failed=[Failure(text(one.get("check")), count(one.get("item")), text(one.get("title")))
                for one in (failed if isinstance(failed, list) else []) if isinstance(one, dict)],
        hints={key: count(value) for key, value in mapping(fields.get("hints")).items()},
        earned=fields.get("earned") is True,
        agreed=fields.get("agreed") is True)


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
