"""What an instructor may want to know about a submission's source. It is never a verdict."""
from __future__ import annotations

import re

STEP = re.compile(r"[ \t]*// (END )?STEP \d+")
COMMENT = re.compile(r"//.*?$|/\*.*?(?:\*/|\Z)", re.MULTILINE | re.DOTALL)
"""To its end, wherever that is: a source may be a stranger's, and patterns that look for the same
end again and again would take hours."""
TOKEN = re.compile(r"\w+|[^\w\s]")
LENGTH = 10
"""Tokens of a passage: so many in a row seldom agree by chance."""
LEAST, COPIED = 60, 0.9
"""Passages below which nothing can be said; the share of them that makes a copy."""
FOREIGN = re.compile(
    r'^[ \t]*#[ \t]*include[ \t]*["<](?:/|\.\./|[^">\n]{0,300}solutions/)[^">\n]{0,300}[">]'
    r'|\.incbin|\b(?:__asm__|asm)\s*\(',
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


def steps(source: str) -> list[str]:
    found: list[str] = []
    inside: list[str] | None = None
    for line in source.splitlines():
        mark = STEP.match(line)
        if mark and mark[1] and inside is not None:
            found.append("\n".join(inside))
            inside = None
        elif mark and not mark[1] and inside is None:
            inside = []
        elif inside is not None:
            inside.append(line)
    return found


def passages(source: str) -> set[tuple[str, ...]]:
    """What stands in the steps, in pieces of LENGTH tokens."""
    found: set[tuple[str, ...]] = set()
    for step in steps(source):
        tokens = TOKEN.findall(COMMENT.sub(" ", step))
        found |= {tuple(tokens[at:at + LENGTH]) for at in range(len(tokens) - LENGTH + 1)}
    return found
