"""What an instructor may want to know about a submission's source. It is never a verdict."""
from __future__ import annotations

import re

STEP = re.compile(r"^\s*// STEP \d+:.*?^\s*// END STEP \d+", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"//.*?$|/\*.*?\*/", re.MULTILINE | re.DOTALL)
TOKEN = re.compile(r"\w+|[^\w\s]")
LENGTH = 10
"""Tokens of a passage: so many in a row seldom agree by chance."""
LEAST, COPIED = 60, 0.9
"""Passages below which nothing can be said; the share of them that makes a copy."""
FOREIGN = re.compile(
    r'^\s*#\s*include\s*["<](?:/|\.\./|[^">]*solutions/)[^">]*[">]|\.incbin'
    r'|\b(?:__asm__|asm)\s*\(',
    re.MULTILINE)


def source_notes(source: str, solution: str) -> list[str]:
    """`solution`: the kit's own file."""
    found = [f"the source has {match.group().strip()!r}" for match in FOREIGN.finditer(source)]
    own = passages(source)
    if len(own) >= LEAST:
        share = len(own & passages(solution)) / len(own)
        if share >= COPIED:
            found.append(f"{share:.0%} of what stands in the steps is the kit's solution, word for "
                         "word")
    return found


def passages(source: str) -> set[tuple[str, ...]]:
    """What stands in the steps, in pieces of LENGTH tokens."""
    found: set[tuple[str, ...]] = set()
    for step in STEP.findall(source):
        tokens = TOKEN.findall(COMMENT.sub(" ", step))
        found |= {tuple(tokens[at:at + LENGTH]) for at in range(len(tokens) - LENGTH + 1)}
    return found
