"""What became of the mutants (mutants.json), and why no check can kill some of them
(explained.txt)."""
from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.system.files import write_whole

KEPT = Path(__file__).with_name("mutants.json")
EXPLAINED = Path(__file__).with_name("explained.txt")
KILLED = ("killed by an item", "killed by the common ground")
OUTCOMES = (*KILLED, "survived", "inconclusive")


@dataclass(frozen=True)
class Graded:
    exercise: int
    step: int
    line: int
    change: str
    outcome: str
    by: str = ""
    """The check that has killed it."""
    seconds: float = 0.0


def read(file: Path) -> dict[str, Graded]:
    """By the mutants' keys; empty if there is no such file."""
    if not file.exists():
        return {}
    return {key: Graded(**one) for key, one in json.loads(file.read_text("utf-8")).items()}


def write(file: Path, graded: dict[str, Graded]) -> None:
    """Whole or not at all: the work may be ended at any moment."""
    rows = [f"{json.dumps(key)}: {json.dumps(asdict(one))}"
            for key, one in sorted(list(graded.items()))]
    write_whole(file, "{" + ",\n".join(rows) + "}\n")


def explanations() -> dict[tuple[int, int, str], str]:
    """(exercise, step, change) → why no check can kill it. ValueError: a line that is none."""
    found: dict[tuple[int, int, str], str] = {}
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            exercise, step, change, why = (cell.strip() for cell in line.split(" | ", 3))
            found[int(exercise), int(step), change] = why
    return found


def why_equivalent(one: Graded) -> str:
    return explanations().get((one.exercise, one.step, one.change), "")


def unexplained(graded: list[Graded]) -> list[Graded]:
    return [one for one in graded if one.outcome not in KILLED and not why_equivalent(one)]


def lines(graded: list[Graded]) -> list[str]:
    counts = {number: Counter(one.outcome for one in graded if one.exercise == number)
              for number in sorted({one.exercise for one in graded})}
    alive = [one for one in graded if one.outcome not in KILLED]
    return table(counts, sorted(alive, key=lambda one: (one.exercise, one.line, one.change)))


def table(counts: dict[int, Counter[str]], alive: list[Graded]) -> list[str]:
    """In Markdown."""
    told = ["| exercise | mutants | killed by an item | by the common ground alone | equivalent "
            "| alive | score |", "|---|--:|--:|--:|--:|--:|--:|"]
    total: Counter[str] = Counter()
    for number, own in counts.items():
        mine = [one for one in alive if one.exercise == number]
        told.append(row(str(number), own, mine))
        total.update(own)
    told.append(row("all", total, alive))
    for heading, wanted in (("alive", False), ("equivalent", True)):
        some = [one for one in alive if bool(why_equivalent(one)) == wanted]
        if some:
            told += ["", f"| {heading}: exercise, step | change | why |", "|---|---|---|"]
        for one in some:
            change = one.change.replace("|", "\\|")
            why = why_equivalent(one) or one.outcome
            told.append(f"| {one.exercise}, {one.step} | `{change}` | {why} |")
    return told


def row(name: str, counts: Counter[str], alive: list[Graded]) -> str:
    """The score leaves out those that are equivalent."""
    equal = sum(bool(why_equivalent(one)) for one in alive)
    killed = sum(counts[outcome] for outcome in KILLED)
    score = f"{100 * killed / max(1, counts.total() - equal):.1f} %"
    cells = [name, counts.total(), *(counts[outcome] for outcome in KILLED), equal,
             len(alive) - equal, score]
    return f"| {' | '.join(map(str, cells))} |"
