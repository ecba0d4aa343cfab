"""From what was done and seen in a check, and the journals of its clusters, to the parts of its picture."""
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
"""Parts of one picture beside its lanes."""


def picture(log: EventLog, seen: str = "", bound: Bound | None = None) -> Timeline:
    """`seen` is what a verdict says that is no pass, `bound` the one that was not kept."""
    events = log.all()
    judged = next((event.t for event in events if event.kind == "judged"), None)
    moments = [event.t for event in events] + [event.end for event in events if event.end is not None]
    start, end = min(moments, default=0.0), max(moments, default=0.0)
    timeline = Timeline(start, end, judged, seen, bound)
    add_clusters(timeline, events, log.journals, judged if judged is not None else end)
    timeline.thin(MOST)
    if bound is not None:
        timeline.end = max(timeline.end, bound.due, bound.end)
    return timeline


def window(log: EventLog, events: list[Event], start: float, end: float) -> Timeline:
    """What goes on between two moments; processes that were gone before are left out. `events`: some more than the log's."""
    timeline = Timeline(start, end)
    gone = {event.pid for event in log.all() if event.kind == "death" and event.t < start}
    journals = {cluster: [entry for entry in journal if entry.get("pid") not in gone and entry.get("child") not in gone]
                for cluster, journal in log.journals.items()}
    add_clusters(timeline, [event for event in (*log.all(), *events) if event.pid not in gone], journals, end)
    timeline.thin(MOST)
    return timeline


def add_clusters(timeline: Timeline, events: list[Event], journals: dict[int, list[dict[str, Any]]], until: float) -> None:
    for cluster in sorted({event.cluster for event in events if event.cluster}):
        mine = [event for event in events if event.cluster == cluster]
        known = ProcessHistory(cluster, mine, entries(journals.get(cluster, []), timeline.start, timeline.end), timeline.end)
        lanes = add_processes(timeline, known)
        add_messages(timeline, known, lanes)
        add_notes(timeline, known, lanes)
        add_clients(timeline, cluster, mine, until)
        timeline.marks += [Mark(cluster, event.t, f"{event.text} → {event.data.get('to', event.pid)}", lanes.get(event.pid or 0))
                           for event in mine if event.kind == "signal"]
