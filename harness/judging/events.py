"""What was done and seen during one check, as a list of events on the CLOCK_MONOTONIC axis.

The cluster's own journal uses the same clock, so the two can be laid side by side.
"""
from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["spawn", "ready", "output", "child", "open", "raw", "request", "close", "signal",
               "death", "note", "load", "judged"]
ASKED = ("raw", "request", "load")
PASSING = (*ASKED, "open", "close", "output")


@dataclass
class Event:
    """One thing done or seen. Fields that do not apply stay None."""

    t: float
    kind: Kind
    cluster: int = 0
    pid: int | None = None
    worker: int | None = None
    conn: int | None = None
    method: str | None = None
    path: str | None = None
    end: float | None = None
    status: int | None = None
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in (None, "", {})}


class EventLog:
    """The events of one check. Several threads add to it.

    A `request` was made by the check itself. A `load` was made by a client that asks all the time:
    the story of a check leaves those out.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._events: list[Event] = []
        self.journals: dict[int, list[dict[str, Any]]] = {}

    def add(self, kind: Kind, **fields: Any) -> Event:
        event = Event(fields.pop("t", None) or time.monotonic(), kind, **fields)
        with self._guard:
            self._events.append(event)
        return event

    def forget(self, before: float) -> None:
        """Drop requests, connections and output that were over before that moment."""
        with self._guard:
            self._events = [event for event in self._events if event.kind not in PASSING
                            or (event.end or event.t) >= before
                            or event.kind in ASKED and event.end is None]

    def all(self) -> list[Event]:
        with self._guard:
            return sorted(self._events, key=lambda event: event.t)

    def as_json(self) -> list[dict[str, Any]]:
        return [event.as_json() for event in self.all()]


@dataclass(frozen=True)
class Line:
    t: float
    text: str
    error: bool


def shortened(text: str, most: int) -> str:
    """Without its middle, if it is longer than `most`: the fault is often told at the end."""
    if len(text) <= most:
        return text
    head = most // 3
    return f"{text[:head]} … {text[len(text) - (most - head):]}"


LONGEST_TEXT = 160


def short(text: object) -> str:
    """The beginning of a text by a program, which may be long."""
    said = str(text)
    return said if len(said) <= LONGEST_TEXT else said[:LONGEST_TEXT] + "…"
