"""What a check can find: the ways to end it, and the record of how it ended."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

HARNESS_FAULT = "the harness itself failed"
"""So begins what is said of a check that is inconclusive for no reason of the machine's."""
Result = Literal["pass", "fail", "skipped", "inconclusive"]


class CheckFailed(AssertionError):
    """The program broke the contract. Everything else that a check raises is the harness's own fault.

    What is not given here is taken from the check's declaration.
    """

    def __init__(self, seen: str, *, expected: str = "", likely: str = "", hint: str = "") -> None:
        super().__init__(seen)
        self.seen, self.expected, self.likely, self.hint = seen, expected, likely, hint


@dataclass(frozen=True)
class Bound:
    """On time: counted from `start`, due at `due`; it came, or was given up, at `end`."""

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
    """Neither the program nor its absence of faults could be judged, and why."""


@dataclass
class Record:
    """The outcome of one check as it travels between processes and into the report."""

    id: str
    item: int
    title: str
    result: Result = "inconclusive"
    seconds: float = 0.0
    expected: str = ""
    seen: str = ""
    wrote: list[str] = field(default_factory=list)
    """The last lines of the program's output that `seen` does not show."""
    likely: str = ""
    hint: str = ""
    rerun: str = ""
    trace: str = ""
    """The folder with what was kept of it."""
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
