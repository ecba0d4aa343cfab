"""Makes the picture of a check out of its events and the journals of its clusters."""
from __future__ import annotations

from typing import Any

from harness.judging.events import Event, EventLog
from harness.judging.journal import entries
from harness.judging.process_history import ProcessHistory
from harness.judging.verdict import Bound
from harness.picture.client_lanes import add_clients
from harness.picture.process_lanes import add_messages, add_notes, add_processes
from harness.picture.timeline_parts import Mark, Timeline

MOST = 5000
"""Parts of one picture: bars, arrows and notes. Its other parts are few."""


def picture(log: EventLog, seen: str = "", bound: Bound | None = None) -> Timeline:
    """`seen`: what the verdict says if it is no pass. `bound`: the one that was not kept."""
    events = log.all()
    judged = next((event.t for event in events if event.kind == "judged"), None)
    moments = [event.t for event in events]
    moments += [event.end for event in events if event.end is not None]
    start, end = min(moments, default=0.0), max(moments, default=0.0)
    timeline = Timeline(start, end, judged, seen, bound)
    add_clusters(timeline, events, log.journals, judged if judged is not None else end)
    timeline.thin(MOST)
    if bound is not None:
        timeline.end = max(timeline.end, bound.due, bound.end)
    return timeline


def window(log: EventLog, events: list[Event], start: float, end: float) -> Timeline:
    """What went on between two moments, without the processes that were gone before.

    `events`: some that come on top of those of the log.
    """
    timeline = Timeline(start, end)
    gone = {event.pid for event in log.all() if event.kind == "death" and event.t < start}
    journals = {cluster: [entry for entry in journal
                          if entry.get("pid") not in gone and entry.get("child") not in gone]
                for cluster, journal in log.journals.items()}
    present = [event for event in (*log.all(), *events) if event.pid not in gone]
    add_clusters(timeline, present, journals, end)
    timeline.thin(MOST)
    return timeline


def add_clusters(timeline: Timeline, events: list[Event],
                 journals: dict[int, list[dict[str, Any]]], until: float) -> None:
    for cluster in sorted({event.cluster for event in events if event.cluster}):
        mine = [event for event in events if event.cluster == cluster]
        journal = entries(journals.get(cluster, []), timeline.start, timeline.end)
        known = ProcessHistory(cluster, mine, journal, timeline.end)
        lanes = add_processes(timeline, known)
        add_messages(timeline, known, lanes)
        add_notes(timeline, known, lanes)
        add_clients(timeline, cluster, mine, until)
        timeline.marks += [mark(event, lanes) for event in mine if event.kind == "signal"]


def mark(event: Event, lanes: dict[int, int]) -> Mark:
    what = f"{event.text} → {event.data.get('to', event.pid)}"
    return Mark(event.cluster, event.t, what, lanes.get(event.pid or 0))
