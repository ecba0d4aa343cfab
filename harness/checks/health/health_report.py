"""The health report that the master prints: its lines, and whether they are true."""
from __future__ import annotations

import re
import time
from dataclasses import dataclass

from harness.checks.health import vitals
from harness.checks.health.heartbeats import interval
from harness.checks.settings import seconds
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue
from harness.judging.verdict import BoundBroken, CheckFailed
from harness.system import processes

HEADING = re.compile(r"^health report workers=(\d+) healthy=(\d+)$")
FIELDS = {
    "worker": r"\d+", "pid": r"\d+", "status": "healthy|unhealthy|starting",
    "memoryMb": r"\d+(\.\d+)?", "requests": r"\d+", "errors": r"\d+",
    "errorRate": r"\d+(\.\d+)?", "uptime": r"\d+(\.\d+)?", "heartbeatAge": r"\d+(\.\d+)?",
    "restarts": r"\d+", "lastRestart": "none|silent|memory|errors|crash",
}
KNOWN_AFTER = 2.2
"""After so many intervals a heartbeat has told the master of what a worker has done."""


@dataclass(frozen=True)
class Report:
    t: float
    workers: int
    healthy: int
    rows: dict[int, dict[str, str]]
    """Slot → field → value."""


# ----- reading


def reports(cluster: Cluster) -> list[Report]:
    """All whole reports so far, parsed line by line."""
    found: list[Report] = []
    lines = [line for line in list(cluster.lines) if not line.error]
    for index, line in enumerate(lines):
        heading = HEADING.match(line.text)
        if heading is None:
            if line.text.startswith("health report"):
                raise CheckFailed(f"the line {line.text!r}",
                                  expected="health report workers=3 healthy=3")
            continue
        count = int(heading.group(1))
        rows = [row for row in lines[index + 1:] if row.text.startswith("worker=")][:count]
        if len(rows) == count:
            found.append(Report(line.t, count, int(heading.group(2)),
                                dict(row_of(row.text) for row in rows)))
    return found


def row_of(text: str) -> tuple[int, dict[str, str]]:
    """The slot, and field → value."""
    fields = dict(word.split("=", 1) for word in text.split(" ") if "=" in word)
    bad = [f"{name}={fields.get(name)}" for name, form in FIELDS.items()
           if not re.fullmatch(form, fields.get(name, ""))]
    if bad or list(fields)[:1] != ["worker"]:
        raise CheckFailed(f"a line of the report is {text!r}; wrong or missing: "
                          f"{', '.join(bad) or 'it begins with another field'}",
                          expected="worker=1 pid=… status=healthy memoryMb=… requests=… errors=… "
                                   "errorRate=… uptime=… heartbeatAge=… restarts=… "
                                   "lastRestart=none")
    return int(fields["worker"]), fields


def next_report(cluster: Cluster, since: float, patience: float) -> Report:
    """The first report that begins after that moment."""
    while True:
        found = [report for report in reports(cluster) if report.t >= since]
        if found:
            return found[0]
        if overdue(since, patience):
            try:
                cluster.refuse_late(patience, since, "the next health report")
            except BoundBroken as late:
                if not reports(cluster):
                    late.likely = ("no report has come at all: it is not printed, or its lines "
                                   "have another form")
                raise
        time.sleep(0.02)


def period(cluster: Cluster) -> float:
    return seconds(cluster, "REPORT_INTERVAL_MS")


def report_after(cluster: Cluster, moment: float) -> Report:
    """The first report that must include everything up to `moment`; the next one comes in time."""
    every = period(cluster)
    known = moment + interval(cluster) * KNOWN_AFTER + 0.3
    report = next_report(cluster, known, every * 1.1 + 1)
    following = next_report(cluster, report.t + every * 0.5, every * 1.1 + 0.5)
    cluster.expect_within(every * 1.1 + 0.05, report.t, following.t, "the next report")
    return report


# ----- whether it is true


def expect_all_healthy(report: Report) -> None:
    if (report.workers, report.healthy, sorted(report.rows)) != (3, 3, [1, 2, 3]):
        raise CheckFailed(f"workers={report.workers} healthy={report.healthy}, lines for "
                          f"{sorted(report.rows)}", expected="three of three")


def expect_true_rows(cluster: Cluster, report: Report, workers: dict[int, int], asked: int) -> None:
    """Each row tells of its worker (slot → pid). `asked`: the slot that had 5 requests and 1 error.
    """
    for slot, row in report.rows.items():
        requests, errors = ("5", "1") if slot == asked else ("0", "0")
        wanted = {"pid": str(workers[slot]), "status": "healthy", "restarts": "0",
                  "lastRestart": "none", "requests": requests, "errors": errors}
        bad = [name for name, value in wanted.items() if row[name] != value]
        if bad or float(row["heartbeatAge"]) > interval(cluster) * KNOWN_AFTER + 0.15:
            raise CheckFailed(f"worker {slot}: {row}", expected=str(wanted))
        told = int(float(row["memoryMb"]) * vitals.MIB)
        vitals.expect_close(told, processes.resident(workers[slot]), 6 * vitals.MIB)
        if float(row["errorRate"]) != (20.0 if slot == asked else 0.0):
            raise CheckFailed(f"worker {slot}: errorRate={row['errorRate']}",
                              expected="1 of 5 is 20.0")


def expect_restarts(cluster: Cluster, workers: dict[int, int], reasons: dict[int, str]) -> None:
    """The next report tells of these workers (slot → pid), and how often each slot was restarted.

    `reasons`: the slots that were restarted once, and why.
    """
    report = next_report(cluster, time.monotonic() + 0.1, period(cluster) * 1.1 + 1)
    for slot, row in report.rows.items():
        wanted = {"pid": str(workers[slot]), "restarts": "1" if slot in reasons else "0",
                  "lastRestart": reasons.get(slot, "none")}
        seen = {name: row[name] for name in wanted}
        if seen != wanted:
            raise CheckFailed(f"worker {slot}: {logfmt(seen)}", expected=logfmt(wanted))


def logfmt(fields: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())
