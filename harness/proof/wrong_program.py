"""A wrong program: the solution with one mistake that learners make."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wrong:
    name: str
    mistake: str
    """The learner's mistake, in a sentence."""
    item: int
    """The item that must fail; 0: the common ground."""
    edits: tuple[tuple[str, str], ...]
    """Texts of the solution (each must be there just once), each with the text in its place."""
    word: str
    """Must occur in the likely cause that is printed with a failed check of the item."""
    also: dict[int, str] = field(default_factory=dict)
    """Other items that can fail with this mistake, and why."""
    real_time: bool = False
    """Only the contract's own figures bring it to light."""


class NoSuchText(Exception):
    """An edit does not apply any more: the solution has changed."""


def apply(wrong: Wrong, source: str) -> str:
    for old, new in wrong.edits:
        found = source.count(old)
        if found != 1:
            raise NoSuchText(f"{wrong.name}: the solution has {found} places that read\n{old}\n"
                             "Just one is wanted: mend the edit")
        source = source.replace(old, new)
    return source
