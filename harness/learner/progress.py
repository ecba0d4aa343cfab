"""What a learner has reached, kept in one small file, build/progress.json:

    {"1": {"graded": "2026-11-26 12:30",
           "results": {"1": "pass", "2": "fail"},
           "failed": [{"check": "TestItem2…::test_…", "item": 2, "title": "…"}],
           "hints": {"2": 1},
           "earned": false,
           "agreed": false}}

graded   when the starter was last graded as a whole
results  what its items got then
failed   the checks that failed when they were last tried, be it in a part of a grading; in the
         checklist's order, but behind the others those that a whole grading could not judge
hints    how many hints were given for an item (0: common ground)
earned   all items have passed once
agreed   the learner has asked for the solution before that

A field that is missing or of another form counts as no progress. Fields that this kit does not know
stay as they are. A file that is damaged is kept as progress.json.bad, and the user is told.
CLUSTER_PROGRESS names another file; tests use it.
"""
from __future__ import annotations

import fcntl
import itertools
import json
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Iterator

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
    """How far the learner is with an exercise."""

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


def load() -> dict[str, Any]:
    """Exercise → its entry, as it stands in the file."""
    try:
        found = json.loads(place().read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        keep_damaged(place())
        return {}
    return found


def keep_damaged(file: Path) -> None:
    names = (f"{file.name}.bad{number or ''}" for number in itertools.count())
    kept = next(path for path in map(file.with_name, names) if not path.exists())
    with suppress(OSError):
        file.replace(kept)
        print(f"{file} is damaged, so your progress begins anew; what was there: {kept}",
              file=sys.stderr)


def of(number: int) -> Standing:
    return read(load().get(str(number)))


@contextmanager
def changing(number: int) -> Iterator[Standing]:
    """A standing to change: it is written at the end. Others who change the file wait meanwhile."""
    target = place()
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        everything = load()
        standing = read(everything.get(str(number)))
        yield standing
        everything[str(number)] = {**mapping(everything.get(str(number))), **asdict(standing)}
        write_whole(target, json.dumps(everything, indent=1) + "\n")
    finally:
        os.close(folder)


def note(number: int, change: Callable[[Standing], None]) -> None:
    """Change a standing, if the file can be written; otherwise say that it cannot."""
    try:
        with changing(number) as standing:
            change(standing)
    except OSError as why:
        print(f"your progress is not kept: {why}", file=sys.stderr)


def record(checklist: Checklist) -> None:
    """Note a grading of the learner's own program. Only a whole one changes the results."""
    note(checklist.exercise.number, lambda standing: take(standing, checklist))


def take(standing: Standing, checklist: Checklist) -> None:
    tried = [one for item in checklist.items for one in item.records.values()]
    if checklist.whole:
        standing.graded = datetime.now().strftime("%Y-%m-%d %H:%M")
        standing.results = {str(item.number): str(item.result) for item in checklist.counted}
        standing.earned = standing.earned or checklist.passed == len(checklist.counted)
        there = {id_ for item in checklist.items for id_ in item.planned}
        standing.failed = [one for one in standing.failed if one.check in there]
    standing.failed = still_failed(standing.failed, tried, checklist.order, checklist.whole)


def still_failed(before: list[Failure], tried: list[Record], order: list[str],
                 whole: bool) -> list[Failure]:
    """The failures after a grading, in the `order` of the checklist.

    A failure from before stays if its check was not judged now. After a `whole` grading it comes
    behind the failures of now.
    """
    judged = {one.id for one in tried if one.result in ("pass", "fail")}
    found = [one for one in before if one.check not in judged]
    found += [Failure(one.id, one.item, one.title) for one in tried if one.result == "fail"]
    place_of = {check: number for number, check in enumerate(order)}

    def rank(one: Failure) -> tuple[bool, int, int]:
        item = one.item if one.item != COMMON else sys.maxsize
        return whole and one.check not in judged, item, place_of.get(one.check, sys.maxsize)

    return sorted(found, key=rank)


# ----- reading what an older kit, or a person, may have written


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
