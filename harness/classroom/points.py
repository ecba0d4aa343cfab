"""How many points an item is worth. A small file may say so:

    # points.toml: exercise.item = points (an item that is not named: 1; 0: common ground, else 0)
    [ex1]
    1 = 1
    5 = 2.5
"""
from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from harness.classroom.results import Result

ITEMS = ("0", "1", "2", "3", "4", "5")


class NoPoints(Exception):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True)
class Points:
    by_exercise: dict[int, dict[int, float]] = field(default_factory=dict)

    def of_item(self, exercise: int, item: int) -> float:
        return self.by_exercise.get(exercise, {}).get(item, 1.0 if item else 0.0)

    def most(self, exercise: int) -> float:
        return sum(self.of_item(exercise, int(item)) for item in ITEMS)

    def reached(self, result: Result) -> float | None:
        """None: not known yet."""
        if result.state in ("inconclusive", "crashed"):
            return None
        return sum((self.of_item(result.exercise, one["item"]) for one in result.items
                    if one["result"] == "pass"), 0.0)


def read(file: Path) -> Points:
    """Raises NoPoints."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise NoPoints(f"{file} cannot be read: {why}") from None
    return Points({number_of(name, file): of_exercise(name, table, file)
                   for name, table in found.items()})


def number_of(name: str, file: Path) -> int:
    if len(name) != 3 or name[:2] != "ex" or name[2] not in "12345":
        raise NoPoints(f"{file}: [{name}] is no exercise; there are [ex1] to [ex5]")
    return int(name[2])


def of_exercise(name: str, table: object, file: Path) -> dict[int, float]:
    if not isinstance(table, dict):
        raise NoPoints(f"{file}: {name} is to be a table, as in [{name}]")
    for item, points in table.items():
        if item not in ITEMS or isinstance(points, bool) or not isinstance(points, (int, float)) \
                or not 0 <= points <= 1000:
            raise NoPoints(f"{file}: {name}.{item} = {points}: items are 0 to 5 (0: common "
                           "ground), points from 0 to 1000")
    return {int(item): float(points) for item, points in table.items()}
