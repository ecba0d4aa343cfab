"""Grades one main.cpp, and writes the result in the form of another system.

Usage: .ci/python -m harness.classroom.one_submission --exercise 1 --format gradescope
       --file results.json main.cpp
The graders of other systems call it: each submission has a container of its own there. Exit code 0
when there is a result (which may well be that nothing passes), 3 when nothing can be said.
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Callable

from harness.classroom import build_submission, formats, grade_submission, plan, points, results
from harness.classroom.archives import open_any
from harness.classroom.find_submissions import of_entry, of_folder, source
from harness.classroom.points import Points
from harness.classroom.results import Result, Submission
from harness.classroom.sources import Files, Unreadable, is_one
from harness.system.files import write_whole

AGAIN = 2
"""How often more it is graded if it is inconclusive."""


def as_json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Result, Points], str]] = {
    "gradescope": lambda result, worth: as_json(formats.gradescope(result, worth)),
    "github": formats.github_classroom,
    "prairielearn": lambda result, worth: as_json(formats.prairielearn(result, worth)),
    "check50": lambda result, _: as_json(formats.check50(result)),
    "junit": lambda result, _: formats.junit([result]),
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Grades one submission for another system.")
    parser.add_argument("submission", type=Path, help="main.cpp, or a folder with it")
    parser.add_argument("--exercise", type=int, choices=range(1, 6), required=True)
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--file", type=Path, required=True, help="where the result goes")
    parser.add_argument("--points", type=Path, help="what each item is worth (points.toml)")
    return parser.parse_args()


def found_in(place: Path, exercise: int) -> Submission:
    """A folder, an archive, or the source itself. Raises OSError."""
    files: Files | str
    try:
        if place.is_dir():
            files = of_folder(place)
        elif is_one(place.name):
            files = open_any(place)
        else:
            files = {"main.cpp": source(place.parent, place.name)}
    except Unreadable as why:
        files = str(why)
    return of_entry("submission", {}, files, exercise, set())[0]


def main() -> int:
    asked = options()
    try:
        worth = points.read(asked.points) if asked.points else Points()
        submission = found_in(asked.submission, asked.exercise)
        build_submission.prepare(asked.exercise)
    except (points.NoPoints, build_submission.NoTree, OSError) as why:
        print(f"error: {why}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        plan.write([submission], out)
        result: Result | None = None
        for _ in range(1 + AGAIN):
            result = grade_submission.grade(submission, out / submission.folder, result,
                                            force=True)
            if result.state in results.FINAL:
                break
    assert result is not None
    write_whole(asked.file, FORMATS[asked.format](result, worth))
    print(f"{result.state}: {result.sentence}")
    return 0 if result.state in results.FINAL else 3


if __name__ == "__main__":
    sys.exit(main())
