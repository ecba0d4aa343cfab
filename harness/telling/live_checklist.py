"""The checklist while it fills, drawn on a terminal: failures first, then the items, then what is waited for and since when."""
from __future__ import annotations

import time
from typing import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.judging.checklist import Checklist, Item
from harness.judging.verdict import Record
from harness.telling.styles import STYLES, WORDS, heading

FEWEST = 2
"""Lines that failures, and checks under way, get on even the lowest terminal."""


class LiveChecklist:
    """What is known so far; `draw` makes a picture of it that fits the terminal."""

    def __init__(self, checklist: Checklist) -> None:
        self.checklist, self.began = checklist, time.monotonic()
        self.running: dict[str, float] = {}
        """Check → when it was begun. Another thread draws what this one changes: it reads from copies."""
        self.failures: list[Record] = []
        """In the order in which they came."""

    def start(self, id_: str) -> None:
        self.running[id_] = time.monotonic()

    def end(self, record: Record) -> None:
        self.running.pop(record.id, None)
        self.failures += [record] if record.result == "fail" else []

    def draw(self, height: int) -> RenderableType:
        room = height - len(self.checklist.items) - 2
        waited = max(FEWEST, room - max(FEWEST, len(self.failures)))
        failures = cut([failure_line(one) for one in self.failures], max(FEWEST, room - min(waited, len(self.running))))
        return Group(*map(fitting, failures), self.items(), fitting(self.total()), *map(fitting, cut(list(self.waits()), waited)))

    def items(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True, min_width=len("10 of 10"))
        for item in self.checklist.items:
            table.add_row(so_far(item), Text(f"{len(item.records)} of {len(item.planned)}", style="dim"))
        return table

    def total(self) -> Text:
        done = sum(len(item.records) for item in self.checklist.items)
        planned = sum(len(item.planned) for item in self.checklist.items)
        return Text(f"{time.monotonic() - self.began:5.0f} s   {done} of {planned} checks done" + ("; under way:" if self.running else ""))

    def waits(self) -> Iterator[Text]:
        """The checks under way, the one that takes longest first."""
        titles = {id_: title for item in self.checklist.items for id_, title in item.planned.items()}
        for id_, since in sorted(list(self.running.items()), key=lambda one: one[1]):
            yield Text(f"{time.monotonic() - since:5.0f} s   {titles.get(id_, id_)}", style="dim")


def so_far(item: Item) -> Text:
    """Its line as at the end; an item has failed with its first failure."""
    failed = any(record.result == "fail" for record in list(item.records.values()))
    return heading(item, "fail" if failed else item.result)


def failure_line(record: Record) -> Text:
    where = f"item {record.item}: " if record.item else ""
    return Text(f"{WORDS['fail']}  {where}{record.title}", style=STYLES["fail"])


def cut(lines: list[Text], most: int) -> list[Text]:
    return lines if len(lines) <= most else lines[:most - 1] + [Text(f"… and {len(lines) - most + 1} more", style="dim")]


def fitting(line: Text) -> Text:
    """One line, however narrow the terminal is."""
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
