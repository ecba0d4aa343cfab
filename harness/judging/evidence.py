"""What a cluster has left to judge by, beside the events of the check."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.judging.events import Line


@dataclass(frozen=True)
class Evidence:
    master: int
    """Its pid."""
    exit_code: int | None
    """The master's, negative for a signal; None while it runs."""
    lines: list[Line]
    """What the program wrote."""
    journal: list[dict[str, Any]]
