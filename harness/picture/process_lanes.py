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
"""Events of the journal that become no notes: they are drawn otherwise, or known from outside."""


def add_processes(timeline: Timeline, known: ProcessHistory) -> dict[int, int]:
    """Add each process with its lane and its spans. Returns pid → lane."""
    pids = known.in_order()
    lanes: dict[int, int] = {}
    for pid in pids[:MOST_LANES]:
        kind = known.kind(pid)
        name = f"worker {known.slots[pid]}" if kind == "worker" else kind
        lanes[pid] = len(timeline.lanes)
        timeline.lanes.append(Lane(known.cluster, kind, name, pid, known.slots.get(pid),
                                   known.fates.get(pid, "")))
        end = max(known.births[pid], known.deaths.get(pid, known.end))
        spans = [Span(lanes[pid], start, until, state, known.versions.get(pid, ""))
                 for start, until, state in pieces(known.states(pid), known.stops(pid), end)]
        if spans:
            spans[-1].last = pid in known.deaths
        timeline.spans += spans
    timeline.leave_out("processes", len(pids) - MOST_LANES)
    return lanes


def pieces(states: list[tuple[float, State]], stops: list[tuple[float, float]],
           end: float) -> list[tuple[float, float, State]]:
    """(start, end, state), one after another. A stop lies over the states that it interrupts."""
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
    """Join each send with its recv: a channel keeps the order. A send may have no recv."""
    waiting: dict[tuple[object, ...], deque[Entry]] = defaultdict(deque)
    for entry in known.journal:
        if entry.event not in ("send", "recv"):
            continue
        peer = entry.whole("peer")
        by_master = entry.pid == known.master
        down = by_master == (entry.event == "send")
        slot = peer if by_master else entry.slot
        key: tuple[object, ...] = (down, slot, entry.text("type"), entry.text("id"))
        if entry.event == "send":
            waiting[key].append(entry)
        elif waiting[key]:
            add_arrow(timeline, lanes, waiting[key].popleft(), entry.pid, entry.t)
    for key, rest in waiting.items():
        for sent in rest:
            receiver = in_slot(known, key[1], sent.t) if key[0] else known.master
            add_arrow(timeline, lanes, sent, receiver, None)


def add_arrow(timeline: Timeline, lanes: dict[int, int], sent: Entry, receiver: int,
              received: float | None) -> None:
    if sent.pid in lanes and receiver in lanes:
        size = sent.whole("bytes")
        more = f", {size} bytes" if size is not None else ""
        timeline.arrows.append(Arrow(lanes[sent.pid], lanes[receiver], sent.t, received,
                                     short(sent.text("type") or "message") + more,
                                     short(sent.text("id"))))


def in_slot(known: ProcessHistory, slot: object, t: float) -> int:
    """The pid of the process that was started last in the slot before `t`; 0 if there was none."""
    born = [(known.births[pid], pid) for pid, number in known.slots.items()
            if number == slot and pid in known.births and known.births[pid] <= t]
    return max(born)[1] if born else 0


def add_notes(timeline: Timeline, known: ProcessHistory, lanes: dict[int, int]) -> None:
    """What the processes wrote, and what their journal tells beside messages and requests."""
    for event in known.events:
        if event.kind == "output":
            speaker = re.search(r"\[(\d{1,9})\]", event.text)
            pid = int(speaker.group(1)) if speaker else known.master
            lane = lanes.get(pid, lanes.get(known.master))
            if lane is not None:
                timeline.notes.append(Note(lane, event.t, short(event.text)))
    for entry in known.journal:
        if entry.event not in KNOWN and entry.pid in lanes:
            fields = ", ".join(f"{name}={value}" for name, value in entry.fields.items()
                               if name not in ("t", "pid", "worker", "role", "event"))
            said = entry.signal if entry.event == "signal" else fields
            text = short(f"journal: {entry.event} {said}".rstrip())
            timeline.notes.append(Note(lanes[entry.pid], entry.t, text))
