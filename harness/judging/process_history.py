"""The history of a cluster's processes: births, slots, states and ends.

The journal goes before what the harness has seen from outside. Without a journal the outside alone
must do.
"""
from __future__ import annotations

from typing import Literal

from harness.judging.events import Event, short
from harness.judging.journal import Entry

ProcessKind = Literal["master", "worker", "process"]
State = Literal["up", "starting", "ready", "draining", "stopped"]
DRAIN_ORDERS = ("drain", "leave")
"""Types of messages that tell a worker to drain."""
DRAIN_SIGNALS = {"master": ("SIGTERM", "SIGINT"), "worker": ("SIGTERM",)}


class ProcessHistory:
    """The history of one cluster's processes."""

    def __init__(self, cluster: int, events: list[Event], journal: list[Entry], end: float) -> None:
        self.cluster, self.events, self.journal, self.end = cluster, events, journal, end
        starts = (event.pid for event in events if event.text == "start" and event.pid)
        self.master = next(starts, 0)
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
                status = entry.whole("status")
                if status is not None or entry.whole("signal") is not None:
                    self.fates[child] = entry.signal or f"exit code {status}"
            elif entry.slot > 0 and entry.pid in self.births:
                self.slots.setdefault(entry.pid, entry.slot)
        for entry in self.journal:  # a child's first entry may come before its master's `spawn`
            if entry.pid in self.births:
                self.births[entry.pid] = min(self.births[entry.pid], entry.t)

    def in_order(self) -> list[int]:
        """The master, then the workers slot by slot, then processes without a known slot; within
        these in the order of their births."""
        return sorted(self.births, key=lambda pid: (pid != self.master,
                                                    self.slots.get(pid, 1 << 30), self.births[pid]))

    def kind(self, pid: int) -> ProcessKind:
        return "master" if pid == self.master else "worker" if pid in self.slots else "process"

    def states(self, pid: int) -> list[tuple[float, State]]:
        """The state from each of these moments on, without stops."""
        born = self.births[pid]
        ready = self._ready_at(pid)
        found: list[tuple[float, State]]
        if ready is None:
            told = any(entry.event == "ready" for entry in self.journal)
            found = [(born, "starting" if told and self.kind(pid) != "process" else "up")]
        else:
            found = [(born, "starting"), (max(born, ready), "ready")]
        drains = [t for t in self._drains(pid) if t >= born]
        return found + ([(min(drains), "draining")] if drains else [])

    def _ready_at(self, pid: int) -> float | None:
        whole = next((event.t for event in self.events if event.kind == "ready"), None)
        if pid == self.master:
            return whole
        told = next((entry.t for entry in self.journal
                     if entry.event == "ready" and entry.pid == pid), None)
        if told is not None:
            return told
        if whole is not None and self.births[pid] < whole and not self.journal:
            return whole
        return self.first_answer.get(pid)

    def _drains(self, pid: int) -> list[float]:
        kind = "master" if pid == self.master else "worker"
        names = DRAIN_SIGNALS[kind]
        sent = [event.t for event in self.events
                if event.kind == "signal" and event.pid == pid and event.text in names]
        got = [entry.t for entry in self.journal if entry.pid == pid and (
            entry.event == "signal" and entry.signal in names
            or entry.event == "recv" and entry.text("type") in DRAIN_ORDERS)]
        return sent + got

    def stops(self, pid: int) -> list[tuple[float, float]]:
        """From each SIGSTOP to the SIGCONT after it, or to the end."""
        found: list[tuple[float, float]] = []
        for event in self.events:
            if event.kind == "signal" and event.pid == pid:
                if event.text == "SIGSTOP":
                    found.append((event.t, self.end))
                elif event.text == "SIGCONT" and found:
                    found[-1] = found[-1][0], event.t
        return found
