"""New processes of the master: found as soon as they are started, and signalled before they can be
ready."""
from __future__ import annotations

import time
from signal import SIGSTOP, Signals
from typing import Collection

from harness.checks.common_ground.start import await_first_child
from harness.checks.restart import versions
from harness.checks.restart.one_at_a_time import look
from harness.checks.settings import seconds
from harness.cluster.cluster import CHILD_AGE, Cluster
from harness.cluster.fixture import Fixture
from harness.judging.time_bounds import await_true, overdue
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes, scheduling

READY_MARGIN = 0.05
"""Seconds before it can be ready that a worker must have been signalled."""


def next_newcomer(cluster: Cluster, known: Collection[int], patience: float) -> tuple[float, int]:
    """The next new child of the master: when it was started, and its pid."""
    began = time.monotonic()
    while True:
        for pid in processes.children(cluster.pid):
            if pid not in known and (born := processes.born(pid)) is not None:
                return born, pid
        if overdue(began, patience):
            cluster.refuse_late(patience, began, "a new worker process (none came)")
        time.sleep(0.002)


def signal_starting(cluster: Cluster, pid: int, born: float, number: Signals) -> float:
    """Signal a process that was started at `born`, just now, before it can be ready."""
    time.sleep(CHILD_AGE)
    while in_vfork(cluster) and time.monotonic() < born + seconds(cluster, "STARTUP_MS"):
        time.sleep(0.002)
    moment = send(cluster, pid, number)
    if number == SIGSTOP:
        await_true(lambda: processes.stopped(pid), 5, "the new worker did not stop")
    expect_in_time(cluster, born, time.monotonic())
    return moment


def in_vfork(cluster: Cluster) -> bool:
    """Whether the master may wait for the exec of a child, which must not be stopped before."""
    return any(scheduling.thread_state(cluster.pid, one) == "D"
               for one in processes.threads(cluster.pid))


def expect_in_time(cluster: Cluster, born: float, signalled: float) -> None:
    """The signal was sent before a worker that was started at `born` can be ready."""
    if signalled > born + seconds(cluster, "STARTUP_MS") - READY_MARGIN:
        raise Inconclusive("the harness was too slow to send a signal before a worker was ready")


def send(cluster: Cluster, pid: int, number: Signals) -> float:
    """Signal a new process; returns the moment."""
    moment = time.monotonic()
    cluster.log.add("signal", cluster=cluster.number, pid=pid, t=moment, text=number.name,
                    data={"to": "the new worker"})
    try:
        processes.send(pid, number)
    except ProcessLookupError:
        raise CheckFailed(f"the new process {pid} was gone before it was sent {number.name}"
                          + cluster.said()) from None
    return moment


def start_signalled(fixture: Fixture, number: Signals, settings: dict[str, int]) -> Cluster:
    """A cluster whose master is signalled when its first worker was started, but cannot be ready
    yet."""
    image = processes.image(fixture.start().pid)
    cluster = fixture.start(settings, wait=False)
    await_first_child(cluster, image)
    born, _ = next_newcomer(cluster, (), 10)
    expect_in_time(cluster, born, cluster.signal(number))
    return cluster


def children_of_the_start(cluster: Cluster, children: Collection[int]) -> set[int]:
    """Those that were started so long before the ready line that it can have waited for them."""
    latest = (cluster.ready_at or 0.0) - seconds(cluster, "STARTUP_MS") / 2
    return {pid for pid in children if (processes.born(pid) or 0.0) < latest}


def expect_no_newcomer(cluster: Cluster, known: Collection[int], wait: float, why: str) -> None:
    """No process is started for `wait` seconds. `why`: the end of the message."""
    end = time.monotonic() + wait
    while time.monotonic() < end:
        new = [pid for pid in processes.children(cluster.pid)
               if pid not in known and processes.alive(pid)]
        if new:
            raise CheckFailed(f"a new process {processes.describe(new)} was started {why}")
        time.sleep(0.02)


def expect_none_after_ready(cluster: Cluster) -> None:
    """SIGUSR2 came before the ready line: no restart follows, all workers serve 1.0.0."""
    cluster.wait_ready()
    versions.expect_version(cluster, "1.0.0")
    started = children_of_the_start(cluster, look(cluster).children)
    expect_no_newcomer(cluster, started, 0.9,
                                 "after the ready line, although SIGUSR2 came before it")
    versions.expect_version(cluster, "1.0.0")
