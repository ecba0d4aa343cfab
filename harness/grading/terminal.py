"""What the user sees: the checklist as it fills, then each failure with its parts, then the score."""
from __future__ import annotations

import sys
import textwrap
import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .checklist import COMMON, Checklist, Item
from .verdict import Record, Result

MARKS: dict[Result | None, str] = {"pass": "[x]", "fail": "[ ]", "skipped": "[ ]", "inconclusive": "[?]", None: "[ ]"}
STYLES: dict[Result | None, str] = {"pass": "green", "fail": "red", "skipped": "dim", "inconclusive": "yellow", None: "default"}
WORDS: dict[Result | None, str] = {"pass": "pass", "fail": "FAIL", "skipped": "skipped", "inconclusive": "inconclusive", None: ""}


class Display:
    def __init__(self, checklist: Checklist, program: str, starter: bool) -> None:
        self.checklist, self.program, self.starter = checklist, program, starter
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.live: Live | None = None
        self.running: dict[str, float] = {}
        self.printed = 0

    def begin(self) -> None:
        number, name = self.checklist.exercise.number, self.checklist.exercise.name
        self.console.print(f"\nExercise {number}: {escape(name)}, grading [bold]{escape(self.program)}[/bold]")
        if self.console.is_terminal:
            self.live = Live(get_renderable=self.picture, console=self.console, refresh_per_second=8, transient=True)
            self.live.start()

    def start(self, id_: str) -> None:
        self.running[id_] = time.monotonic()

    def update(self, item: Item, record: Record) -> None:
        self.running.pop(record.id, None)
        if self.live is None:
            self.print_complete()

    def print_complete(self) -> None:
        """Print the items that are complete and not yet printed, in their order."""
        while self.printed < len(self.checklist.items) and self.checklist.items[self.printed].result is not None:
            print_item(self.console, self.checklist.items[self.printed])
            self.printed += 1

    def picture(self) -> RenderableType:
        """The checklist as it is now, for a terminal."""
        table = Table.grid(padding=(0, 1))
        for item in self.checklist.items:
            count = f"{len(item.records)}/{len(item.planned)}" if item.result is None else ""
            busy = item.result is None and any(id_ in self.running for id_ in item.planned)
            table.add_row(heading(item), Text(count, style="dim"), Spinner("dots") if busy else "")
        return table

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def end(self, seconds: float) -> None:
        self.stop()
        out = self.console
        for item in self.checklist.items[self.printed:]:
            print_item(out, item)
        failed: list[Record] = []
        for item in self.checklist.items:
            for record in in_order(item):
                if record.result in ("fail", "inconclusive") or record.notes:
                    self.explain(item, record)
                failed += [record] if record.result == "fail" else []
        self.score(seconds)
        self.advise(failed)

    def explain(self, item: Item, record: Record) -> None:
        out, style = self.console, STYLES[record.result]
        out.print()
        out.print(Text(f"{title(item)}", style=f"bold {style}"))
        out.print(Text(f"  {WORDS[record.result]}: {record.title}", style=style))
        for note in record.notes:
            self.part("also seen", note)
        if record.result not in ("fail", "inconclusive"):
            return
        if record.done:
            out.print(Text("    done", style="bold"))
            for step in record.done:
                out.print(Text(f"      {step}"))
        if record.result == "fail":
            self.part("expected", record.expected)
            self.part("seen", record.seen)
            self.part("likely", record.likely)
            self.part("hint", record.hint)
        else:
            self.part("why", record.seen)
        self.part("again", record.rerun, wrap=False)

    def part(self, name: str, text: str, wrap: bool = True) -> None:
        if not text:
            return
        width = min(110, self.console.width if self.console.is_terminal else 110) - 14
        lines = [piece for row in text.split("\n") for piece in (textwrap.wrap(
            row, max(30, width), break_long_words=False, break_on_hyphens=False, drop_whitespace=False) if wrap else [row])]
        self.console.print(Text(f"    {name:<9} ", style="bold") + Text(lines[0].strip() if lines else ""))
        for rest in lines[1:]:
            self.console.print(Text(" " * 14 + rest.rstrip() if rest.startswith(" ") else " " * 14 + rest))

    def score(self, seconds: float) -> None:
        out, counted = self.console, self.checklist.counted
        out.print()
        if counted:
            colour = "green" if self.checklist.passed == len(counted) else "red"
            out.print(f"[bold {colour}]{self.checklist.passed} of {len(counted)} passed[/], {seconds:.1f} s")
        for item in self.checklist.items:
            if item.number == COMMON:
                good = sum(record.result == "pass" for record in item.records.values())
                out.print(f"{item.title}: {good} of {len(item.planned)} checks passed (not counted above)")

    def advise(self, failed: list[Record]) -> None:
        """One line about the first failure, which may have scrolled away."""
        out = self.console
        nothing = self.checklist.passed == 0 and any(item.number == 1 and item.result == "fail" for item in self.checklist.counted)
        if self.starter and nothing:
            out.print(f"\nWhat to do first: {escape(self.checklist.exercise.start_first)}")
        elif len(failed) > 1:
            out.print(f"\nThe first of {len(failed)} failures: {escape(failed[0].title)}. Just that again:")
            out.print(f"  {escape(failed[0].rerun)}")
        out.print()


def title(item: Item) -> str:
    return f"{item.number}. {item.title}" if item.number != COMMON else item.title


def heading(item: Item) -> Text:
    word = f"   {WORDS[item.result]}" if item.result not in ("pass", None) else ""
    return Text(f"{MARKS[item.result]} {title(item)}{word}", style=STYLES[item.result])


def print_item(out: Console, item: Item) -> None:
    reasons = {record.seen for record in item.records.values() if record.result == "skipped"}
    if len(reasons) == 1 and all(record.result == "skipped" for record in item.records.values()):
        out.print(heading(item) + Text(f" ({reasons.pop()})"))
        return
    out.print(heading(item))
    for record in in_order(item):
        out.print(line(record))


def in_order(item: Item) -> list[Record]:
    return [item.records[id_] for id_ in item.planned if id_ in item.records]


def line(record: Record) -> Text:
    shown = Text(f"      {WORDS[record.result]:<12} {record.title}", style=STYLES[record.result])
    if record.result == "skipped":
        return shown + Text(f" ({record.seen})", style="dim")
    return shown + Text(f"  {record.seconds:.1f} s", style="dim")
