"""The report for programs: one JSON file."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.system.files import write_whole


def write(path: Path, report: dict[str, Any]) -> None:
    write_whole(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
