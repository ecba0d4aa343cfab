"""The program's journal as far as it can be trusted: entries whose fields have the right types, in
the order of time."""
from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any, Iterable

from harness.system.files import text_of

MOST_ENTRIES = 500_000
"""About as many as fit into a journal that is as long as it may be."""


@dataclass(frozen=True)
class Entry:
    t: float
    pid: int
    slot: int
    event: str
    fields: dict[str, Any]

    def whole(self, name: str) -> int | None:
        value = self.fields.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        return str(value) if isinstance(value, (str, int)) else ""

    @property
    def signal(self) -> str:
        """The name of the signal in a `signal` entry, or in the `exit` of a process that was
        killed."""
        number = self.whole("signal")
        if number is None:
            return self.text("name") or self.text("signal")
        try:
            return Signals(number).name
        except ValueError:
            return str(number)


def entries(raw: Iterable[dict[str, Any]], start: float, end: float) -> list[Entry]:
    found = []
    for one in raw:
        t, pid, slot, event = (one.get(name) for name in ("t", "pid", "worker", "event"))
        if (isinstance(t, (int, float)) and start - 1 <= t <= end + 1 and isinstance(pid, int)
                and isinstance(slot, int) and isinstance(event, str)):
            found.append(Entry(float(t), pid, slot, event, one))
    return sorted(found, key=lambda entry: entry.t)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The lines that are JSON objects. (A check of its own judges the other lines.)"""
    entries: list[dict[str, Any]] = []
    for line in io.StringIO(text_of(path)):
        if len(entries) >= MOST_ENTRIES:
            break
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries
