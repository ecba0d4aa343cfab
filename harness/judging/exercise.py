"""How an exercise and its checks are declared."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class Exercise:
    """The facts about an exercise that the harness has to know. Each checklist has one, named
    EXERCISE."""

    number: int
    name: str
    folder: str
    start_first: str
    """Advice for a learner whose program fails the check that all others build on."""
    probe: str = "/"
    """A path that a worker (or the master, if it serves) answers at once."""
    endpoints: str = ""
    """A pattern of the requests (method and path, without a query) to which 404 is never right."""
    master_serves: bool = False
    """The master answers HTTP, not the workers: no answer bears a worker's number, and /stats lists
    the workers."""
    scaled: dict[str, int] = field(default_factory=dict)
    """Settings for quick grading. With --real-time none of them is set: the program's own defaults
    hold."""
    real: dict[str, int] = field(default_factory=dict)
    """The contract's figures for the same names."""
    bare: str = ""
    """A pattern of the lines on standard output, beside the ready line, that have no log prefix."""
    variables: tuple[str, ...] = ()
    """Every setting of this exercise: a cluster gets none from the user's own environment."""


@dataclass(frozen=True)
class Declaration:
    """What stands next to a check: what it expects, the likely cause if it fails, a first hint."""

    expected: str = ""
    likely: str = ""
    hint: str = ""
    needs: tuple[str, ...] = ()
    """Names of checks that it builds on, besides those that its class needs."""
    seconds: float = 2.0
    """About how long it takes; long checks start first."""
    heavy: bool = False
    """It uses much processor time: one such check runs at a time."""


def check(**fields: Any) -> Callable[[Function], Function]:
    """Declare a check. Its docstring is its line on the checklist."""

    def mark(function: Function) -> Function:
        setattr(function, "declaration", Declaration(**fields))
        return function

    return mark
