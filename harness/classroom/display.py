"""What the instructor sees meanwhile: what was graded last, what is under way, how far it is."""
from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from harness.classroom.results import STATES, Result, Submission
from harness.telling.visible import visible

LAST = 10
"""Results that are shown on a terminal."""
STYLES = {"graded": "green", "build-failed": "red", "build-timeout": "red",
          "inconclusive": "yellow", "crashed": "magenta"}


class Display:
    """On a terminal a live table and a bar; elsewhere a line for each result."""

    def __init__(self, submissions: list[Submission], todo: list[int], slots: int) -> None:
        """`todo`: places in `submissions`."""
        self.submissions, self.total, self.slots = submissions, len(todo), slots
        self.lasting = sum(map(self.lasts, todo))
        """How many take time: those that have a source."""
        self.console = Console(highlight=False)
        self.began = time.monotonic()
        self.finished = 0
        self.lasted = 0
        self.states: dict[int, str] = {}
        """The last state of each that was graded."""
        self.last: list[tuple[Submission, Result | None]] = []
        self.under_way: list[int] = []
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                            TextColumn("{task.fields[rate]}"), console=self.console)
        self.task = self.bar.add_task("graded", total=self.total, rate="")
        self.live = Live(console=self.console, get_renderable=self.picture, refresh_per_second=2)

    def __enter__(self) -> Display:
        at_once = f", {self.slots} at a time" if self.slots else ""
        self.console.print(f"{self.total} to grade of {len(self.submissions)}{at_once}")
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.live.stop()

    def begun(self, number: int) -> None:
        self.under_way.append(number)

    def lasts(self, number: int) -> bool:
        return self.submissions[number].source is not None

    def again(self, numbers: list[int]) -> None:
        """These are graded once more, since they were inconclusive."""
        count = len(numbers)
        self.total += count
        self.lasting += sum(map(self.lasts, numbers))
        self.bar.update(self.task, total=self.total)
        if count:
            self.console.print(f"{count} without a final result: graded again")

    def done(self, number: int, result: Result | None) -> None:
        """None: it was told to end."""
        self.under_way.remove(number)
        self.finished += 1
        self.lasted += self.lasts(number)
        if result is not None:
            self.states[number] = result.state
        submission = self.submissions[number]
        self.last = [*self.last, (submission, result)][-LAST:]
        self.bar.update(self.task, completed=self.finished, rate=self.rate())
        if not self.console.is_terminal and result is not None:
            self.console.print(
                f"{self.finished:4} of {self.total}: {visible(submission.student)}, exercise "
                f"{submission.exercise or '?'}: {result.state}: {result.sentence} ({self.rate()})",
                markup=False, soft_wrap=True)

    def rate(self) -> str:
        each = (time.monotonic() - self.began) / max(1, self.lasted)
        left = each * (self.lasting - self.lasted)
        return f"{each:.1f} s each, {minutes(left)} left"

    def picture(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("student", "exercise", "state", ""):
            table.add_column(heading, overflow="ellipsis", no_wrap=True)
        for submission, result in self.last:
            state = result.state if result else "ended"
            table.add_row(escape(visible(submission.student)), str(submission.exercise or "?"),
                          state, escape(result.sentence if result else ""),
                          style=STYLES.get(state, ""))
        for number in self.under_way:
            one = self.submissions[number]
            table.add_row(escape(visible(one.student)), str(one.exercise or "?"), "…", "")
        by_state = Counter(self.states.values())
        counts = ", ".join(f"{by_state[state]} {state}" for state in STATES if by_state[state])
        return Group(table, counts, self.bar)


def minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
