"""The hints for an exercise, out of its README.

`make ex1-hint` prints the same words that a reader unfolds there.
"""
from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

SECTION = re.compile(r'<a id="hints-(?:item-(\d)|common-ground)"></a>\n(.*?)(?=\n<a id=|\n## |\Z)',
                     re.DOTALL)
FOLDED = re.compile(r"<details><summary>(.+?)</summary>\n(.+?)\n</details>", re.DOTALL)


@dataclass(frozen=True)
class Hint:
    title: str
    text: str


def of_readme(readme: Path) -> dict[int, list[Hint]]:
    """Item (0: common ground) → its hints, the mildest first."""
    return {int(section[1] or 0): [Hint(folded[1], plain(folded[2]))
                                   for folded in FOLDED.finditer(section[2])]
            for section in SECTION.finditer(readme.read_text(encoding="utf-8"))}


def plain(text: str) -> str:
    """One paragraph without HTML."""
    marked = re.sub(r"</?em>", "*", re.sub(r"</?code>", "`", text))
    return html.unescape(" ".join(marked.split()))
