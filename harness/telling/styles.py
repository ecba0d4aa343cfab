"""How results look, the same while the checklist fills and at the end."""
from __future__ import annotations

from rich.text import Text

from harness.judging.checklist import COMMON, Item
from harness.judging.verdict import Result

MARKS: dict[Result | None, str] = {
    "pass": "[x]", "fail": "[ ]", "skipped": "[ ]", "inconclusive": "[?]", None: "[ ]"}
STYLES: dict[Result | None, str] = {
    "pass": "green", "fail": "red", "skipped": "dim", "inconclusive": "yellow", None: "default"}
WORDS: dict[Result | None, str] = {
    "pass": "pass", "fail": "FAIL", "skipped": "skipped", "inconclusive": "inconclusive", None: ""}


def title(item: Item) -> str:
    return f"{item.number}. {item.title}" if item.number != COMMON else item.title


def heading(item: Item, result: Result | None) -> Text:
    word = f"   {WORDS[result]}" if result not in ("pass", None) else ""
    return Text(f"{MARKS[result]} {title(item)}{word}", style=STYLES[result])
