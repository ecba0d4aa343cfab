"""How a check is declared, and how it says what it found."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Literal, TypeVar

HARNESS_FAULT = "the harness itself failed"
"""So begins what is said of a check that is inconclusive for no reason of the machine's."""
Result = Literal["pass", "fail", "skipped", "inconclusive"]
Function = TypeVar("Function", bound=Callable[..., None])


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


@dataclass(frozen=True)
class Exercise:
    """What the generic part has to know about an exercise. A test file has one, named EXERCISE."""

    number: int
    name: str
    folder: str
    start_first: str
    """What somebody should do first whose program fails the check that all others build on."""
    probe: str = "/"
    """A path that a worker (or the master, if it serves) answers at once."""
    endpoints: str = ""
    """A pattern of the requests (method and path, without a query) to which 404 is never right."""
    master_serves: bool = False
    """The master answers HTTP, not the workers: no answer bears a worker's number, and /stats tells who they are."""
    scaled: dict[str, int] = field(default_factory=dict)
    """Settings for quick grading. With --real-time none of them is set: the program's own defaults hold."""
    real: dict[str, int] = field(default_factory=dict)
    """The contract's figures for the same names."""
    bare: str = ""
    """A pattern of the lines on standard output, beside the ready line, that have no log prefix."""
    variables: tuple[str, ...] = ()
    """Every setting of this exercise; the user's own environment must not leak into a cluster."""


@dataclass(frozen=True)
class Declaration:
    """What stands next to a check: what it wants, what is probably wrong if it fails, a first hint."""

    expected: str = ""
    likely: str = ""
    hint: str = ""
    needs: tuple[str, ...] = ()
    """Names of checks that must not have failed, besides those that its class needs."""
    seconds: float = 2.0
    """About how long it takes; long ones start first."""
    heavy: bool = False
    """It uses much processor time: one such check at a time."""


def check(**fields: Any) -> Callable[[Function], Function]:
    """Declare a check. Its docstring is its line on the checklist."""

    def mark(function: Function) -> Function:
        setattr(function, "declaration", Declaration(**fields))
        return function

    return mark


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
