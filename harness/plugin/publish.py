"""The report that a grading leaves: the page with the pictures, and the same as a trace."""
from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from harness.judging.checklist import Checklist
from harness.picture import report_page
from harness.telling import perfetto_trace

PAGE, TRACE = "index.html", "trace.json"


def publish(folder: Path, checklist: Checklist, report: dict[str, Any],
            timeline: Callable[[str], dict[str, Any] | None]) -> str:
    """Write both; returns a line that says where they are, or why they were not written."""
    found: dict[str, Any] = {**report, "part": not checklist.whole}
    records = {id_: record for item in checklist.items for id_, record in item.records.items()}
    for group in (*found["items"], found["common"]):
        for check in group["checks"]:
            record = records.get(check["id"])
            check["done"], check["notes"] = (record.done, record.notes) if record else ([], [])
            check["trace"] = record.trace if record else ""
            check["timeline"] = timeline(check["id"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            perfetto_trace.write(folder / TRACE, found)
            (folder / PAGE).unlink(missing_ok=True)  # an old one would be taken for this grading's
            report_page.write(folder / PAGE, found)
    except report_page.NoLibrary as why:
        return f"No pictures were written: {why}"
    except Exception as fault:  # the verdict stands without a report
        return f"No report was written: {type(fault).__name__}: {fault}"
    page = (folder / PAGE).resolve()
    page = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
    return f"What happened in each check, as pictures: {page}"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Of gradings that end at the same moment each leaves its page and its trace together."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
