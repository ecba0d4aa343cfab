"""A grading as text: the checklist, then each failure with its parts, then the score.

A terminal shows the checklist while it fills, too.
"""
from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from harness.judging.checklist import COMMON, Checklist, Item
from harness.judging.verdict import Record
from harness.telling.live_checklist import LiveChecklist
from harness.telling.story import STEP_TOLD
from harness.telling.styles import STYLES, WORDS, heading, title

LEAST_WIDTH = 30
PASTE = "      to paste in bash; the times are those of the grading"


class Display:
    def __init__(self, checklist: Checklist, program: str, starter: bool, source: str = "") -> None:
        """`source`: the SHA-256 of the file that the program was made of, if that is known."""
        self.checklist, self.program, self.starter = checklist, program, starter
        self.source = f" (main.cpp {source[:12]})" if source else ""
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        if self.console.width < LEAST_WIDTH:
            self.console.width = LEAST_WIDTH
        self.live: Live | None = None
        self.picture = LiveChecklist(checklist)
        self.printed = 0
        self.told: dict[tuple[str, ...], str] = {}
        """The likeness of failures → the title of the first one, which was told in full."""
        self.unfinished = False
        """Whether a failure with a step still to do was told in full. Until that step is done,
        others say little."""
        self.explained = False
        """Whether PASTE was printed: once is enough."""

    def begin(self) -> None:
        name = escape(self.checklist.exercise.name)
        number, program = self.checklist.exercise.number, escape(self.program)
        self.console.print(f"\nExercise {number}: {name}, grading [bold]{program}[/bold]"
                           f"{self.source}")
        if sys.stdout.isatty() and not self.console.is_dumb_terminal:
            self.live = Live(get_renderable=lambda: self.picture.draw(self.console.height),
                             console=self.console, refresh_per_second=8, transient=True)
            self.live.start()

    def start(self, id_: str) -> None:
        self.picture.start(id_)

    def postpone(self, id_: str) -> None:
        self.picture.postpone(id_)

    def update(self, item: Item, record: Record) -> None:
        self.picture.end(record)
        if self.live is None:
            self.print_complete()

    def print_complete(self) -> None:
        """Print the items that are complete and not yet printed, in their order."""
        items = self.checklist.items
        while self.printed < len(items) and items[self.printed].result is not None:
            self.print_item(items[self.printed])
            self.printed += 1

    def print_item(self, item: Item) -> None:
        out = self.console
        records = in_order(item)
        reasons = {self.because(item, record) for record in records if record.result == "skipped"}
        if len(reasons) == 1 and all(record.result == "skipped" for record in records):
            out.print(fitted(out, heading(item, item.result) + Text(f" ({reasons.pop()})"), 4))
            return
        out.print(fitted(out, heading(item, item.result), 4))
        for record in records:
            out.print(fitted(out, line(record, self.because(item, record)), 19))

    def because(self, item: Item, record: Record) -> str:
        """Why the check was skipped.

        If it needs a check of another item, that item is named: the reader sees its failure.
        """
        needed = record.seen.removeprefix("builds on: ")
        others = (other for other in self.checklist.items if other is not item)
        return next((f"builds on item {other.number}" for other in others
                     if needed in other.planned.values()), record.seen)

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def end(self, seconds: float, stopped: bool) -> None:
        """`stopped`: by Ctrl+C, before all checks have run. Then there is no score."""
        self.stop()
        out = self.console
        for item in self.checklist.items[self.printed:]:
            self.print_item(item)
        failed: list[Record] = []
        for item in self.checklist.items:
            for record in in_order(item):
                if record.result in ("fail", "inconclusive") or record.notes:
                    self.explain(item, record)
                failed += [record] if record.result == "fail" else []
        if stopped:
            out.print("\nstopped: there is no score")
        else:
            self.score(seconds)
        traced = [record.trace for item in self.checklist.items for record in in_order(item)
                  if record.trace]
        if traced:
            out.print(f"kept what each check did: {escape(str(Path(traced[0]).parent))}")
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
        if (alike := self.told.get(likeness(record))) is not None:
            self.in_short(record, f"the same as in the check \"{alike}\" above")
        elif self.unfinished and record.says_step:
            self.in_short(record, record.seen.partition("\n")[0], record.likely)
        else:
            self.told[likeness(record)] = record.title
            self.unfinished = self.unfinished or record.says_step
            self.in_full(record)

    def in_short(self, record: Record, seen: str, likely: str = "") -> None:
        self.part("seen", seen)
        self.part("likely", likely)
        self.part("trace", record.trace, wrap=False)
        self.part("again", record.rerun, wrap=False)

    def in_full(self, record: Record) -> None:
        if record.result == "fail":
            self.part("expected", record.expected)
            self.part("seen", record.seen)
            self.part("likely", record.likely)
            self.part("hint", record.hint)
            self.part("wrote", "\n".join(record.wrote), wrap=False)
        else:
            self.part("why", record.seen)
        if record.done:
            self.console.print(Text("    done", style="bold")
                               + Text("" if self.explained else PASTE, style="dim"))
            self.explained = True
            for step in record.done:
                self.step(step)
        self.part("trace", record.trace, wrap=False)
        self.part("again", record.rerun, wrap=False)

    @property
    def width(self) -> int:
        return min(110, self.console.width if self.console.is_terminal else 110)

    def step(self, step: str) -> None:
        """Print a line of a shell as it is. An outcome that has no room beside it follows below."""
        line, _, told = step.rpartition(STEP_TOLD)
        if line and 6 + len(step) > self.width:
            below = Text(f"        # {told.strip()}", style="dim")
            self.console.print(Text(f"      {line}\n") + below)
        else:
            self.console.print(Text(f"      {step}"))

    def part(self, name: str, text: str, wrap: bool = True) -> None:
        if not text:
            return
        width = max(30, self.width - 14)
        lines = [piece for row in text.split("\n")
                 for piece in (wrapped(row, width) if wrap else [row])]
        first = Text(lines[0].strip() if lines else "")
        self.console.print(Text(f"    {name:<9} ", style="bold") + first)
        for rest in lines[1:]:
            self.console.print(Text(" " * 14 + rest))

    def score(self, seconds: float) -> None:
        out, counted = self.console, self.checklist.counted
        out.print()
        if counted:
            colour = "green" if self.checklist.passed == len(counted) else "red"
            passed = f"{self.checklist.passed} of {len(counted)} passed"
            out.print(f"[bold {colour}]{passed}[/], {seconds:.1f} s")
        for item in self.checklist.items:
            if item.number == COMMON:
                good = sum(record.result == "pass" for record in item.records.values())
                out.print(f"{item.title}: {good} of {len(item.planned)} checks passed "
                          "(not counted above)")

    def advise(self, failed: list[Record]) -> None:
        """What to do next, with the first failure once more: it may have scrolled away."""
        out, checklist = self.console, self.checklist
        number = checklist.exercise.number
        if self.starter and checklist.stuck and any(record.says_step for record in failed):
            out.print()
            for row in wrapped(f"What to do first: {checklist.exercise.start_first}", self.width):
                out.print(Text(row))
        elif len(failed) > 1:
            first = escape(failed[0].title)
            out.print(f"\nThe first of {len(failed)} failures: {first}. Just that again:")
            out.print(f"  {escape(failed[0].rerun)}")
        doubtful = [record for item in checklist.items for record in item.records.values()
                    if record.result == "inconclusive"]
        if doubtful and not failed:
            line = f"make ex{number}-grade" if self.starter else doubtful[0].rerun
            out.print("\nNothing failed, but not everything could be judged. Run it again:"
                      f"\n  {escape(line)}")
        if self.starter and failed:
            out.print(f"\nnext: make ex{number}-hint")
        elif self.starter and checklist.whole and checklist.passed == len(checklist.counted):
            out.print(f"\nnext: make ex{number}-diff shows the solution beside yours")
        out.print()


def wrapped(row: str, width: int) -> list[str]:
    """The lines of a long row, all indented as the row is."""
    margin = row[:len(row) - len(row.lstrip())]
    return textwrap.wrap(row, width, subsequent_indent=margin,
                         break_long_words=False, break_on_hyphens=False)


def fitted(out: Console, text: Text, indent: int) -> Text:
    """On a terminal, what does not fit into the line goes on below, indented by `indent`."""
    if not out.is_terminal:
        return text
    rest = text[indent:].wrap(out, max(30, out.width - indent))
    return text[:indent] + Text("\n" + " " * indent).join(rest)


def likeness(record: Record) -> tuple[str, ...]:
    """What failures of one mistake have in common: all but figures, as of times and processes."""
    return record.result, re.sub(r"\d+", "#", record.seen), record.likely


def in_order(item: Item) -> list[Record]:
    return [item.records[id_] for id_ in item.planned if id_ in item.records]


def line(record: Record, because: str) -> Text:
    name = Text(f"      {WORDS[record.result]:<12} {record.title}", style=STYLES[record.result])
    if record.result == "skipped":
        return name + Text(f" ({because})", style="dim")
    return name + Text(f"  {record.seconds:.1f} s", style="dim")
