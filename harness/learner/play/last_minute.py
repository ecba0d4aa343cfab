"""The last minute of clusters that are played with, as data for the picture.

It comes from the events that are seen from outside, and from the journals of the clusters.
"""
from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cluster.cluster import Cluster
from harness.judging.events import Event, EventLog
from harness.judging.journal import Entry, entries
from harness.picture.timeline import window

SPAN = 60.0
"""Seconds that are shown."""
MOST = 20_000
"""Entries of a journal that are kept: a client may ask as quickly as the machine can."""
LASTING = ("spawn", "exit", "ready")
"""Events of the journal that say what a process is. Others are forgotten when out of sight."""


@dataclass
class Tail:
    """A journal, which may be long: each time only its new lines are read."""

    path: Path
    position: int = 0
    kept: list[dict[str, Any]] = field(default_factory=list)

    def read(self, since: float) -> list[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.position)
                text, end, _ = file.read().rpartition(b"\n")
        except OSError:
            return self.kept
        self.position += len(text) + len(end)
        self.kept += [entry for line in text.splitlines() if (entry := parsed(line))]
        lasting = [entry for entry in self.kept if entry.get("event") in LASTING]
        passing = [entry for entry in self.kept
                   if entry.get("event") not in LASTING and entry.get("t", 0.0) >= since]
        self.kept = lasting + passing[-MOST:]
        return self.kept


def parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("t"), (int, float)) else None


class Minute:
    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.tails: dict[int, Tail] = {}

    def picture(self, newest: Cluster) -> dict[str, Any]:
        """That of the newest cluster, and of those before it as long as they are in sight."""
        now = time.monotonic()
        since = now - SPAN
        self.tails.setdefault(newest.number, Tail(newest.journal))
        self.log.forget(since)
        self.log.journals = {number: tail.read(since) for number, tail in self.tails.items()}
        events = self.log.all()
        others = [event for number in self.tails
                  for event in self._others(number, events, since, now)]
        return window(self.log, others, since, now).as_json()

    def _others(self, cluster: int, events: list[Event], since: float,
                now: float) -> list[Event]:
        """Requests in the journal that are not our own, as of somebody's curl."""
        own: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if event.kind == "request" and event.cluster == cluster:
                own[bare(event.path or "")].append(event)
        answers: dict[tuple[int, int | None], deque[Entry]] = defaultdict(deque)
        told = entries(self.log.journals[cluster], since, now)
        for entry in told:
            if entry.event == "response":
                answers[entry.pid, entry.whole("conn")].append(entry)
        found = []
        for request in told:
            if request.event != "request" or taken(own[bare(request.text("path"))], request):
                continue
            found.append(foreign(cluster, request, answers[request.pid, request.whole("conn")]))
        return found


def bare(path: str) -> str:
    return path.partition("?")[0]


def taken(own: list[Event], request: Entry) -> bool:
    """Whether the request is one of our own. That one is then removed: it stands for no other."""
    for index, event in enumerate(own):
        same = event.pid in (None, request.pid) and event.method == request.text("method")
        if same and event.t - 0.001 <= request.t <= (event.end or request.t) + 0.001:
            del own[index]
            return True
    return False


def foreign(cluster: int, request: Entry, answers: deque[Entry]) -> Event:
    """The event of a request, with its answer: a connection gives its answers in order.

    Each connection of the journal counts as a client of its own.
    """
    while answers and answers[0].t < request.t:
        answers.popleft()
    answer = answers[0] if answers else None
    return Event(request.t, "request", cluster=cluster, pid=request.pid,
                 worker=request.slot or None,
                 conn=-(request.pid * 1_000_000 + (request.whole("conn") or 0)),
                 method=request.text("method"), path=request.text("path"),
                 end=answer.t if answer else None,
                 status=answer.whole("status") if answer else None)
