"""The steps that are still to do: what a starter says of them, and which have their TODO in its
source."""
from __future__ import annotations

import re
from typing import Iterable

from harness.cluster.unfinished import step_to_do

FIRST_LINE = re.compile(r"\s*// STEP (\d+): ")
LAST_LINE = re.compile(r"\s*// END STEP (\d+)")
TODO = re.compile(r"\s*// TODO\b")


def steps_with_todo(source: str) -> list[int]:
    """The steps of a main.cpp that have a line `// TODO`, in their order."""
    found: list[int] = []
    step: int | None = None
    for line in source.splitlines():
        if first := FIRST_LINE.match(line):
            step = int(first[1])
        elif LAST_LINE.match(line):
            step = None
        elif step is not None and step not in found and TODO.match(line):
            found.append(step)
    return sorted(found)


def still_to_do(texts: Iterable[str], todo: list[int] | None) -> str:
    """The message of a starter that has come to a step which is still to do, in its log or in an
    answer; empty without one.

    Not every step says so. `todo`: the steps that have their TODO; None: the source is not known.
    """
    step = step_to_do(texts)
    if not step:
        return ""
    said, number = f"{step}, as the program says itself", int(step.split()[1])
    earlier = [other for other in todo or [] if other < number]
    if earlier:
        return f"STEP {earlier[0]} still has its TODO in main.cpp, and {said}"
    doubt = todo is None and number > 1
    return said + " (and perhaps one before it)" * doubt
