"""The verdict on a check: the ways in which a check ends, and the record of how it ended."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

HARNESS_FAULT = "the harness itself failed"
"""The beginning of the message about a check that is inconclusive for a fault of the harness."""
Result = Literal["pass", "fail", "skipped", "inconclusive"]


class CheckFailed(AssertionError):
    """The program broke the contract. Any other exception of a check, but Inconclusive, is the
    harness's own fault.

    A text that is not given here is taken from the check's declaration.
    """

    def __init__(self, seen: str, *, expected: str = "", likely: str = "", hint: str = "") -> None:
        super().__init__(seen)
        self.seen, self.expected, self.likely, self.hint = seen, expected, likely, hint


@dataclass(frozen=True)
class Bound:
    """A bound on time: counted from `start`, due at `due`. The event came, or the wait for it was
    given up, at `end`."""

    start: float
    due: float
    end: float
    what: str


class BoundBroken(CheckFailed):
    """Something came too late, or too early, or not at all."""

    def __init__(self, seen: str, bound: Bound) -> None:
        super().__init__(seen)
        self.bound = bound


class Inconclusive(Exception):
    """Whether the program is right could not be judged; the text says why."""


@dataclass
class Record:
    """The outcome of one check; it travels between processes and into the report."""

    id: str
    item: int
    title: str
    result: Result = "inconclusive"
    seconds: float = 0.0
    late: bool = False
    """It failed for a bound on time."""
    behind: float = 0.0
    """Seconds that the machine was behind meanwhile."""
    excused: float = 0.0
    """The most seconds by which something was late in it and was forgiven."""
    start_used: float = 0.0
    """Seconds of processor time that its first start took."""
    expected: str = ""
    seen: str = ""
    wrote: list[str] = field(default_factory=list)
    """The last lines of the program's output that `seen` does not show."""
    likely: str = ""
    hint: str = ""
    rerun: str = ""
    trace: str = ""
    """The folder with the trace of the check."""
    honesty: list[str] = field(default_factory=list)
    """What an instructor may want to know of how the program did it."""
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def says_step(self) -> bool:
        """Whether the program itself has said that one of its steps is still to do."""
        return self.likely.startswith("STEP ")
