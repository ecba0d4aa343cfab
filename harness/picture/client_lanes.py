"""The lanes of the clients.

A client has one connection after another: connections at the same time are different clients.
An answer that came after the verdict counts as none: the picture shows what was known then. Such
answers come, as a rule, while the cluster is torn down.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from harness.judging.events import Event
from harness.picture.timeline_parts import Bar, Lane, Note, Outcome, Timeline

MOST_LANES = 48


@dataclass
class Connection:
    start: float
    end: float
    requests: list[Event] = field(default_factory=list)
    notes: list[Event] = field(default_factory=list)

    def take(self, event: Event, until: float) -> None:
        self.start, self.end = min(self.start, event.t), max(self.end, event.end or event.t)
        if event.kind in ("open", "close"):
            self.notes.append(event)
        else:
            self.requests.append(event)
            self.end = max(self.end, end_of(event, until))

    def broke(self, until: float) -> bool:
        return any(outcome(event, until) in ("broken", "waiting") for event in self.requests)


def add_clients(timeline: Timeline, cluster: int, events: list[Event], until: float) -> None:
    """`until`: when the wait for those answers ended that never came."""
    connections: dict[int, Connection] = {}
    for event in events:
        if event.conn is not None:
            connections.setdefault(event.conn, Connection(event.t, event.t)).take(event, until)
    for number, one_after_another in enumerate(pack(timeline, list(connections.values()), until)):
        lane = add_lane(timeline, cluster, f"client {number + 1}")
        for connection in one_after_another:
            timeline.notes += [note(event, lane) for event in connection.notes]
            timeline.bars += [bar(timeline, event, lane, until) for event in connection.requests]
    add_load(timeline, cluster, events, until)


def add_lane(timeline: Timeline, cluster: int, name: str) -> int:
    timeline.lanes.append(Lane(cluster, "client", name))
    return len(timeline.lanes) - 1


def pack(timeline: Timeline, connections: list[Connection],
         until: float) -> list[list[Connection]]:
    """As few clients as possible. Of too many, those with a broken request are kept first."""
    clients = one_after_another(sorted(connections, key=lambda one: one.start))
    ranked = sorted(range(len(clients)),
                    key=lambda index: not any(one.broke(until) for one in clients[index]))
    timeline.leave_out("connections", sum(len(clients[index]) for index in ranked[MOST_LANES:]))
    return [clients[index] for index in sorted(ranked[:MOST_LANES])]


def one_after_another(connections: list[Connection]) -> list[list[Connection]]:
    clients: list[list[Connection]] = []
    for connection in connections:
        free = next((client for client in clients if client[-1].end <= connection.start), None)
        if free is None:
            free = []
            clients.append(free)
        free.append(connection)
    return clients


def add_load(timeline: Timeline, cluster: int, events: list[Event], until: float) -> None:
    """Add the clients of a load: they ask all the time, and have names of their own.

    A request that the verdict blames is there twice: as "load", and as "request" of no connection.
    """
    named = {event.t for event in events if event.kind == "request" and event.conn is None}
    load = [event for event in events if event.kind == "load"]
    lanes = {name: add_lane(timeline, cluster, f"load, {name}")
             for name in sorted({event.data["client"] for event in load}, key=by_number)}
    for event in load:
        drawn = bar(timeline, event, lanes[event.data["client"]], until)
        drawn.blamed = event.t in named
        timeline.bars.append(drawn)


def by_number(name: str) -> tuple[str, int]:
    """Sorts "kept 2" before "kept 10"."""
    kind, number = name.split()[:2]
    return kind, int(number)


def note(event: Event, lane: int) -> Note:
    how = "opened" if event.kind == "open" else event.text
    return Note(lane, event.t, f"connection {how}")


def answered(event: Event, until: float) -> bool:
    return event.end is not None and event.end <= until


def end_of(event: Event, until: float) -> float:
    return event.end if event.end is not None and event.end <= until else max(event.t, until)


def outcome(event: Event, until: float) -> Outcome:
    if not answered(event, until) or event.text == "no answer":
        return "waiting"
    if event.text or not event.status:
        return "broken"
    return "ok" if event.status < 400 else "error"


def bar(timeline: Timeline, event: Event, lane: int, until: float) -> Bar:
    came = answered(event, until)
    what = f"{event.method} {event.path}" + (", as raw bytes" if event.kind == "raw" else "")
    told = (event.text or str(event.status)) if came else "no answer"
    by = f"worker {event.worker}" if event.worker is not None and came else ""
    return Bar(lane, event.t, end_of(event, until), outcome(event, until), what, told, by,
               blamed(event, timeline.seen, until))


def blamed(event: Event, seen: str, until: float) -> bool:
    """Whether the verdict tells of this request.

    It does so in the request's own words; without an answer, by the method and the path.
    """
    if not answered(event, until):
        return f"{event.method} {event.path}" in seen
    return bool(event.data.get("told")) and event.data["told"] in seen
