"""What is shown of the proof: a table on the terminal, JSON, and a page in Markdown."""
from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from .grade import ITEMS, Verdict

SIGNS = {"pass": "pass", "fail": "FAIL", "skipped": "·", "inconclusive": "?"}


def row(verdict: Verdict) -> list[str]:
    cells = [SIGNS.get(verdict.results.get(number, ""), "") for number in (*ITEMS, 0)]
    wrong = verdict.subject.wrong
    if wrong is not None:
        cells[wrong.item - 1] += "!"
    return cells


def show(verdicts: list[Verdict], console: Console) -> None:
    table = Table(box=box.SIMPLE, title="! marks the item that must fail", title_justify="left")
    for name in ("exercise", "program", *(f"{number}" for number in ITEMS), "common", "seconds", ""):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for verdict in verdicts:
        state = "[green]ok[/]" if not verdict.faults else "[bold red]not as expected[/]"
        table.add_row(str(verdict.subject.exercise.number), verdict.subject.name, *row(verdict), f"{verdict.seconds:.1f}", state)
    console.print(table)
    for verdict in verdicts:
        for fault in verdict.faults:
            console.print(f"exercise {verdict.subject.exercise.number}, {verdict.subject.name}: {fault}", highlight=False, markup=False)


def summary(verdicts: list[Verdict]) -> str:
    kinds: Counter[str] = Counter()
    for verdict in verdicts:
        kind = "wrong" if verdict.subject.wrong else "right" if verdict.subject.right else "starters"
        kinds[kind] += 1
        kinds[f"{kind} ok"] += not verdict.faults
    parts = [f"wrong programs caught at their item: {kinds['wrong ok']} of {kinds['wrong']}"]
    if kinds["right"]:
        parts += [f"right programs passed: {kinds['right ok']} of {kinds['right']}",
                  f"starters without a point: {kinds['starters ok']} of {kinds['starters']}"]
    return "; ".join(parts)


def write_json(verdicts: list[Verdict], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([{
        "exercise": one.subject.exercise.number, "program": one.subject.name, "results": one.results, "seconds": one.seconds,
        "mustFail": one.subject.wrong.item if one.subject.wrong else None, "faults": one.faults} for one in verdicts], indent=1) + "\n",
        encoding="utf-8")


def write_page(verdicts: list[Verdict], file: Path) -> None:
    lines = ["# The proof", "",
             "Wrong programs, made from the solutions by small edits, each with one mistake that learners make; what the grader says of them, of the "
             "solutions, of programs in another language, and of the starters. `make prove` writes this page.", "",
             f"{summary(verdicts)}.", "",
             "**FAIL** is the item that must fail; other items that fail follow from the same mistake, as explained below the table. A dot: skipped, since an "
             "earlier check that it builds on has failed.", ""]
    for number in sorted({one.subject.exercise.number for one in verdicts}):
        own = [one for one in verdicts if one.subject.exercise.number == number]
        lines += [f"## Exercise {number}", "", "| program | its mistake | 1 | 2 | 3 | 4 | 5 | common |", "|---|---|---|---|---|---|---|---|"]
        for one in own:
            wrong = one.subject.wrong
            cells = [f"**{cell[:-1]}**" if cell.endswith("!") else cell.lower() for cell in row(one)]
            lines.append(f"| {one.subject.name} | {wrong.mistake if wrong else '–'} | {' | '.join(cells)} |")
        notes = [f"- *{one.subject.name}*, item {item}: {why}." for one in own if one.subject.wrong for item, why in one.subject.wrong.also.items()]
        lines += ["", *notes, ""] if notes else [""]
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
