"""What is to be graded in a folder OUT: a list that is made once, and read by all who grade."""
from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.classroom.results import FILE as RESULT
from harness.classroom.results import FINAL, LEFT, Result, Submission, kit_version
from harness.classroom.results import read as read_result
from harness.system.files import write_whole

BOOKS = ".class"
"""The folder in OUT with what concerns all submissions."""
FILE = "plan.json"
KITS = "kits.json"
"""Exercise → the kit that is to grade it, see kit_version()."""
SOURCE = "main.cpp"
"""In the folder of a submission: the source that is graded."""


def write(submissions: list[Submission], out: Path) -> None:
    for submission in submissions:
        folder = out / submission.folder
        folder.mkdir(parents=True, exist_ok=True)
        result = read_result(folder)
        if result is not None and not is_about(result, submission):
            for name in (RESULT, *LEFT):  # the result first: without it the rest counts for nothing
                (folder / name).unlink(missing_ok=True)
        source = folder / SOURCE
        if submission.source is None:
            source.unlink(missing_ok=True)
        elif not source.exists() or source.read_bytes() != submission.source:
            partial = source.with_name(f".{SOURCE}")
            partial.write_bytes(submission.source)
            os.replace(partial, source)
    books = out / BOOKS
    books.mkdir(exist_ok=True)
    listed = [{name: value for name, value in asdict(one).items() if name != "source"}
              for one in submissions]
    kits = {one.exercise: kit_version(one.exercise) for one in submissions}
    write_whole(books / KITS, json.dumps(kits) + "\n")
    write_whole(books / FILE, json.dumps(listed, indent=1, ensure_ascii=False) + "\n")


def read(out: Path, number: int) -> Submission:
    """The one at that place."""
    fields: dict[str, Any] = json.loads((out / BOOKS / FILE).read_text(encoding="utf-8"))[number]
    file = out / fields["folder"] / SOURCE
    source = file.read_bytes() if file.is_file() and not fields["problem"] else None
    return Submission(**fields, source=source)


def kit(out: Path, exercise: int) -> str:
    return str(json.loads((out / BOOKS / KITS).read_text(encoding="utf-8"))[str(exercise)])


def is_about(result: Result, submission: Submission) -> bool:
    """Whether the result is of this source, or why there is none, by this version of the kit."""
    return (result.source == submission.checksum and result.kit == kit_version(submission.exercise)
            and (submission.source is not None or result.sentence == submission.problem))


def lacking(submissions: list[Submission], out: Path) -> list[int]:
    """The places in the plan of those that have no final result."""
    return [number for number, one in enumerate(submissions) if not has_final(one, out)]


def has_final(submission: Submission, out: Path) -> bool:
    result = read_result(out / submission.folder)
    return result is not None and result.state in FINAL and is_about(result, submission)
