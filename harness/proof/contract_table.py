"""What a program must keep, sentence by sentence, with the checks that grade it and the wrong
programs that show that a check can fail (contract.txt)."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("contract.txt")
COLUMNS = 4


@dataclass(frozen=True)
class Sentence:
    chapter: str
    """`Common`, or an exercise, as in `Exercise 1`."""
    text: str
    checks: tuple[str, ...]
    wrong: tuple[str, ...]
    """As in `1:no-deadline`: the exercise, and the program's name."""
    why: str
    """Why a check or a wrong program is missing; empty if both are there."""


def sentences() -> list[Sentence]:
    """ValueError: a line that is none."""
    found: list[Sentence] = []
    chapter = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        elif line and not line.startswith("#"):
            text, checks, wrong, why = (cell.strip() for cell in line.split("|", COLUMNS - 1))
            found.append(Sentence(chapter, text, tuple(checks.split()), tuple(wrong.split()), why))
    return found


def lines() -> list[str]:
    """The table in Markdown."""
    told = sentences()
    whole = sum(bool(one.checks and one.wrong) for one in told)
    graded = sum(bool(one.checks) for one in told)
    table = ["| sentence | checks | wrong programs | why one is missing |", "|---|---|---|---|"]
    chapter = ""
    for one in told:
        if one.chapter != chapter:
            chapter = one.chapter
            table.append(f"| **{chapter}** | | | |")
        checks = ", ".join(name.removeprefix("test_") for name in one.checks)
        table.append(f"| {one.text} | {checks} | {', '.join(one.wrong)} | {one.why} |")
    return [f"{len(told)} sentences: {graded} have a check, and {whole} of these a wrong program "
            "that fails there.", "", *table, ""]
