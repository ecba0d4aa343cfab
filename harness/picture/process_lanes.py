"""The lanes of a cluster's processes, their states, and the messages between them."""
from __future__ import annotations

import re
from collections import defaultdict, deque

from harness.judging.events import short
from harness.judging.journal import Entry
from harness.judging.process_history import ProcessHistory, State
from harness.picture.timeline_parts import Arrow, Lane, Note, Span, Timeline

MOST_LANES = 80
KNOWN = ("spawn", "exit", "ready", "send", "recv", "open", "close", "request", "response")
"""What the journal says that is drawn in another way, or is known from outside."""


def add_processes(timeline: Timeline, known: ProcessHistory) -> dict[int, int]:
    """Lanes and spans; returns which lane is which pid's."""
    pids = known.in_order()
    lanes: dict[int, int] = {}
    for pid in pids[:MOST_LANES]:
        kind = known.kind(pid)
        name = f"worker {known.slots[pid]}" if kind == "worker" else kind
        lanes[pid] = len(timeline.lanes)
        timeline.lanes.append(Lane(known.cluster, kind, name, pid, known.slots.get(pid), known.fates.get(pid, "")))
        end = max(known.births[pid], known.deaths.get(pid, known.end))
        spans = [Span(lanes[pid], start, until, state, known.versions.get(pid, ""))
                 for start, until, state in pieces(known.states(pid), known.stops(pid), end)]
        if spans:
            spans[-1].last = pid in known.deaths
        timeline.spans += spans
    timeline.leave_out("processes", len(pids) - MOST_LANES)
    return lanes


def pieces(states: list[tuple[float, State]], stops: list[tuple[float, float]], end: float) -> list[tuple[float, float, State]]:
    """States one after another, those of being stopped laid over the others."""
    born = states[0][0]
    edges = {t for t, _ in states} | {t for stop in stops for t in stop} | {end}
    cuts = sorted(t for t in edges if born <= t <= end)
    found: list[tuple[float, float, State]] = []
    for start, until in zip(cuts, cuts[1:]):
        stopped = any(since <= start < to for since, to in stops)
        state: State = "stopped" if stopped else [one for t, one in states if t <= start][-1]
        if found and found[-1][2] == state:
            found[-1] = found[-1][0], until, state
        else:
            found.append((start, until, state))
    return found or [(born, end, states[-1][1])]


def add_messages(timeline: Timeline, known: ProcessHistory, lanes: dict[int, int]) -> None:
    """Join each send with its recv: a channel keeps the order. Sends that nobody took stay without."""
    waiting: dict[tuple[object, ...], deque[Entry]] = defaultdict(deque)
    for entry in known.journal:
        if entry.event not in ("send", "recv"):
            continue
        peer = entry.whole("peer")
        down = (entry.pid == known.master) == (entry.event == "send")
        key: tuple[object, ...] = (down, peer if entry.pid == known.master else entry.slot, entry.text("type"), entry.text("id"))
        if entry.event == "send":
            waiting[key].append(entry)
        elif waiting[key]:
            add_arrow(timeline, lanes, waiting[key].popleft(), entry.pid, entry.t)
    for key, rest in waiting.items():
        for sent in rest:
            add_arrow(timeline, lanes, sent, in_slot(known, key[1], sent.t) if key[0] else known.master, None)


def add_arrow(timeline: Timeline, lanes: dict[int, int], sent: Entry, receiver: int, received: float | None) -> None:
    if sent.pid in lanes and receiver in lanes:
        size = sent.whole("bytes")
        what = short(sent.text("type") or "message") + (f", {size} bytes" if size is not None else "")
        timeline.arrows.append(Arrow(lanes[sent.pid], lanes[receiver], sent.t, received, what, short(sent.text("id"))))


def in_slot(known: ProcessHistory, slot: object, t: float) -> int:
    """The process that was last started there before that moment; 0 if there was none."""
    born = [(known.births[pid], pid) for pid, number in known.slots.items()
            if number == slot and pid in known.births and known.births[pid] <= t]
    return max(born)[1] if born else 0


def add_notes(timeline: Timeline, known: ProcessHistory, lanes: dict[int, int]) -> None:
    """What the processes wrote on their output, and what their journal tells beside messages and requests."""
    for event in known.events:
        if event.kind == "output":
            speaker = re.search(r"\[(\d{1,9})\]", event.text)
            lane = lanes.get(int(speaker.group(1)) if speaker else known.master, lanes.get(known.master))
            if lane is not None:
                timeline.notes.append(Note(lane, event.t, short(event.text)))
    for entry in known.journal:
        if entry.event not in KNOWN and entry.pid in lanes:
            said = entry.signal if entry.event == "signal" else ", ".join(
                f"{name}={value}" for name, value in entry.fields.items() if name not in ("t", "pid", "worker", "role", "event"))
            timeline.notes.append(Note(lanes[entry.pid], entry.t, short(f"journal: {entry.event} {said}".rstrip())))
