"""The journal of a cluster: one whole JSON object a line, with the fields of its event."""
from __future__ import annotations

import json
import time
from typing import Any

from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed
from harness.system.files import text_of

NEEDED = ("spawn", "exit", "ready", "signal", "open", "close", "request", "response")
MASTER_ONLY, WORKER_ONLY = ("spawn", "exit"), ("ready",)
FIELDS = ("t", "role", "worker", "pid", "event")
FIELDS_OF = {"spawn": ("peer", "child"), "exit": ("peer", "child"), "open": ("conn",),
             "close": ("conn",), "request": ("method", "path", "conn"),
             "response": ("status", "conn")}
"""Event → further fields."""


def expect_journal(cluster: Cluster, killed: int) -> None:
    """All events are there, with their fields. `killed`: the pid of a worker that was killed."""
    by_event: dict[str, list[dict[str, Any]]] = {}
    for entry in entries(cluster):
        expect_entry(cluster, entry)
        by_event.setdefault(entry["event"], []).append(entry)
    missing = [event for event in NEEDED if event not in by_event]
    if missing:
        counts = {event: len(found) for event, found in by_event.items()}
        raise CheckFailed(f"no event {', '.join(missing)}; there are {counts}")
    for event, wanted in FIELDS_OF.items():
        for entry in by_event[event]:
            if any(key not in entry for key in wanted):
                raise CheckFailed(f"{event} without {' or '.join(wanted)}: {entry}")
    expect_exits(by_event["exit"], killed)


def entries(cluster: Cluster) -> list[dict[str, Any]]:
    lines = text_of(cluster.journal).splitlines()
    if not lines:
        raise CheckFailed("no journal, or nothing in it")
    return [parsed(line) for line in lines]


def parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise CheckFailed(f"not a JSON object: {line[:300]}")
    return entry


def expect_exits(exits: list[dict[str, Any]], killed: int) -> None:
    """The exit of the killed worker tells its signal, every other one a signal or a status."""
    if not any(entry.get("child") == killed and entry.get("signal") in (9, "SIGKILL", "KILL")
               for entry in exits):
        raise CheckFailed(f"no exit of pid {killed} by signal 9; there are {exits}")
    if not all("status" in entry or "signal" in entry for entry in exits):
        raise CheckFailed(f"exit without status or signal: {exits}")


def expect_entry(cluster: Cluster, entry: dict[str, Any]) -> None:
    """What every entry has: its moment, and the process that wrote it."""
    bad = [key for key in FIELDS if key not in entry]
    if bad:
        raise CheckFailed(f"{', '.join(bad)} missing in {entry}")
    role, worker, event, pid = entry["role"], entry["worker"], entry["event"], entry["pid"]
    known = pid == cluster.pid if role == "master" else isinstance(pid, int)
    wrong_writer = (event in MASTER_ONLY and role != "master"
                    or event in WORKER_ONLY and role != "worker")
    right_number = (role == "master") == (worker == 0)
    if role not in ("master", "worker") or not right_number or not known or wrong_writer:
        raise CheckFailed(f"role, worker, pid and event do not fit together: {entry}; the master "
                          f"is {cluster.pid}")
    if not cluster.started - 0.01 <= entry["t"] <= time.monotonic():
        raise CheckFailed(f"t is not CLOCK_MONOTONIC in seconds: {entry}; the cluster ran from "
                          f"{cluster.started:.3f} on")
