"""The parts of a check's picture: lanes, spans, bars, arrows, notes and marks on one axis of time.

Moments are CLOCK_MONOTONIC seconds here; every float is one. What as_json() gives has milliseconds
since the first moment instead.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Sequence, TypeVar

from harness.judging.process_history import State
from harness.judging.verdict import Bound

Kind = Literal["master", "worker", "process", "client"]
Outcome = Literal["ok", "error", "broken", "waiting"]
Part = TypeVar("Part")
FREQUENT = ("bars", "arrows", "notes")
"""Parts that may be too many. States and signals are few, and without them nothing is clear."""


@dataclass
class Lane:
    """A row. That of a process has a pid and, if known, a slot; that of a client has neither."""

    cluster: int
    kind: Kind
    name: str
    pid: int | None = None
    slot: int | None = None
    fate: str = ""
    """How the process ended, if the journal says it."""


@dataclass
class Span:
    """A process in one state. `last`: it ends with the process."""

    lane: int
    start: float
    end: float
    state: State
    version: str = ""
    last: bool = False


@dataclass
class Bar:
    """A request, from its first byte sent to the last received, or to the end of the wait."""

    lane: int
    start: float
    end: float
    outcome: Outcome
    what: str
    told: str
    """What came of it: a status, or in words how it broke."""
    by: str = ""
    blamed: bool = False
    """Whether the verdict tells of it."""


@dataclass
class Arrow:
    """A message between two processes. Without `received`, nobody has received it."""

    source: int
    target: int
    sent: float
    received: float | None
    what: str
    id: str = ""


@dataclass
class Note:
    """A moment in a lane: a line of the program or its journal, or a connection's start or end."""

    lane: int
    t: float
    what: str


@dataclass
class Mark:
    """A moment in all lanes of a cluster: a signal that the harness sent."""

    cluster: int
    t: float
    what: str
    lane: int | None = None


@dataclass
class Timeline:
    start: float
    end: float
    judged: float | None = None
    seen: str = ""
    """What the verdict says if it is not a pass."""
    bound: Bound | None = None
    lanes: list[Lane] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def count(self) -> int:
        return sum(len(getattr(self, name)) for name in FREQUENT)

    def thin(self, most: int) -> None:
        """Leave out parts until about `most` are left. What broke, or is blamed, goes last."""
        share = most / max(most, self.count())
        for name in FREQUENT:
            parts = getattr(self, name)
            kept = sample(parts, math.ceil(len(parts) * share))
            setattr(self, name, kept)
            self.leave_out(name, len(parts) - len(kept))

    def leave_out(self, name: str, count: int) -> None:
        if count > 0:
            self.left_out[name] = self.left_out.get(name, 0) + count

    def as_json(self) -> dict[str, Any]:
        """For the page's script. Lists of parts are tables, so that each name is said once."""
        bound = None if self.bound is None else self._row(self.bound)
        said: dict[str, Any] = {"origin": round(self.start, 6), "end": self._ms(self.end),
                                "judged": self._ms(self.judged), "seen": self.seen,
                                "leftOut": self.left_out, "bound": bound}
        for name in ("lanes", "spans", "marks", *FREQUENT):
            parts = getattr(self, name)
            said[name] = {"keys": list(vars(parts[0])) if parts else [],
                          "rows": [list(self._row(part).values()) for part in parts]}
        return said

    def _row(self, part: object) -> dict[str, Any]:
        return {name: self._ms(value) if isinstance(value, float) else value
                for name, value in vars(part).items()}

    def _ms(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self.start) * 1000, 1)


def sample(parts: Sequence[Part], most: int) -> list[Part]:
    """At most `most` parts, in their order: first those that matter, then others, evenly chosen."""
    matter = [index for index, part in enumerate(parts) if matters(part)]
    other = [index for index, part in enumerate(parts) if not matters(part)]
    chosen = evenly(matter, most)
    return [parts[index] for index in sorted(chosen + evenly(other, most - len(chosen)))]


def matters(part: object) -> bool:
    said = part if isinstance(part, dict) else vars(part)
    return said.get("outcome", "ok") != "ok" or bool(said.get("blamed"))


def halve(said: dict[str, Any]) -> None:
    """Leave half of the frequent parts out of what as_json() has given."""
    for name in FREQUENT:
        keys, rows = said[name]["keys"], said[name]["rows"]
        kept = sample([dict(zip(keys, row)) for row in rows], len(rows) // 2)
        said[name]["rows"] = [list(part.values()) for part in kept]
        if len(kept) < len(rows):
            said["leftOut"][name] = said["leftOut"].get(name, 0) + len(rows) - len(kept)


def evenly(parts: list[int], most: int) -> list[int]:
    if len(parts) <= most:
        return parts
    return [parts[number * len(parts) // most] for number in range(most)]
