"""Unhealthy workers are replaced in time, healthy ones are left alone."""
from __future__ import annotations

import math
import re
import time
from signal import SIGCONT, SIGSTOP
from typing import Callable

from harness.checks import connections
from harness.checks.health import heartbeats, vitals
from harness.checks.health.heartbeats import interval, moments
from harness.checks.journal_tells import killed, left_when_ready, ready_at, spawned
from harness.checks.process_end import expect_processes_gone
from harness.checks.replacement import expect_replaced
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import expect_not_before, overdue
from harness.judging.verdict import BoundBroken, CheckFailed, Inconclusive
from harness.system import processes

SLACK = 0.5
"""The contract's: replaced within an interval + 500 ms."""
PAST, TOO_FAR_BEHIND = 5.0, 0.6
"""A worker that gets no processor for so long may rightly be taken for a silent one (but not for
one with errors)."""
LONGEST_DOUBT = 12.0
"""Seconds beyond its bound for which a successor is still awaited that a slow machine may have kept
back."""
STAYS = 0.3
"""Seconds for which a successor is watched: one that was told to go and has nothing to do leaves
sooner."""
LEAVES_WITHIN = 5.0
"""Seconds for an old worker to finish its requests, once its successor serves."""
AT_ONCE = 0.2
"""Seconds. Who is given no longer than that to leave is given no time."""
REASON = re.compile(r"\breason=(\w+)")
JUDGED = {"memory": {"likely": "its memory is compared with something else than MEMORY_LIMIT_MB "
                               "MiB, for instance bytes with MiB",
                     "hint": "memoryBytes > MEMORY_LIMIT_MB * 1024 * 1024"}}
"""The likely cause and the hint when a healthy worker is judged sick, by the reason in the log."""
ENDED_FIRST = {"likely": "the old worker is ended before its successor is ready: at once, or after "
                         "a fixed time",
               "hint": "hand the slot over only when the successor has said that it is ready"}
TOO_FEW = 10
"""Requests. ERROR_RATE_MIN_REQUESTS itself is still too few to judge."""


# ----- left alone


def expect_left_alone(cluster: Cluster, before: dict[int, int], wait: float, why: str) -> None:
    """For so many seconds the workers (slot → pid) are the same, and no other process is started.
    """
    ends = time.monotonic() + wait
    expect_same(cluster, before, lambda: time.monotonic() >= ends, why, ends)


def expect_judged_healthy(cluster: Cluster, before: dict[int, int], slot: int, why: str,
                          count: int = 2, **said: str) -> None:
    """The master has judged what the worker tells from now on, and replaces nobody.

    It judges a heartbeat at once or with the next one, so two suffice. `said`: the likely cause and
    the hint.
    """
    began = time.monotonic()
    every = interval(cluster)
    patience = count * every * 1.1

    def judged() -> bool:
        came = [moment for moment in moments(cluster, slot) if began <= moment <= time.monotonic()]
        if len(came) < count and overdue(began, patience):
            heartbeats.refuse_missing(cluster, slot, patience, began,
                                      f"heartbeat {len(came) + 1} of worker {slot}",
                                      moments(cluster, slot))
        return len(came) >= count and time.monotonic() > came[count - 1] + every / 4

    expect_same(cluster, before, judged, why, math.inf, **said)


def expect_same(cluster: Cluster, before: dict[int, int], done: Callable[[], bool], why: str,
                ends: float, **said: str) -> None:
    """Until then the workers (slot → pid) are the same, and no other process is started. `ends`:
    the moment from which on that is allowed."""
    known = {*processes.children(cluster.pid), *before.values()}
    began = time.monotonic()
    over = False
    while not over:
        over = done()  # asked before the last look
        new = [pid for pid in processes.children(cluster.pid)
               if pid not in known and processes.alive(pid)]
        gone = [slot for slot, pid in before.items() if not processes.alive(pid)]
        if time.monotonic() > ends:  # perhaps the look came late: that one has ended is no proof
            new, gone = [pid for pid in new if born_before(pid, ends)], []
        if new or gone:
            doubt_silence(cluster, began, why)
            what = (f"a new process {new[0]} was started" if new
                    else f"worker {gone[0]} has ended")
            reason = next((found[1] for line in cluster.lines if line.t >= began
                           and (found := REASON.search(line.text))), "")
            judged = f"; its log says reason={reason}" if reason else ""
            raise CheckFailed(f"{why}, but {what}{judged}", expected="no worker is replaced",
                              **(said or JUDGED.get(reason, {})))
        time.sleep(0.02)


def born_before(pid: int, moment: float) -> bool:
    """Surely."""
    born = processes.born(pid)
    return born is not None and born + processes.BIRTH_TICK < moment


def doubt_silence(cluster: Cluster, since: float, why: str) -> None:
    """A worker was replaced: on a slow machine it may have been silent, unless the master says
    otherwise."""
    now = time.monotonic()
    behind = cluster.meter.allowance(now - PAST, now)
    otherwise = any(reason in line.text for line in cluster.lines if line.t >= since
                    for reason in ("reason=memory", "reason=errors"))
    if behind > TOO_FAR_BEHIND and not otherwise:
        raise Inconclusive(f"{why}, but one was replaced; in the last {PAST:.0f} s the machine was "
                           f"{behind:.2f} s behind")


def expect_few_left_alone(cluster: Cluster, before: dict[int, int], slot: int,
                          total: int) -> None:
    """That many errors of as many requests are too few to judge."""
    likely = ("as many as ERROR_RATE_MIN_REQUESTS are taken for enough: more are wanted"
              if total == TOO_FEW else "")
    expect_judged_healthy(cluster, before, slot, f"{total} errors of {total} requests",
                          likely=likely)


def stop_for(cluster: Cluster, slot: int, wait: float) -> None:
    """Stop the worker, and continue it after so many seconds."""
    stopped = cluster.signal_worker(slot, SIGSTOP)
    time.sleep(max(0.0, stopped + wait - time.monotonic()))
    cluster.signal_worker(slot, SIGCONT)


# ----- replaced


def bound(cluster: Cluster) -> float:
    """Seconds from a worker's being unhealthy, as a heartbeat tells, to its replacement."""
    return interval(cluster) + SLACK


def await_successor(cluster: Cluster, slot: int, old: int, since: float, within: float,
                    why: str) -> int:
    """Another process answers in the slot in time, and stays; returns its pid."""
    try:
        new = expect_replaced(cluster, slot, old, since, within, why=why, doubt=LONGEST_DOUBT)
    except BoundBroken as late:
        others = [pid for pid in spawned(cluster, slot) if pid != old]
        if any(left_when_ready(cluster, pid) for pid in others):
            late.likely = ("the successor was dismissed instead of the sick worker, or beside it: "
                           "a process was started, became ready, and has left")
            late.hint = "when the successor is ready, only the sick worker is dismissed"
        raise
    expect_stays(cluster, slot, new)
    return new


def expect_stays(cluster: Cluster, slot: int, new: int) -> None:
    """A successor that is told to go may still answer before it leaves."""
    began = time.monotonic()
    while processes.alive(new):
        if time.monotonic() > began + STAYS:
            return
        time.sleep(0.02)
    seen = f"process {new}, which has answered as worker {slot}, has left at once"
    doubt_silence(cluster, began, seen)
    raise CheckFailed(seen, expected="the successor stays",
                      likely="the successor was dismissed instead of the sick worker, or beside "
                             "it; or the treatment was not over when the slot was handed over, so "
                             "that the successor, which has the slot, was taken for one too many",
                      hint="when the successor is ready, only the sick worker is dismissed; forget "
                           "the treatment before, or when, the slot is handed over")


def expect_gone(cluster: Cluster, old: int, since: float, why: str) -> None:
    """The old process leaves in time, and the master has logged why it was replaced."""
    expect_processes_gone(cluster, [old], since, bound(cluster) + LEAVES_WITHIN, f"({why})")
    expect_reason(cluster, why)


def expect_one_process(cluster: Cluster, slot: int) -> None:
    """Of all processes that were started in the slot just one is left."""
    began = time.monotonic()
    while len(left := [pid for pid in spawned(cluster, slot) if processes.alive(pid)]) != 1:
        if overdue(began, LEAVES_WITHIN):
            cluster.refuse_late(LEAVES_WITHIN, began, f"one process in slot {slot} (there are "
                                                      f"{len(left)}: {processes.describe(left)})")
        time.sleep(0.02)


def expect_unhealthy_replaced(cluster: Cluster, slot: int, old: int, since: float,
                              why: str) -> None:
    """A successor serves in time, and the old process leaves."""
    new = await_successor(cluster, slot, old, since, bound(cluster), why)
    expect_gone(cluster, old, since, why)
    gone, ready = cluster.watcher.gone_at(old), ready_at(cluster, new)
    if gone is not None and ready is not None and gone - ready < AT_ONCE and killed(cluster, old):
        raise CheckFailed(f"process {old} was not stuck, and was killed as soon as its successor "
                          "was ready (SIGKILL, as the journal tells)",
                          expected="it is told to go; SIGKILL is for one that is stuck",
                          likely="every sick worker is killed, whatever it has in flight",
                          hint="SIGTERM for a worker that still sends heartbeats")


def expect_silent_replaced(cluster: Cluster, slot: int, old: int, last: float,
                           timeout: float) -> None:
    """A stopped worker ends, and is replaced, when its last heartbeat is so many seconds ago."""
    latest = timeout + bound(cluster)
    await_successor(cluster, slot, old, last, latest, "silent")
    expect_processes_gone(cluster, [old], last, latest, "(silent)")
    expect_not_before(timeout * 0.98, last, cluster.watcher.gone_at(old) or last + timeout,
                      f"the end of process {old}")
    expect_reason(cluster, "silent")


def expect_reason(cluster: Cluster, reason: str) -> None:
    """The master has logged why it replaced a worker."""
    deadline = time.monotonic() + 1
    while not any(f"reason={reason}" in line for line in cluster.output()):
        if time.monotonic() > deadline:
            raise CheckFailed(f"no line with reason={reason} on standard output" + cluster.said(),
                              expected="the master logs the reason and the figures")
        time.sleep(0.02)


# ----- a worker with errors


def hold_old_worker(cluster: Cluster, slot: int) -> Connection:
    """A half-sent request on a connection to that worker.

    It keeps the worker for a while when it is replaced: so its heartbeats go on. The request is
    whole with one more line end.
    """
    connection = connections.to_one(cluster, slot)
    connection.send_raw(f"GET / HTTP/1.1\r\nHost: {cluster.client.host}\r\n".encode())
    return connection


def expect_successor_left_alone(cluster: Cluster, workers: dict[int, int], slot: int) -> None:
    """The successor is not judged by the heartbeats of the old process, which still come.

    If both go on, of three heartbeats in the slot one at least is the old process's.
    """
    known = spawned(cluster, slot)
    try:
        expect_judged_healthy(cluster, workers, slot, "all are healthy again", 3,
                              likely="the heartbeats of the process that was replaced are taken "
                                     "for those of its successor",
                              hint="note heartbeats by pid, not by slot; ignore those of a process "
                                   "that was replaced")
    except CheckFailed as failed:
        if spawned(cluster, slot) == known and not processes.alive(workers[slot]):
            failed.likely = ("the treatment was not over when the slot was handed over: so the "
                             "successor, which has the slot, was taken for one too many")
            failed.hint = "forget the treatment before, or when, the slot is handed over"
        raise


def fail_until_replaced(cluster: Cluster, slot: int, old: int) -> tuple[float, int]:
    """Let requests to the worker fail until it is replaced, its successor being ready first.

    Returns when the first one was sent, and the successor's pid.
    """
    connection = connections.to_one(cluster, slot)
    began = time.monotonic()
    while connection.usable and processes.alive(old) and time.monotonic() < began + 5:
        vitals.ask(connection, "/error", 20, 500)
    new = await_successor(cluster, slot, old, began, 5 + bound(cluster), "errors")
    expect_processes_gone(cluster, [old], time.monotonic(), LEAVES_WITHIN, "(errors)")
    expect_successor_first(cluster, old, new)
    return began, new


def expect_successor_first(cluster: Cluster, old: int, new: int) -> None:
    """The old process was still there when its successor was ready."""
    gone, ready = cluster.watcher.gone_at(old), ready_at(cluster, new)
    if gone is not None and ready is not None and gone < ready - 0.005:
        raise CheckFailed(f"the old process {old} had ended {(ready - gone) * 1000:.0f} ms before "
                          f"its successor {new} was ready", expected="the successor first",
                          **ENDED_FIRST)
