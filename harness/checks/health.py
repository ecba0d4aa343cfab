"""Steps and expectations of health monitoring, in the words of the contract."""
from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from harness.checks.common_ground.http import KIB, filler
from harness.clients import worker_search
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.journal import read_journal
from harness.judging.time_bounds import expect_not_before, overdue
from harness.judging.verdict import BoundBroken, CheckFailed, Inconclusive
from harness.system import processes

MIB = 1024 * 1024
SLACK = 0.5
"""The contract's: replaced within an interval + 500 ms."""
PAST, TOO_FAR_BEHIND = 5.0, 0.6
"""A worker that gets no processor for so long may rightly be taken for a silent one (but not for one with errors)."""
HALVES = 200
LONGEST_DOUBT = 12.0
"""Seconds beyond its bound after which a successor that a slow machine may have kept back is not waited for any more."""
LEAVES_WITHIN = 5.0
"""Seconds for an old worker to finish what it has, once its successor serves."""
HEADING = re.compile(r"^health report workers=(\d+) healthy=(\d+)$")
FIELDS = {
    "worker": r"\d+", "pid": r"\d+", "status": "healthy|unhealthy|starting", "memoryMb": r"\d+(\.\d+)?", "requests": r"\d+",
    "errors": r"\d+", "errorRate": r"\d+(\.\d+)?", "uptime": r"\d+(\.\d+)?", "heartbeatAge": r"\d+(\.\d+)?", "restarts": r"\d+",
    "lastRestart": "none|silent|memory|errors|crash",
}


# ----- heartbeats, as the master's journal tells of them


def heartbeats(cluster: Cluster, slot: int) -> list[float]:
    """The moments at which the master received one from that slot."""
    return [float(entry["t"]) for entry in read_journal(cluster.journal)
            if entry.get("role") == "master" and entry.get("event") == "recv" and entry.get("type") == "heartbeat"
            and entry.get("peer") == slot and isinstance(entry.get("t"), (int, float))]


def ready_at(cluster: Cluster, pid: int) -> float | None:
    """When the process said that it is ready."""
    return next((float(entry["t"]) for entry in read_journal(cluster.journal)
                 if entry.get("event") == "ready" and entry.get("pid") == pid), None)


def await_heartbeats(cluster: Cluster, slot: int, count: int, patience: float) -> list[float]:
    began = time.monotonic()
    while len(found := heartbeats(cluster, slot)) < count:
        if overdue(began, patience):
            cluster.refuse_late(patience, began, f"heartbeat {len(found) + 1} of worker {slot} in the master's journal (recv)")
        time.sleep(0.02)
    return found


def expect_spacing(cluster: Cluster, slot: int, moments: list[float], interval: float) -> None:
    """Within 10 % + 50 ms of the interval; what came late because of the machine may be followed early."""
    tolerance = interval * 0.1 + 0.05
    for before, after in zip(moments, moments[1:]):
        cluster.expect_within(interval + tolerance, before, after, f"the next heartbeat of worker {slot}")
        spacing = after - before
        if spacing < interval - tolerance - cluster.meter.allowance(before - interval, before):
            raise CheckFailed(f"two heartbeats of worker {slot} came {spacing * 1000:.0f} ms apart",
                              expected=f"one every {interval * 1000:.0f} ms")


# ----- workers


def pinned(cluster: Cluster, slot: int) -> Connection:
    """A kept-alive connection to that worker. It was found by /health, which is not counted."""
    return worker_search.connections_to(cluster, 1, [slot])[slot][0]


def vitals(connection: Connection) -> dict[str, Any]:
    answer = connection.get("/health", patience=5)
    return expect_vitals(answer)


def expect_vitals(answer: Answer) -> dict[str, Any]:
    """A 200 with all the numbers."""
    names = ("uptime", "memoryBytes", "requests", "errors")
    bad = [name for name in names if not isinstance(answer.json.get(name), (int, float)) or isinstance(answer.json.get(name), bool)]
    if answer.status != 200 or bad:
        raise CheckFailed(f"{answer}: no number in {', '.join(bad) or 'nothing'}; body {answer.body[:300]!r}",
                          expected="200 with the numbers " + ", ".join(names))
    return answer.json


def swell(cluster: Cluster) -> None:
    """Let the workers hold many requests of which the last byte is missing, and take them back: memory goes up, and where it can, down again."""
    before = sum(map(processes.resident, cluster.slots.values()))
    for _ in range(HALVES):
        cluster.client.connect().send("/health", "POST", b"x" * 63 * KIB, {**filler(14 * KIB), "Content-Length": str(64 * KIB)})
    deadline = time.monotonic() + 1
    while sum(map(processes.resident, cluster.slots.values())) < before + HALVES * 64 * KIB and time.monotonic() < deadline:
        time.sleep(0.02)
    cluster.client.close()


def ask(connection: Connection, path: str, times: int, status: int) -> float:
    """That many requests; when the last one was answered. Ends early when the worker leaves meanwhile."""
    ended = time.monotonic()
    for _ in range(times):
        if not connection.usable:
            break
        answer = connection.get(path, patience=5)
        if answer.outcome == "answer" and answer.status != status:
            raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected=f"{status} to {path}")
        ended = answer.ended
        if answer.outcome != "answer" or answer.says_close():
            break
    return ended


def bound(fixture: Fixture, cluster: Cluster) -> float:
    """Seconds within which what a heartbeat tells must have led to a replacement."""
    return interval_of(fixture, cluster) + SLACK


def interval_of(fixture: Fixture, cluster: Cluster) -> float:
    return int(cluster.settings.get("HEARTBEAT_INTERVAL_MS", fixture.figure("HEARTBEAT_INTERVAL_MS") * 1000)) / 1000


def await_successor(cluster: Cluster, slot: int, old: int, since: float, within: float, why: str) -> int:
    """Another process answers in the slot in time."""
    while True:
        answer = worker_search.ask_successor(cluster, slot, old)
        if answer is not None and answer.pid is not None:
            cluster.expect_within(within, since, answer.ended, f"the first answer of the successor of worker {slot} ({why})")
            cluster.slots[slot] = answer.pid
            return answer.pid
        if time.monotonic() > since + within + 2:
            try:
                cluster.refuse_late(within, since, f"an answer of a successor of worker {slot} ({why}; none came)")
            except Inconclusive:  # who never comes is told from who is late by waiting
                if time.monotonic() > since + within + LONGEST_DOUBT:
                    raise
        time.sleep(0.01)


def expect_gone(cluster: Cluster, pid: int, since: float, within: float, why: str) -> None:
    if cluster.watcher.wait_gone([pid], since + within * 1.5 + 1 - time.monotonic()):
        cluster.refuse_late(within, since, f"the end of the old process {pid} ({why})")
    cluster.expect_within(within, since, cluster.watcher.gone_at(pid) or since, f"the end of the old process {pid} ({why})")


def expect_not_gone_before(cluster: Cluster, pid: int, since: float, least: float) -> None:
    expect_not_before(least * 0.98, since, cluster.watcher.gone_at(pid) or since + least, f"the end of process {pid}")


def expect_left_alone(cluster: Cluster, before: dict[int, int], seconds: float, why: str, **said: str) -> None:
    """For so long the workers are the same processes, and no other is started. `said`: the likely cause and the hint."""
    known = {*processes.children(cluster.pid), *before.values()}
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        new = [pid for pid in processes.children(cluster.pid) if pid not in known and processes.alive(pid)]
        gone = [slot for slot, pid in before.items() if not processes.alive(pid)]
        if new or gone:
            now = time.monotonic()
            behind = cluster.meter.allowance(now - PAST, now)
            named = any(f"reason={reason}" in line.text for line in cluster.lines if line.t >= began for reason in ("memory", "errors"))
            if behind > TOO_FAR_BEHIND and not named:
                raise Inconclusive(f"{why}, but one was replaced; in the last {PAST:.0f} s the machine was {behind:.2f} s behind")
            raise CheckFailed(f"{why}, but " + (f"a new process {new[0]} was started" if new else f"worker {gone[0]} has ended"),
                              expected="no worker is replaced", **said)
        time.sleep(0.02)


def expect_successor_first(cluster: Cluster, old: int, new: int) -> None:
    """The old process was still there when its successor was ready."""
    gone, ready = cluster.watcher.gone_at(old), ready_at(cluster, new)
    if gone is not None and ready is not None and gone < ready - 0.005:
        raise CheckFailed(f"the old process {old} had ended {(ready - gone) * 1000:.0f} ms before its successor {new} was ready",
                          expected="the successor first")


def expect_reason(cluster: Cluster, reason: str) -> None:
    """The master has logged why it replaced a worker."""
    deadline = time.monotonic() + 1
    while not any(f"reason={reason}" in line for line in cluster.output()):
        if time.monotonic() > deadline:
            raise CheckFailed(f"no line with reason={reason} on standard output" + cluster.said(),
                              expected="the master logs the reason and the figures")
        time.sleep(0.02)


# ----- the report


@dataclass(frozen=True)
class Report:
    t: float
    workers: int
    healthy: int
    rows: dict[int, dict[str, str]]
    """Slot → field → value."""


def reports(cluster: Cluster) -> list[Report]:
    """All whole reports so far, parsed line by line."""
    found: list[Report] = []
    lines = [line for line in list(cluster.lines) if not line.error]
    for index, line in enumerate(lines):
        heading = HEADING.match(line.text)
        if heading is None:
            if line.text.startswith("health report"):
                raise CheckFailed(f"the line {line.text!r}", expected="health report workers=3 healthy=3")
            continue
        count = int(heading.group(1))
        rows = [row for row in lines[index + 1:] if row.text.startswith("worker=")][:count]
        if len(rows) == count:
            found.append(Report(line.t, count, int(heading.group(2)), dict(row_of(row.text) for row in rows)))
    return found


def row_of(text: str) -> tuple[int, dict[str, str]]:
    fields = dict(word.split("=", 1) for word in text.split(" ") if "=" in word)
    bad = [f"{name}={fields.get(name)}" for name, form in FIELDS.items() if not re.fullmatch(form, fields.get(name, ""))]
    if bad or list(fields)[:1] != ["worker"]:
        raise CheckFailed(f"a line of the report is {text!r}; wrong or missing: {', '.join(bad) or 'it begins with another field'}",
                          expected="worker=1 pid=… status=healthy memoryMb=… requests=… errors=… errorRate=… uptime=… "
                                   "heartbeatAge=… restarts=… lastRestart=none")
    return int(fields["worker"]), fields


def next_report(cluster: Cluster, since: float, patience: float) -> Report:
    """The first one that begins after that moment."""
    while True:
        found = [report for report in reports(cluster) if report.t >= since]
        if found:
            return found[0]
        if overdue(since, patience):
            try:
                cluster.refuse_late(patience, since, "the next health report")
            except BoundBroken as late:
                if not reports(cluster):
                    late.likely = "no report has come at all: it is not printed, or its lines have another form"
                raise
        time.sleep(0.02)
