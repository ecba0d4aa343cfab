"""index.html: the whole class on one page, for the instructor alone."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import jinja2

from harness.classroom import similar
from harness.classroom.grades_file import number
from harness.classroom.points import Points
from harness.classroom.results import STATES, Result, Submission
from harness.system.files import write_whole
from harness.system.places import ROOT
from harness.telling.visible import visible

FILE = "index.html"
ASSETS = Path(__file__).parent / "assets"
ITEMS = (1, 2, 3, 4, 5, 0)
MARKS = {"pass": "✓", "fail": "✗", "skipped": "–", "inconclusive": "?", "": ""}
"""A colour is never the only sign."""
MOST_CAUSES = 20


@dataclass(frozen=True)
class Bar:
    title: str
    count: int
    of: int

    @property
    def share(self) -> float:
        return 100 * self.count / self.of if self.of else 0.0


def write(submissions: list[Submission], graded: list[tuple[Submission, Result]], points: Points,
          folder: Path) -> None:
    """`graded`: those of the submissions that have a result."""
    found = [result for _, result in graded]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ASSETS), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template("overview.html").render(
        rows=[row(result, submission, points) for submission, result in graded],
        states=[(state, count, STATES[state]) for state, count in
                Counter(one.state for one in found).most_common()],
        missing=len(submissions) - len(found), bars=bars(found), causes=causes(found),
        isolations=Counter(one.isolation for one in found if one.items),
        seconds=durations(found), pairs=alike(submissions), marks=MARKS, items=ITEMS)
    write_whole(folder / FILE, page)


def row(result: Result, submission: Submission, points: Points) -> dict[str, Any]:
    items = {one["item"]: one for one in result.items}
    return {"student": visible(result.student), "exercise": result.exercise or "?",
            "page": f"{quote(submission.folder)}/report.html", "state": result.state,
            "sentence": result.sentence, "points": number(points.reached(result)),
            "of": number(points.most(result.exercise)), "notes": result.honesty,
            "items": [items.get(item, {"result": "", "why": ""}) for item in ITEMS],
            "seconds": f"{sum(result.seconds.values()):.0f}"}


def bars(found: list[Result]) -> list[Bar]:
    """How many fail at each item, of those that have a verdict on it."""
    counts: dict[tuple[int, int, str], Counter[str]] = {}
    for result in found:
        for one in result.items:
            key = (result.exercise, one["item"], one["title"])
            counts.setdefault(key, Counter())[one["result"]] += 1
    return [Bar(f"exercise {exercise}, {f'item {item}: ' if item else ''}{title}",
                results["fail"], results["fail"] + results["pass"])
            for (exercise, item, title), results in sorted(counts.items())]


def causes(found: list[Result]) -> list[tuple[int, str]]:
    """How often each cause was named, the most frequent first."""
    named = Counter(visible(one["why"]) for result in found for one in result.items
                    if one["result"] == "fail")
    return [(count, why) for why, count in named.most_common(MOST_CAUSES)]


def durations(found: list[Result]) -> list[tuple[str, str, str]]:
    """What takes how long: the median and the longest, in seconds."""
    listed = []
    for what in ("build", "grading"):
        taken = [one.seconds[what] for one in found if what in one.seconds]
        if taken:
            listed.append((what, f"{median(taken):.1f}", f"{max(taken):.1f}"))
    return listed


def alike(submissions: list[Submission]) -> list[dict[str, Any]]:
    listed = []
    for exercise in sorted({one.exercise for one in submissions if one.source is not None}):
        own = [one for one in submissions if one.exercise == exercise and one.source is not None]
        starter = next(ROOT.glob(f"exercises/ex{exercise}_*/main.cpp")).read_text(encoding="utf-8")
        texts = [(one.source or b"").decode(errors="replace") for one in own]
        listed += [{"exercise": exercise, "share": f"{pair.share:.0%}",
                    "students": [visible(own[pair.one].student), visible(own[pair.other].student)]}
                   for pair in similar.pairs(texts, starter)]
    return listed
