"""The ready line, with a port that was chosen and with the default port, which gradings share."""
from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import Iterator

from harness.checks.common_ground import ports
from harness.checks.journal_tells import ready_at, spawned
from harness.cluster.cluster import MOST_WORKERS, Cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed, Inconclusive

DEFAULT_PORT = 8000
PORT_PATIENCE = 60.0
MANY = 16
"""Workers: with so many the last one is ready some time after the first."""
READY_PATIENCE = 1.0


def expect_ready_line(fixture: Fixture, chosen: int | None) -> None:
    """The line comes once and is true. With no chosen port the default one holds."""
    port = chosen or DEFAULT_PORT
    cluster = fixture.start({"PORT": chosen, "WORKERS": MANY if chosen else None}, wait=False)
    if (cluster.wait_started() == 1 and ports.taken(port)
            and any(str(port) in line for line in cluster.output(error=True))):
        # The program says so. Another program has it, or connections of the last one still do.
        return
    cluster.wait_ready()
    answers = [cluster.client.get("/no-such-path", patience=3) for _ in range(6)]
    bad = [str(answer) for answer in answers if answer.outcome != "answer"]
    if bad:
        raise CheckFailed(f"right after the ready line: {bad[0]}")
    expected = f"ready url=http://127.0.0.1:{port} workers={cluster.workers} pid={cluster.pid}"
    found = [line for line in cluster.output() if "ready url=" in line]
    if found != [expected]:
        raise CheckFailed(f"the lines {found}", expected=expected)
    expect_ready_before(cluster)


TOO_EARLY = {
    "expected": "the line comes when every worker is ready, and not before",
    "likely": "the ready line is printed when the workers are started: nobody waits until they are "
              "ready",
    "hint": "wait until all are ready before you announce it"}


def expect_ready_before(cluster: Cluster) -> None:
    """Each first worker was ready, as its journal tells, before the line came."""
    line = cluster.ready_at or 0.0
    late = [(slot, moment - line) for slot in range(1, cluster.workers + 1)
            for pid in spawned(cluster, slot)[:1]
            if (moment := await_ready(cluster, pid)) is not None and moment > line]
    if late:
        raise CheckFailed(f"after the ready line {len(late)} of {cluster.workers} workers became "
                          f"ready: worker {late[0][0]} {late[0][1] * 1000:.1f} ms after it",
                          **TOO_EARLY)


def expect_no_line_of_unready(cluster: Cluster) -> None:
    """The cluster has ended, perhaps before it was ready: then there was no ready line."""
    lines = [line for line in cluster.output() if line.startswith("ready url=")]
    first = [pid for slot in range(1, MOST_WORKERS + 1) for pid in spawned(cluster, slot)[:1]]
    unready = [pid for pid in first if ready_at(cluster, pid) is None]
    if lines and unready:
        raise CheckFailed(f"{lines[0]!r} although {len(unready)} of {len(first)} workers were "
                          "never ready: the signal came before that", **TOO_EARLY)


def await_ready(cluster: Cluster, pid: int) -> float | None:
    """When the process said that it is ready; None: it never did."""
    end = time.monotonic() + READY_PATIENCE
    while (moment := ready_at(cluster, pid)) is None and time.monotonic() < end:
        time.sleep(0.01)
    return moment


@contextmanager
def default_port_alone() -> Iterator[None]:
    """Of all gradings on this machine only one uses the default port at a time.

    The kernel gives this name, which is no file, to one socket only.
    """
    deadline = time.monotonic() + PORT_PATIENCE
    with socket.socket(socket.AF_UNIX) as lock:
        while True:
            try:
                lock.bind(f"\0cluster-harness-port-{DEFAULT_PORT}")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Inconclusive(f"other gradings have used port {DEFAULT_PORT} for "
                                       f"{PORT_PATIENCE:.0f} s") from None
                time.sleep(0.05)
        yield
