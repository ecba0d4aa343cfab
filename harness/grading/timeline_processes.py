"""The lanes of a cluster's processes, their states, and the messages between them.

What the journal tells goes before what is seen from outside; without a journal the outside alone must do.
"""
from __future__ import annotations

import re
from collections import defaultdict, deque

from .events import Event
from .timeline_journal import Entry
from .timeline_parts import Arrow, Kind, Lane, Note, Span, State, Timeline, short

MOST_LANES = 80
DRAIN_ORDERS = ("drain", "leave")
"""Types of messages that tell a worker to drain."""
DRAIN_SIGNALS = {"master": ("SIGTERM", "SIGINT"), "worker": ("SIGTERM",)}
KNOWN = ("spawn", "exit", "ready", "send", "recv", "open", "close", "request", "response")
"""What the journal says that is drawn in another way, or is known from outside."""


class Processes:
    """What is known of one cluster's processes."""

    def __init__(self, cluster: int, events: list[Event], journal: list[Entry], end: float) -> None:
        self.cluster, self.events, self.journal, self.end = cluster, events, journal, end
        self.master = next((event.pid for event in events if event.text == "start" and event.pid), 0)
        self.births: dict[int, float] = {}
        self.deaths: dict[int, float] = {}
        self.slots: dict[int, int] = {}
        self.fates: dict[int, str] = {}
        self.versions: dict[int, str] = {}
        self.first_answer: dict[int, float] = {}
        self._look_outside()
        self._read_journal()

    def _look_outside(self) -> None:
        for event in self.events:
            if event.pid is None:
                continue
            if event.kind in ("spawn", "child") or event.text == "start":
                self.births.setdefault(event.pid, event.t)
            elif event.kind == "death":
                self.deaths.setdefault(event.pid, event.t)
            elif event.kind in ("request", "raw", "load") and event.end is not None:
                self.first_answer.setdefault(event.pid, event.end)
                if event.worker is not None:
                    self.slots.setdefault(event.pid, event.worker)
                if event.data.get("version"):
                    self.versions.setdefault(event.pid, short(event.data["version"]))

    def _read_journal(self) -> None:
        for entry in self.journal:
            child, slot = entry.whole("child"), entry.whole("peer")
            if entry.event == "spawn" and child is not None and entry.pid == self.master:
                self.births[child] = min(entry.t, self.births.get(child, entry.t))
                self.slots[child] = slot or 0
            elif entry.event == "exit" and child is not None and entry.pid == self.master:
                self.deaths.setdefault(child, entry.t)
                if (status := entry.whole("status")) is not None or entry.whole("signal") is not None:
                    self.fates[child] = entry.signal or f"exit code {status}"
            elif entry.slot > 0 and entry.pid in self.births:
                self.slots.setdefault(entry.pid, entry.slot)
        for entry in self.journal:  # a child may say something before its master comes to say that it is there
            if entry.pid in self.births:
                self.births[entry.pid] = min(self.births[entry.pid], entry.t)

    def in_order(self) -> list[int]:
        """The master, then slot by slot, then processes of which no slot is known; each by its birth."""
        return sorted(self.births, key=lambda pid: (pid != self.master, self.slots.get(pid, 1 << 30), self.births[pid]))

    def kind(self, pid: int) -> Kind:
        return "master" if pid == self.master else "worker" if pid in self.slots else "process"

    def states(self, pid: int) -> list[tuple[float, State]]:
        """The state from each of these moments on, stops left aside."""
        born = self.births[pid]
        ready = self._ready_at(pid)
        if ready is None:
            told = any(entry.event == "ready" for entry in self.journal)
            found: list[tuple[float, State]] = [(born, "starting" if told and self.kind(pid) != "process" else "up")]
        else:
            found = [(born, "starting"), (max(born, ready), "ready")]
        drains = [t for t in self._drains(pid) if t >= born]
        return found + ([(min(drains), "draining")] if drains else [])

    def _ready_at(self, pid: int) -> float | None:
        whole = next((event.t for event in self.events if event.kind == "ready"), None)
        if pid == self.master:
            return whole
        told = next((entry.t for entry in self.journal if entry.event == "ready" and entry.pid == pid), None)
        if told is not None:
            return told
        if whole is not None and self.births[pid] < whole and not self.journal:
            return whole
        return self.first_answer.get(pid)

    def _drains(self, pid: int) -> list[float]:
        kind = "master" if pid == self.master else "worker"
        names = DRAIN_SIGNALS[kind]
        sent = [event.t for event in self.events if event.kind == "signal" and event.pid == pid and event.text in names]
        got = [entry.t for entry in self.journal if entry.pid == pid and (
            entry.event == "signal" and entry.signal in names or entry.event == "recv" and entry.text("type") in DRAIN_ORDERS)]
        return sent + got

    def stops(self, pid: int) -> list[tuple[float, float]]:
        """From each SIGSTOP to the SIGCONT behind it."""
        found: list[tuple[float, float]] = []
        for event in self.events:
            if event.kind == "signal" and event.pid == pid:
                if event.text == "SIGSTOP":
                    found.append((event.t, self.end))
                elif event.text == "SIGCONT" and found:
                    found[-1] = found[-1][0], event.t
        return found


def add_processes(timeline: Timeline, known: Processes) -> dict[int, int]:
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


def add_messages(timeline: Timeline, known: Processes, lanes: dict[int, int]) -> None:
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


def in_slot(known: Processes, slot: object, t: float) -> int:
    """The process that was last started there before that moment; 0 if there was none."""
    born = [(known.births[pid], pid) for pid, number in known.slots.items()
            if number == slot and pid in known.births and known.births[pid] <= t]
    return max(born)[1] if born else 0


def add_notes(timeline: Timeline, known: Processes, lanes: dict[int, int]) -> None:
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
