"""What the journal tells of the processes that the master has started."""
from __future__ import annotations

import time
from signal import SIGKILL

from harness.cluster.cluster import Cluster
from harness.judging.journal import read_journal
from harness.system import processes

NOTED_WITHIN = 1.0
"""Seconds within which a master notes the end of a process."""


def spawned(cluster: Cluster, slot: int) -> list[int]:
    """The processes that the master has started in the slot, as its journal tells."""
    return [int(entry["child"]) for entry in read_journal(cluster.journal)
            if entry.get("role") == "master" and entry.get("event") == "spawn"
            and entry.get("peer") == slot and isinstance(entry.get("child"), int)]


def ready_at(cluster: Cluster, pid: int) -> float | None:
    """When the process said that it is ready."""
    return next((float(entry["t"]) for entry in read_journal(cluster.journal)
                 if entry.get("event") == "ready" and entry.get("pid") == pid), None)


def killed(cluster: Cluster, pid: int) -> bool:
    """Whether the process, which is gone, was ended by SIGKILL."""
    end = time.monotonic() + NOTED_WITHIN
    while True:
        exits = [entry for entry in read_journal(cluster.journal)
                 if entry.get("event") == "exit" and entry.get("child") == pid]
        if exits or time.monotonic() > end:
            return any(entry.get("signal") == SIGKILL for entry in exits)
        time.sleep(0.01)


def left_when_ready(cluster: Cluster, pid: int) -> bool:
    """Whether the process had become ready, and has ended by itself, as one that was told to go."""
    return ready_at(cluster, pid) is not None and not processes.alive(pid) and any(
        entry.get("event") == "exit" and entry.get("child") == pid and entry.get("status") == 0
        for entry in read_journal(cluster.journal))
