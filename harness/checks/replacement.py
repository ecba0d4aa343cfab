"""A worker leaves, and a new process takes its slot."""
from __future__ import annotations

import time
from signal import SIGKILL, SIGTERM

from harness.checks import connections
from harness.checks.drain import drain
from harness.checks.process_end import expect_processes_gone
from harness.checks.settings import seconds
from harness.clients import worker_slots
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed, Inconclusive

HEARD_WITHIN = 0.25
"""The contract's: so many seconds after SIGTERM a worker has stopped accepting."""


def expect_replaced(cluster: Cluster, slot: int, old: int, since: float, within: float, *,
                    other: Connection | None = None, why: str = "", doubt: float = 0.0) -> int:
    """A new process answers in the slot in time; returns its pid.

    `other`: a kept-alive connection to another worker, which is served meanwhile. `why`: for
    what reason the old process is replaced. `doubt`: seconds to wait beyond the bound when the
    machine may be the reason for the delay.
    """
    new = f"the new worker {slot}" + (f" ({why})" if why else "")
    while True:
        answer = worker_slots.ask_successor(cluster, slot, old)
        if answer is not None and answer.pid is not None:
            cluster.expect_within(within, since, answer.ended, f"the first answer of {new}")
            cluster.slots[slot] = answer.pid
            return answer.pid
        if other is not None:
            drain.expect_whole(other.get(cluster.exercise.probe, patience=2))
        if time.monotonic() > since + within + 2:
            try:
                cluster.refuse_late(within, since, f"an answer of {new} (none came)")
            except Inconclusive:
                if time.monotonic() > since + within + doubt:
                    raise
        time.sleep(0.01)


def expect_replaced_when_killed(cluster: Cluster, slot: int, within: float, *,
                                serving: int | None = None) -> int:
    """The worker is killed, and a new process answers in its slot in time; returns its pid.

    `serving`: the slot of another worker, which serves meanwhile.
    """
    other = connections.to_one(cluster, serving) if serving else None
    old = worker_slots.pid_of(cluster, slot)
    killed = cluster.signal_worker(slot, SIGKILL)
    return expect_replaced(cluster, slot, old, since=killed, within=within, other=other)


def expect_one_worker_leaves(cluster: Cluster, slot: int) -> None:
    """SIGTERM to one worker: it finishes its request, ends and is replaced; the others serve."""
    idle = connections.to_one(cluster, slot)
    held = drain.hold(cluster, 1, [slot])[0]
    old = worker_slots.pid_of(cluster, slot)
    signalled = cluster.signal_worker(slot, SIGTERM)
    time.sleep(HEARD_WITHIN)
    asked = [idle.get("/fast", patience=2)]
    end = signalled + seconds(cluster, "SLOW_MS") + 2
    while not held.ended.is_set() and time.monotonic() < end:
        asked.append(cluster.client.get("/fast", patience=2))
        time.sleep(0.03)
    drain.expect_whole(held.wait(1))
    expect_others_serve(cluster, asked, slot, old, signalled)
    expect_processes_gone(cluster, [old], held.wait(0).ended, 2.0,
                          f"(worker {slot}, sent SIGTERM) after its last answer")
    expect_replaced(cluster, slot, old, since=time.monotonic(), within=2.0)


def why_not_by_others(answer: Answer, old: int) -> dict[str, str]:
    if answer.status == 200 and answer.pid == old:
        return {"likely": "the worker goes on accepting while it finishes its requests, so that it "
                          "takes new connections until it ends",
                "hint": "first stop accepting; then finish the requests that have come"}
    return {}


def expect_others_serve(cluster: Cluster, asked: list[Answer], slot: int, old: int,
                        signalled: float) -> None:
    """No fresh connection reaches the worker that was sent SIGTERM, and nobody gets a 503.

    The first of the answers came on a connection to that worker, which may end it.
    """
    refused = next((answer for answer in asked if answer.outcome == "refused"), None)
    if refused is not None:
        after = refused.started - signalled
        raise CheckFailed(f"{refused}, {after:.2f} s after SIGTERM to worker {slot}",
                          expected="the others serve",
                          likely="the worker that leaves has called shutdown() on the listening "
                                 "socket, or the server's stop() has: that ends it for all "
                                 "processes that share it",
                          hint="stop polling it (it may be needed again when the whole cluster "
                               "drains), or close() the worker's own descriptor; the socket "
                               "itself belongs to all")
    unjudged = drain.window(cluster, signalled, HEARD_WITHIN)
    for index, answer in enumerate(asked):
        after = answer.started - signalled
        if after < unjudged:
            continue
        if answer.status == 503 or (index and (answer.status != 200 or answer.pid == old)):
            raise CheckFailed(f"{answer} (pid {answer.pid}), {after:.2f} s after SIGTERM to "
                              f"worker {slot} (pid {old})", **why_not_by_others(answer, old))
