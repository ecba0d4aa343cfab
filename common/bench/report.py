"""The results of a benchmark: measurements, and figures with their bounds.

A report goes to the terminal as tables and to a file as JSON.
"""

import json
import math
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass
class Measurement:
    """One competitor in one discipline: one value for each round, in the unit."""

    discipline: str
    competitor: str
    unit: str
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.rounds) if self.rounds else math.nan


@dataclass
class Figure:
    """A number that must be at least, at most or less than its bound."""

    title: str
    value: float
    sign: str  # "≥", "≤" or "<"
    bound: float
    unit: str = "×"
    low: float = math.nan  # the lowest and the highest value of the rounds
    high: float = math.nan

    @property
    def held(self) -> bool:
        # Bounds have two digits after the point; the value is rounded to as many.
        value = round(self.value, 2)
        held = {"≥": value >= self.bound, "≤": value <= self.bound, "<": value < self.bound}
        return held[self.sign]


def ratio(title: str, ours: Measurement, theirs: Measurement, sign: str, bound: float) -> Figure:
    """The median of the rounds' ratios. A disturbance in a round slows both sides of its ratio."""
    ratios = [a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True) if b > 0]
    if not ratios:
        return Figure(title, math.nan, sign, bound)
    return Figure(title, median(ratios), sign, bound, "×", min(ratios), max(ratios))


@dataclass
class Report:
    measurements: list[Measurement] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.measurements += other.measurements
        self.figures += other.figures
        self.notes += other.notes

    @property
    def missed(self) -> int:
        return sum(not figure.held for figure in self.figures)

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}
        figures = [{**asdict(figure), "held": figure.held} for figure in self.figures]
        measurements = [{**asdict(one), "median": one.median} for one in self.measurements]
        whole = {
            "machine": machine, "figures": figures,
            "measurements": measurements, "notes": self.notes,
        }
        file.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")

    def show(self) -> None:
        terminal = Console()
        console = terminal if terminal.is_terminal else Console(width=110)
        console.print(self._measured())
        console.print(self._judged())
        for note in self.notes:
            console.print(f"note: {note}", highlight=False, soft_wrap=True)

    def _measured(self) -> Table:
        table = Table(title="measured", box=box.SIMPLE, title_justify="left")
        for name in ("discipline", "competitor"):
            table.add_column(name)
        for name in ("median", "lowest", "highest"):
            table.add_column(name, justify="right")
        table.add_column("unit")
        last = ""
        for one in self.measurements:
            values = [math.nan] * 3
            if one.rounds:
                values = [one.median, min(one.rounds), max(one.rounds)]
            first = one.discipline if one.discipline != last else ""
            last = one.discipline
            table.add_row(first, one.competitor, *(number(value) for value in values), one.unit)
        return table

    def _judged(self) -> Table:
        table = Table(title="against the bounds", box=box.SIMPLE, title_justify="left")
        table.add_column("figure")
        for name in ("value", "rounds", "bound"):
            table.add_column(name, justify="right")
        table.add_column("")
        for one in self.figures:
            spread = "" if math.isnan(one.low) else f"{one.low:.2f} … {one.high:.2f}"
            verdict = "[green]ok[/]" if one.held else "[bold red]missed[/]"
            unit = "×" if one.unit == "×" else f" {one.unit}"
            bound = f"{one.sign} {one.bound:g}{unit}"
            table.add_row(one.title, f"{one.value:.2f}{unit}", spread, bound, verdict)
        return table


def number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
