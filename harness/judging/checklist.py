"""The checklist of an exercise: its items, and the checks and results of each."""
from __future__ import annotations

import importlib
import inspect
import types
from dataclasses import dataclass, field

from harness.judging.exercise import Declaration, Exercise
from harness.judging.verdict import Record, Result

COMMON = 0


def sentence(thing: object) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


@dataclass
class Item:
    number: int
    title: str
    planned: dict[str, str] = field(default_factory=dict)
    """Id → title of each chosen check."""
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Id → names of the checks that it builds on."""
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def result(self) -> Result | None:
        """None while checks are still missing."""
        if len(self.records) < len(self.planned):
            return None
        results = {record.result for record in self.records.values()}
        order: tuple[Result, ...] = ("fail", "inconclusive", "skipped")
        return next((one for one in order if one in results), "pass")


class Checklist:
    def __init__(self, exercise: Exercise, items: list[Item]) -> None:
        self.exercise, self.items = exercise, items
        self.order = [id_ for item in items for id_ in item.planned]
        """All checks of the exercise, whichever are chosen."""

    @staticmethod
    def of_module(name: str) -> Checklist:
        module = importlib.import_module(name)
        items = [Item(number, sentence(cls), planned_of(cls), needs_in(cls))
                 for cls, number in classes(module)]
        return Checklist(module.EXERCISE, sorted(items, key=lambda item: item.number or 1000))

    def choose(self, ids: set[str]) -> None:
        """Keep only these checks: the user asked for a part."""
        for item in self.items:
            item.planned = {id_: title for id_, title in item.planned.items() if id_ in ids}
        self.items = [item for item in self.items if item.planned]

    def add(self, record: Record) -> Item | None:
        for item in self.items:
            if record.id in item.planned:
                item.records[record.id] = record
                return item
        return None

    @property
    def whole(self) -> bool:
        """Every check of the exercise was chosen, and has run."""
        return sum(len(item.records) for item in self.items) == len(self.order)

    @property
    def counted(self) -> list[Item]:
        return [item for item in self.items if item.number != COMMON]

    @property
    def passed(self) -> int:
        return sum(item.result == "pass" for item in self.counted)

    @property
    def stuck(self) -> bool:
        """The check that all others build on failed, so none of the others could be tried."""
        tried = [id_ for item in self.counted for id_, record in item.records.items()
                 if record.result != "skipped" and item.needs.get(id_)]
        first = [record for item in self.counted for id_, record in item.records.items()
                 if not item.needs.get(id_)]
        return not tried and any(record.result == "fail" for record in first)


def classes(module: types.ModuleType) -> list[tuple[type, int]]:
    return [(cls, cls.item) for name, cls in vars(module).items()
            if inspect.isclass(cls) and name.startswith("Test") and hasattr(cls, "item")]


def planned_of(cls: type) -> dict[str, str]:
    names = [name for base in reversed(cls.__mro__) for name in vars(base)
             if name.startswith("test_")]
    return {f"{cls.__name__}::{name}": sentence(getattr(cls, name))
            for name in dict.fromkeys(names)}


def needs_in(cls: type) -> dict[str, tuple[str, ...]]:
    return {id_: needs_of(cls, getattr(cls, id_.rpartition("::")[2])) for id_ in planned_of(cls)}


def needs_of(cls: type, function: object) -> tuple[str, ...]:
    """The checks that this one builds on, by the names of their functions."""
    names = (*getattr(cls, "needs", ()), *declaration_of(function).needs)
    return tuple(name for name in names if name != getattr(function, "__name__", ""))


def declaration_of(function: object) -> Declaration:
    found = getattr(function, "declaration", None)
    return found if isinstance(found, Declaration) else Declaration()
