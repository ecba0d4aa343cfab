"""What a check is given: it starts clusters here, and they are all ended and looked over when it is done."""
from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Mapping

from .cluster import Cluster
from .events import EventLog
from .folders import text_of
from .program import Program
from .run import Run
from .trace import Trace
from .verdict import HARNESS_FAULT, CheckFailed, Exercise, Inconclusive


class Lab:
    def __init__(self, exercise: Exercise, program: Program, run: Run, real_time: bool) -> None:
        self.exercise, self.program, self.run, self.real_time = exercise, program, run, real_time
        self.log = EventLog()
        self.clusters: list[Cluster] = []
        self.trace: Trace | None = None
        self.held = ExitStack()
        """What is let go when all clusters have ended."""

    def pace(self, scaled: float, real: float) -> float:
        """One of two figures: the quick one, or the one for --real-time."""
        return real if self.real_time else scaled

    def figure(self, name: str) -> float:
        """Seconds of a setting in milliseconds as clusters have it here."""
        return (self.exercise.real if self.real_time else self.exercise.scaled)[name] / 1000

    def start(self, settings: Mapping[str, int | str | None] | None = None, *, wait: bool = True,
              prefix: tuple[str, ...] = (), program: Program | None = None) -> Cluster:
        """Start a cluster and wait for its ready line. A setting given here overrides the exercise's; None: not set."""
        values: dict[str, int | str | None] = {"PORT": 0}
        if not self.real_time:
            values.update(self.exercise.scaled)
        if settings:
            values.update(settings)
        cluster = Cluster(program or self.program, self.exercise, self.run, self.log, len(self.clusters) + 1,
                          {name: str(value) for name, value in values.items() if value is not None}, list(prefix))
        self.clusters.append(cluster)
        if wait:
            cluster.wait_ready()
        return cluster

    def refuse_excess(self) -> None:
        """Fail if a program went beyond all limits: whatever else was seen may come of that."""
        for cluster in self.clusters:
            cluster.watcher.scan()
            if cluster.excess:
                raise CheckFailed(cluster.excess, expected="a program that leaves the machine in order",
                                  likely="a loop that starts, writes or stores something has no end")

    def doubt_harness(self) -> None:
        """What a program is not to be blamed for, whatever was seen."""
        for cluster in self.clusters:
            if cluster.ward.fault:
                raise Inconclusive(f"{HARNESS_FAULT}: the keeper of a program: {cluster.ward.fault}")
            if cluster.disk_was_full:
                raise Inconclusive(f"the disk was full where programs write their journals ({self.run.folder})")

    def finish(self) -> list[str]:
        """End all clusters; returns what they left behind."""
        try:
            return self._end_clusters()
        finally:
            self.held.close()

    def _end_clusters(self) -> list[str]:
        notes: list[str] = []
        for cluster in self.clusters:
            notes += cluster.tear_down()
            self.log.journals[cluster.number] = read_journal(cluster.journal)
        for cluster in self.clusters:
            notes += self.trace.keep_cluster(cluster) if self.trace is not None else []
            cluster.remove_folder()
        return notes


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The entries that can be read; a check of its own judges the rest."""
    entries = []
    for line in text_of(path).splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries
