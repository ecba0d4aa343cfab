"""The fixture that a check is given: the check starts clusters here; when it is done, all of them
are ended and looked over."""
from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Mapping

from harness.cluster.cluster import Cluster
from harness.cluster.program import Program
from harness.cluster.run import Run
from harness.judging.events import EventLog
from harness.judging.evidence import Evidence
from harness.judging.exercise import Exercise
from harness.judging.journal import read_journal
from harness.judging.verdict import HARNESS_FAULT, CheckFailed, Inconclusive


STARTS = 5
"""So many starts of the program fit into a wait for one of its processes."""


class Fixture:
    def __init__(self, exercise: Exercise, program: Program, run: Run, real_time: bool) -> None:
        self.exercise, self.program, self.run, self.real_time = exercise, program, run, real_time
        self.log = EventLog()
        self.clusters: list[Cluster] = []
        self.held = ExitStack()
        """Contexts that are left when all clusters have ended."""

    def pace(self, scaled: float, real: float) -> float:
        """One of two figures: the quick one, or the one for --real-time."""
        return real if self.real_time else scaled

    def ample(self, scaled: float, real: float) -> float:
        """Like pace(), for a wait that ends badly if a process needs longer to start: several times
        what the program was seen to need, and never more than the real figure."""
        if not self.run.start_seconds():  # the check runs alone
            self.start()
        return min(real, max(self.pace(scaled, real), STARTS * self.run.start_seconds()))

    def figure(self, name: str) -> float:
        """The value of a setting in this fixture's clusters. The setting is in milliseconds; this
        is in seconds."""
        return (self.exercise.real if self.real_time else self.exercise.scaled)[name] / 1000

    def start(self, settings: Mapping[str, int | str | None] | None = None, *, wait: bool = True,
              prefix: tuple[str, ...] = (), program: Program | None = None) -> Cluster:
        """Start a cluster and wait for its ready line. A setting given here overrides the
        exercise's; None: not set."""
        values: dict[str, int | str | None] = {"PORT": 0}
        if not self.real_time:
            values.update(self.exercise.scaled)
        if settings:
            values.update(settings)
        given = {name: str(value) for name, value in values.items() if value is not None}
        cluster = Cluster(program or self.program, self.exercise, self.run, self.log,
                          len(self.clusters) + 1, given, list(prefix))
        self.clusters.append(cluster)
        if wait:
            self.run.put_start(cluster.wait_ready())
        return cluster

    def refuse_excess(self) -> None:
        """Fail if a program went beyond a limit: anything else that was seen may come of that."""
        for cluster in self.clusters:
            cluster.watcher.scan()
            if cluster.excess:
                raise CheckFailed(cluster.excess,
                                  expected="a program that leaves the machine in order",
                                  likely="a loop that starts, writes or stores something has no "
                                         "end")

    def doubt_harness(self) -> None:
        """Raise Inconclusive if the harness or the machine had a fault for which no program is to
        be blamed."""
        for cluster in self.clusters:
            if fault := cluster.supervised.fault:
                raise Inconclusive(f"{HARNESS_FAULT}: the cluster supervisor of a program: {fault}")
            if cluster.disk_was_full:
                raise Inconclusive("the disk was full where programs write their journals "
                                   f"({self.run.folder})")

    def behind(self) -> float:
        """Seconds that the machine was behind since the first cluster was started."""
        now = time.monotonic()
        return max((cluster.meter.allowance(cluster.started, now) for cluster in self.clusters),
                   default=0.0)

    def excused(self) -> float:
        """The most seconds by which something was late and was forgiven."""
        return max((cluster.meter.excused for cluster in self.clusters), default=0.0)

    def start_used(self) -> float:
        """Seconds of processor time that the first start took; 0 if there was none."""
        return next((cluster.start_used for cluster in self.clusters if cluster.start_used), 0.0)

    def evidence(self, dying: float = 0.0) -> list[Evidence]:
        """The evidence of each cluster. `dying`: seconds to wait for the end of a cluster that may
        be just ending."""
        for cluster in self.clusters:
            cluster.wait_exit(dying)
        return [Evidence(cluster.pid, cluster.wait_exit(0), cluster.whole_lines(),
                         read_journal(cluster.journal)) for cluster in self.clusters]

    def finish(self) -> list[str]:
        """End all clusters and remove their folders; returns notes about processes that they left
        behind."""
        notes = self.end()
        self.remove_folders()
        return notes

    def end(self) -> list[str]:
        """End all clusters and read their journals; returns notes about processes that they left
        behind."""
        notes: list[str] = []
        try:
            for cluster in self.clusters:
                notes += cluster.tear_down()
                self.log.journals[cluster.number] = read_journal(cluster.journal)
        finally:
            self.held.close()
        return notes

    def remove_folders(self) -> None:
        for cluster in self.clusters:
            cluster.remove_folder()
