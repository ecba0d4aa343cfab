"""What grades the submissions of a plan."""
from __future__ import annotations

from typing import Callable, Protocol


class Engine(Protocol):
    """Call grade() from one thread."""

    at_once: int
    """How many gradings go on at the same time, at most; 0 if that is not known."""

    def grade(self, numbers: list[int], begun: Callable[[int], None],
              done: Callable[[int, str], None]) -> None:
        """`numbers`: places in the plan. `begun` and `done` are called in the same thread; `done`
        gets the number, and why there is no result, if there is none. A KeyboardInterrupt ends all
        gradings that are under way."""


class Elsewhere(Exception):
    """The gradings are for others to start; the text says how."""
