"""From what was done and seen in a check, and the journals of its clusters, to the parts of its picture."""
from __future__ import annotations

from .events import EventLog
from .timeline_clients import add_clients
from .timeline_journal import entries
from .timeline_parts import Mark, Timeline
from .timeline_processes import Processes, add_messages, add_notes, add_processes
from .verdict import Bound

MOST = 5000
"""Parts of one picture beside its lanes."""


def picture(log: EventLog, seen: str = "", bound: Bound | None = None) -> Timeline:
    """`seen` is what a verdict says that is no pass, `bound` the one that was not kept."""
    events = log.all()
    judged = next((event.t for event in events if event.kind == "judged"), None)
    moments = [event.t for event in events] + [event.end for event in events if event.end is not None]
    start, end = min(moments, default=0.0), max(moments, default=0.0)
    timeline = Timeline(start, end, judged, seen, bound)
    for cluster in sorted({event.cluster for event in events if event.cluster}):
        mine = [event for event in events if event.cluster == cluster]
        known = Processes(cluster, mine, entries(log.journals.get(cluster, []), start, end), end)
        lanes = add_processes(timeline, known)
        add_messages(timeline, known, lanes)
        add_notes(timeline, known, lanes)
        add_clients(timeline, cluster, mine, judged if judged is not None else end)
        timeline.marks += [Mark(cluster, event.t, f"{event.text} → {event.data.get('to', event.pid)}", lanes.get(event.pid or 0))
                           for event in mine if event.kind == "signal"]
    timeline.thin(MOST)
    if bound is not None:
        timeline.end = max(timeline.end, bound.due, bound.end)
    return timeline
