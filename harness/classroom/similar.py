"""Which submissions resemble each other more than by chance: a note for the instructor, never a
verdict.

Sources are compared by passages of tokens, as in the schools' tools for plagiarism (Schleimer,
Wilkerson and Aiken, "Winnowing", 2003). What the starter has does not count, and names that it does
not know are all the same: to rename a variable changes nothing.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from harness.plugin.source_notes import COMMENT, LEAST, TOKEN

LENGTH = 16
"""Tokens of a passage."""
SHARE = 0.7
"""The share of the smaller one's own passages that both have, from which on a pair is shown."""
MOST_PAIRS = 50


@dataclass(frozen=True)
class Pair:
    one: int
    other: int
    """Places in the list of sources."""
    share: float


def pairs(sources: list[str], starter: str) -> list[Pair]:
    """The most alike come first."""
    known = frozenset(tokens(starter))
    given = passages(starter, known)
    own = [passages(source, known) - given for source in sources]
    found = []
    for (one, mine), (other, theirs) in combinations(enumerate(own), 2):
        least = min(len(mine), len(theirs))
        share = len(mine & theirs) / least if least >= LEAST else 0.0
        if share >= SHARE:
            found.append(Pair(one, other, share))
    return sorted(found, key=lambda pair: (-pair.share, pair.one, pair.other))[:MOST_PAIRS]


def tokens(source: str) -> list[str]:
    return TOKEN.findall(COMMENT.sub(" ", source))


def passages(source: str, known: frozenset[str]) -> set[int]:
    plain = [token if token in known or not (token[0].isalpha() or token[0] == "_") else "_"
             for token in tokens(source)]
    return {hash(tuple(plain[at:at + LENGTH])) for at in range(len(plain) - LENGTH + 1)}
