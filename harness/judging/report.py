"""The results of a grading as data, from which the JSON file, the page and the trace are made."""
from __future__ import annotations

from typing import Any

from harness.judging.checklist import COMMON, Checklist, Item
from harness.judging.verdict import Record

KEYS = ("id", "title", "result", "seconds", "behind", "expected", "seen", "wrote", "likely", "hint",
        "rerun", "notes")


def as_json(checklist: Checklist, program: str, seconds: float) -> dict[str, Any]:
    common = [item for item in checklist.items if item.number == COMMON]
    return {
        "exercise": checklist.exercise.number,
        "program": program,
        "seconds": round(seconds, 2),
        "passed": checklist.passed,
        "total": len(checklist.counted),
        "items": [item_json(item) for item in checklist.counted],
        "common": item_json(common[0]) if common else item_json(Item(COMMON, "Common ground")),
    }


def item_json(item: Item) -> dict[str, Any]:
    checks = [item.records.get(id_) or Record(id_, item.number, title, seen="it did not run")
              for id_, title in item.planned.items()]
    return {"item": item.number, "title": item.title, "result": item.result or "inconclusive",
            "checks": [check_json(record) for record in checks]}


def check_json(record: Record) -> dict[str, Any]:
    return {key: getattr(record, key) for key in KEYS}
