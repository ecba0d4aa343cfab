"""The results of the proof: a table on the terminal, JSON, and a page in Markdown."""
from __future__ import annotations

import json
import textwrap
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from harness.proof import contract_table, soak_counts
from harness.proof.cheats import cheat_page
from harness.proof.mutants import mutant_counts
from harness.proof.grade_program import ITEMS, Verdict
from harness.system.files import write_whole
from harness.system.places import ROOT

PAGE = ROOT / "harness/PROOF.md"
WIDTH = 110
"""Columns of its prose."""
SIGNS = {"pass": "pass", "fail": "FAIL", "skipped": "·", "inconclusive": "?"}


def row(verdict: Verdict) -> list[str]:
    cells = [SIGNS.get(verdict.results.get(number, ""), "") for number in (*ITEMS, 0)]
    wrong = verdict.subject.wrong
    if wrong is not None:
        cells[wrong.item - 1] += "!"  # the common ground is the last
    return cells


def show(verdicts: list[Verdict], console: Console) -> None:
    table = Table(box=box.SIMPLE, title="! marks the item that must fail", title_justify="left")
    for name in ("exercise", "program", *map(str, ITEMS), "common", "seconds", ""):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for verdict in verdicts:
        state = "[green]ok[/]" if not verdict.faults else "[bold red]not as expected[/]"
        table.add_row(str(verdict.subject.exercise.number), verdict.subject.name, *row(verdict),
                      f"{verdict.seconds:.1f}", state)
    console.print(table)
    for verdict in verdicts:
        program = f"exercise {verdict.subject.exercise.number}, {verdict.subject.name}"
        for fault in verdict.faults:
            console.print(f"{program}: {fault}", highlight=False, markup=False)


def summary(verdicts: list[Verdict]) -> str:
    said = {"wrong": "wrong programs caught at their item", "solution": "solutions with everything",
            "foreign": "programs in another language with everything",
            "starter": "starters without a point"}
    totals = Counter(one.subject.kind for one in verdicts)
    right = Counter(one.subject.kind for one in verdicts if not one.faults)
    return "; ".join(f"{what}: {right[kind]} of {totals[kind]}"
                     for kind, what in said.items() if totals[kind])


def write_json(verdicts: list[Verdict], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    told = [{"exercise": one.subject.exercise.number, "program": one.subject.name,
             "results": one.results, "seconds": one.seconds,
             "mustFail": one.subject.wrong.item if one.subject.wrong else None,
             "outcome": one.outcome, "faults": one.faults} for one in verdicts]
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def write_page(verdicts: list[Verdict], soak: soak_counts.Tally, file: Path) -> None:
    lines = ["# The proof", "",
             *wrapped("Wrong programs, made from the solutions by small edits, each with one "
                      "mistake that learners make; what the grader says of them, of the solutions, "
                      "of programs in another language, and of the starters. `make prove` writes "
                      "this page."), "",
             *wrapped(f"{summary(verdicts)}."), "", *soak_lines(soak),
             TABLES, "",
             *wrapped("**FAIL** is the item that must fail; other items that fail follow from the "
                      "same mistake, as explained below the table. A dot: skipped, since an "
                      "earlier check that it builds on has failed. Of the common ground nothing is "
                      "asked for starters, and for wrong programs only where it is marked."), ""]
    for number in sorted({one.subject.exercise.number for one in verdicts}):
        lines += exercise_lines([one for one in verdicts if one.subject.exercise.number == number])
    lines += mutant_lines() + cheat_lines()
    lines += [CONTRACT, "", *contract_table.lines()]
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


REPEATED, TABLES = "## Repeated", "## How to read the tables"
MUTANTS = "## Mutants"
CHEATS = "## Cheats"
CONTRACT = "## What grades each sentence of the contract"


def renew_counts(soak: soak_counts.Tally, file: Path) -> None:
    """Write the page's part on repeated gradings anew, and leave its tables."""
    above, _, tables = file.read_text(encoding="utf-8").partition(TABLES)
    lines = [above.partition(REPEATED)[0].rstrip(), "", *soak_lines(soak), TABLES]
    write_whole(file, "\n".join(lines) + tables)


def renew_mutants(file: Path) -> None:
    """Write the page's part on mutants anew, and leave the rest."""
    renew(file, MUTANTS, CHEATS, mutant_lines())


def renew_cheats(file: Path) -> None:
    """The same for the part on cheats."""
    renew(file, CHEATS, CONTRACT, cheat_lines())


def renew(file: Path, headline: str, following: str, lines: list[str]) -> None:
    above, _, rest = file.read_text(encoding="utf-8").partition(f"{following}\n")
    kept = above.partition(f"{headline}\n")[0].rstrip()
    write_whole(file, "\n".join([kept, "", *lines, following]) + f"\n{rest}")


def soak_lines(soak: soak_counts.Tally) -> list[str]:
    if not soak.counts:
        return []
    hours = soak.seconds / 3600
    return [REPEATED, "",
            *wrapped(f"`make soak` has repeated such gradings for {hours:.1f} hours in random "
                     "order: without load, beside `stress-ng --cpu 2`, and beside its stressors of "
                     "memory and forks, each on one core and on two, with two gradings at a time. "
                     "Of a wrong program only the item that must fail was graded. A wrong verdict "
                     "is a defect, and so is a cause of inconclusive ones that can be mended: the "
                     "counts of its program begin anew then. The rates are one-sided bounds by "
                     "Clopper and Pearson."), "",
            f"| {' | '.join(soak_counts.HEADINGS)} |", "|---|---|--:|--:|--:|--:|--:|",
            *(f"| {' | '.join(row)} |" for row in soak_counts.rows(soak)), ""]


def mutant_lines() -> list[str]:
    graded = list(mutant_counts.read(mutant_counts.KEPT).values())
    if not graded:
        return []
    return [MUTANTS, "",
            *wrapped("Machine-made: in the steps of each solution every statement is left out, "
                     "every condition negated, every constant and comparison shifted, one at a "
                     "time (`make mutants`). A mutant is killed when a check fails; the score "
                     "leaves out those that no check may kill, because they do what the contract "
                     "allows."), "",
            *mutant_counts.lines(graded), ""]


def cheat_lines() -> list[str]:
    return [CHEATS, "", *cheat_page.lines(), ""]


def wrapped(text: str, indent: str = "") -> list[str]:
    """A paragraph, or an item of a list, in lines; `indent`: of those after the first."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def exercise_lines(verdicts: list[Verdict]) -> list[str]:
    lines = [f"## Exercise {verdicts[0].subject.exercise.number}", "",
             "| program | its mistake | 1 | 2 | 3 | 4 | 5 | common |",
             "|---|---|---|---|---|---|---|---|"]
    for one in verdicts:
        wrong = one.subject.wrong
        cells = [f"**{cell[:-1]}**" if cell.endswith("!") else cell.lower() for cell in row(one)]
        mistake = wrong.mistake if wrong else "–"
        lines.append(f"| {one.subject.name} | {mistake} | {' | '.join(cells)} |")
    notes = [line for one in verdicts if one.subject.wrong
             for item, why in one.subject.wrong.also.items()
             for line in wrapped(f"- *{one.subject.name}*, item {item}: {why}.", indent="  ")]
    return [*lines, "", *notes, ""] if notes else [*lines, ""]
