"""grades.csv: a row for each submission, in the order of the names."""
from __future__ import annotations

import csv
import io
from pathlib import Path

from harness.classroom.points import Points
from harness.classroom.results import Result, Submission
from harness.system.files import write_whole

FILE = "grades.csv"
HEADINGS = ("student", "number", "folder", "exercise", "points", "of", "state", "item 1", "item 2",
            "item 3", "item 4", "item 5", "common ground", "sentence")
"""`number`: by which the system knows the student that the submission came from; `folder`: in OUT.
Two students may have the same name."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet."""


def write(graded: list[tuple[Submission, Result]], points: Points, out: Path) -> None:
    write_whole(out / FILE, table([HEADINGS, *(row(*one, points) for one in graded)]))


def row(submission: Submission, result: Result, points: Points) -> tuple[str, ...]:
    by_item = {one["item"]: one["result"] for one in result.items}
    system_number = next(iter(submission.ids.values()), "")
    return (result.student, system_number, submission.folder, str(result.exercise or ""),
            number(points.reached(result)), number(points.most(result.exercise)), result.state,
            *(by_item.get(item, "") for item in (1, 2, 3, 4, 5, 0)), result.sentence)


def table(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[safe(cell) for cell in one] for one in rows])
    return text.getvalue()


def safe(cell: str) -> str:
    """Text for a spreadsheet, whatever it is: see OWASP, "CSV injection"."""
    text = " ".join(cell.splitlines())
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def number(points: float | None) -> str:
    return "" if points is None else f"{points:g}"
