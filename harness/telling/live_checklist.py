"""The checklist while it fills, drawn on a terminal.

Failures come first, then the items, then the checks under way with their seconds so far, then those
that wait for a second run.
"""
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
"""Lines for failures, and as many for checks under way, on even the lowest terminal."""


class LiveChecklist:
    """The results so far; `draw` shows them in no more lines than the terminal has."""

    def __init__(self, checklist: Checklist) -> None:
        self.checklist, self.began = checklist, time.monotonic()
        self.running: dict[str, float] = {}
        """Check → when it began. Another thread draws meanwhile: it reads from copies."""
        self.postponed: list[str] = []
        """Checks that have run once, and wait to run alone."""
        self.failures: list[Record] = []
        """In the order in which they came."""

    def start(self, id_: str) -> None:
        self.postponed = [other for other in self.postponed if other != id_]
        self.running[id_] = time.monotonic()

    def postpone(self, id_: str) -> None:
        self.running.pop(id_, None)
        self.postponed = [*self.postponed, id_]

    def end(self, record: Record) -> None:
        self.running.pop(record.id, None)
        self.failures += [record] if record.result == "fail" else []

    def draw(self, height: int) -> RenderableType:
        room = height - len(self.checklist.items) - 2
        waited = max(FEWEST, room - max(FEWEST, len(self.failures)))
        failures = cut([failure_line(one) for one in self.failures],
                       max(FEWEST, room - min(waited, len(self.running) + len(self.postponed))))
        return Group(*map(fitting, failures), self.items(), fitting(self.total()),
                     *map(fitting, cut(list(self.waits()), waited)))

    def items(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True, min_width=len("10 of 10"))
        for item in self.checklist.items:
            done = f"{len(item.records)} of {len(item.planned)}"
            table.add_row(so_far(item), Text(done, style="dim"))
        return table

    def total(self) -> Text:
        done = sum(len(item.records) for item in self.checklist.items)
        planned = sum(len(item.planned) for item in self.checklist.items)
        seconds = time.monotonic() - self.began
        more = "; under way:" if self.running else ""
        return Text(f"{seconds:5.0f} s   {done} of {planned} checks done{more}")

    def waits(self) -> Iterator[Text]:
        """The checks under way, the one that takes longest first, and those that wait."""
        titles = {id_: title for item in self.checklist.items
                  for id_, title in item.planned.items()}
        for id_, since in sorted(list(self.running.items()), key=lambda one: one[1]):
            yield Text(f"{time.monotonic() - since:5.0f} s   {titles.get(id_, id_)}", style="dim")
        for id_ in self.postponed:
            yield Text(f"  waits   {titles.get(id_, id_)} (once more, alone)", style="dim")


def so_far(item: Item) -> Text:
    """The item's line as it looks at the end. Its first failure already makes the item fail."""
    failed = any(record.result == "fail" for record in list(item.records.values()))
    return heading(item, "fail" if failed else item.result)


def failure_line(record: Record) -> Text:
    where = f"item {record.item}: " if record.item else ""
    return Text(f"{WORDS['fail']}  {where}{record.title}", style=STYLES["fail"])


def cut(lines: list[Text], most: int) -> list[Text]:
    if len(lines) <= most:
        return lines
    return lines[:most - 1] + [Text(f"… and {len(lines) - most + 1} more", style="dim")]


def fitting(line: Text) -> Text:
    """One line, however narrow the terminal is."""
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
