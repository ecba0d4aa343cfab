"""The report for programs: one JSON file."""
from __future__ import annotations

import json
from pathlib import Path

from harness.judging.checklist import Checklist
from harness.judging.report import as_json
from harness.system.files import write_whole


def write(path: Path, checklist: Checklist, program: str, seconds: float) -> None:
    report = as_json(checklist, program, seconds)
    write_whole(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
