"""The evidence that a cluster leaves, beside the events of the check."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.judging.events import Line


@dataclass(frozen=True)
class Evidence:
    master: int
    """The pid of the master."""
    exit_code: int | None
    """Of the master, negative for a signal; None while it runs."""
    lines: list[Line]
    """The program's output."""
    journal: list[dict[str, Any]]
