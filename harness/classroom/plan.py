"""What is to be graded in a folder OUT: a list that is made once, and read by all who grade."""
from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.classroom.results import FINAL, Result, Submission, kit_version, read as read_result
from harness.system.files import write_whole

BOOKS = ".class"
"""The folder in OUT with what concerns all submissions."""
FILE = "plan.json"
SOURCE = "main.cpp"
"""In the folder of a submission: the source that is graded."""


def write(submissions: list[Submission], out: Path) -> None:
    for submission in submissions:
        folder = out / submission.folder
        folder.mkdir(parents=True, exist_ok=True)
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
    write_whole(books / FILE, json.dumps(listed, indent=1, ensure_ascii=False) + "\n")


def read(out: Path) -> list[Submission]:
    listed = json.loads((out / BOOKS / FILE).read_text(encoding="utf-8"))
    return [with_source(fields, out) for fields in listed]


def with_source(fields: dict[str, Any], out: Path) -> Submission:
    file = out / fields["folder"] / SOURCE
    source = file.read_bytes() if file.is_file() and not fields["problem"] else None
    return Submission(**fields, source=source)


def is_about(result: Result, submission: Submission) -> bool:
    """Whether the result is of this source, by this version of the kit."""
    return (result.source == submission.checksum
            and result.kit == kit_version(submission.exercise))


def lacking(submissions: list[Submission], out: Path) -> list[int]:
    """The places in the plan of those that have no final result."""
    found = []
    for number, submission in enumerate(submissions):
        result = read_result(out / submission.folder)
        if result is None or result.state not in FINAL or not is_about(result, submission):
            found.append(number)
    return found
