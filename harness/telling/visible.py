"""What a program has said, made fit for a terminal and for a file that somebody prints there."""
from __future__ import annotations

import re
from typing import Any

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but for the tab and the end of a line, and halves of surrogate pairs."""


def visible(text: str) -> str:
    """Each control character is written as its number, `\\x1b` for instance."""
    return CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def all_visible(value: Any) -> Any:
    """The same for all texts in lists and dictionaries."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [all_visible(one) for one in value]
    if isinstance(value, dict):
        return {visible(key) if isinstance(key, str) else key: all_visible(one)
                for key, one in value.items()}
    return value
