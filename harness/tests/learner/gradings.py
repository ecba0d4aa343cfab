"""Gradings of exercise 1 that are noted in a learner's progress."""
from __future__ import annotations

from harness.judging.checklist import Checklist, Item
from harness.judging.exercise import Exercise
from harness.judging.verdict import Record, Result
from harness.learner import progress


def toy_checklist(items: list[Item]) -> Checklist:
    return Checklist(Exercise(number=1, name="toy", folder="", start_first=""), items)


def graded(*results: Result, chosen: int | None = None) -> None:
    """Record a grading of exercise 1 in which item N has one check, `test_N`; or of one item."""
    items = [Item(number, f"item {number}",
                  {f"TestItem{number}::test_{number}": f"check {number}"})
             for number in range(1, 6)]
    checklist = toy_checklist(items)
    if chosen is not None:
        checklist.choose({f"TestItem{chosen}::test_{chosen}"})
    for item, result in zip(checklist.items, results):
        [(id_, title)] = item.planned.items()
        checklist.add(Record(id_, item.number, title, result))
    progress.record(checklist)


def failed_items() -> list[int]:
    return [one.item for one in progress.of(1).failed]
