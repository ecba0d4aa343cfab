"""The last lines that the programs of a check wrote, for a reader of its failure."""
from __future__ import annotations

from harness.judging.events import Line, shortened

MOST_LINES = 6
"""Lines of standard output, and as many of standard error."""
LONGEST = 300
"""Characters of a line."""


def last_lines(outputs: list[list[Line]], seen: str) -> list[str]:
    """`outputs`: the lines of each cluster. Lines that the verdict itself shows are left out."""
    told = {row.strip() for row in seen.split("\n")}
    every = sorted(((line, number) for number, lines in enumerate(outputs, 1)
                    for line in lines if line.text.strip()), key=lambda one: one[0].t)
    last = [one for error in (False, True)
            for one in [one for one in every if one[0].error == error][-MOST_LINES:]]
    last.sort(key=lambda one: one[0].t)
    return [said(line, number if len(outputs) > 1 else 0)
            for line, number in last if line.text.strip() not in told]


def said(line: Line, cluster: int) -> str:
    where = " ".join([f"cluster {cluster}"] * bool(cluster) + ["standard error"] * line.error)
    text = shortened(line.text, LONGEST)
    return f"{where}: {text}" if where else text
