"""Checks for every exercise: crash loops, the journal; and the spread, where workers serve HTTP."""
from __future__ import annotations

import time
from collections import Counter
from signal import SIGKILL, SIGSTOP, SIGTERM

from harness.checks import connections
from harness.checks.common_ground.journal_form import expect_journal
from harness.checks.common_ground.start import end_gracefully
from harness.clients import worker_slots
from harness.clients.http_client import Connection
from harness.cluster.cluster import CHILD_AGE, Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

EACH_AT_LEAST = 5
ATTEMPTS = 3
"""Attempts to measure pauses on a machine that is behind."""
PACES = (0.0, 0.01, 0.03)
"""Seconds between connections. A worker that waits for a processor takes none: on a busy machine it
is given time."""


class SpreadChecks:
    """Mixed into the class for the common ground of an exercise whose workers serve."""

    @check(expected="of 40 fresh connections, made one after another, each of 2 workers gets at "
                    "least 5",
           likely="the worker that was woken first is always the same",
           hint="take the listening socket out of the epoll set and put it in again after each "
                "accept", seconds=0.2)
    def test_spread(self, fixture: Fixture) -> None:
        """Fresh connections reach all workers"""
        cluster = fixture.start()
        for pause in PACES:
            began = time.monotonic()
            counts = count_by_worker(cluster, pause)
            if all(counts[slot] >= EACH_AT_LEAST for slot in range(1, cluster.workers + 1)):
                return
            ended = time.monotonic()
            behind = cluster.meter.allowance(began, ended)
            if behind < (ended - began) / 10:
                raise CheckFailed(f"of {20 * cluster.workers} connections the workers got: "
                                  f"{dict(counts)}")
        raise Inconclusive(f"of {20 * cluster.workers} connections the workers got {dict(counts)}, "
                           f"but the machine was {behind:.2f} s of {ended - began:.2f} s behind")

    @check(expected="with one worker stopped, every fresh connection is answered by the others",
           likely="connections are dealt out to a worker that does not take them",
           hint="let the workers accept from one shared listening socket themselves", seconds=0.4)
    def test_stopped_worker_keeps_nobody_waiting(self, fixture: Fixture) -> None:
        """A stopped worker keeps no new connection waiting"""
        cluster = fixture.start()
        worker_slots.find_workers(cluster)
        cluster.signal_worker(1, SIGSTOP)
        for number in range(20 * cluster.workers):
            answer = cluster.client.get(fixture.exercise.probe, patience=3)
            if answer.status != 200:
                if answer.outcome == "waiting":
                    cluster.refuse_late(1.0, answer.started,
                                        f"the answer to connection {number + 1} with worker 1 "
                                        "stopped (none)")
                raise CheckFailed(f"connection {number + 1} with worker 1 stopped: {answer}")


class ProcessChecks:
    """Mixed into an exercise's class for the common ground."""

    @check(expected="a worker that dies at once again and again is started with growing pauses "
                    "(100 ms doubling), the other serves, and the slot comes back when the deaths "
                    "stop",
           likely="each death is answered by a new start at once, a hot loop",
           hint="if a worker lived for less than a second, wait before the next start, each time "
                "twice as long", seconds=3.5)
    def test_crash_loop_pauses(self, fixture: Fixture) -> None:
        """A worker that keeps dying is replaced with growing pauses"""
        for _ in range(ATTEMPTS):
            cluster = fixture.start()
            other = connections.to_one(cluster, 2)
            known, began = set(processes.children(cluster.pid)), time.monotonic()
            died, gaps = kill_again_and_again(cluster, other, known)
            # The first death may still count as an ordinary crash, without a pause. Then there are
            # pauses of 100, 200, 400 ms, or one step more.
            if sum(gaps[1:]) >= 0.63 and gaps[3] >= 0.36 and gaps[3] >= gaps[1] * 2:
                back = next_child(cluster, known, died)[0]
                cluster.expect_within(2.0, died, back, "the pause before the last start")
                return
            told = ", ".join(f"{gap:.2f} s" for gap in gaps)
            behind = cluster.meter.allowance(began, died)
            if behind < (died - began) / 10:
                raise CheckFailed(f"pauses before the starts: {told}",
                                  expected="about 0.1, 0.2, 0.4, 0.8 s")
        raise Inconclusive(f"pauses before the starts: {told}; but the machine was {behind:.2f} s "
                           f"of {died - began:.2f} s behind")

    @check(expected="every line is one JSON object with t, role, worker, pid, event; spawn, exit, "
                    "ready, signal, open, close, request and response are there with their fields",
           likely="lines are written in pieces, so that those of several processes mix, or an "
                  "event is missing",
           hint="one write for each line, on a file opened with O_APPEND", seconds=1.5)
    def test_journal(self, fixture: Fixture) -> None:
        """The journal has one whole JSON object a line, written by every process"""
        cluster = fixture.start()
        kept = connections.to_all(cluster, 5)
        for _ in range(10):
            for exchange in [one.send(fixture.exercise.probe) for one in kept if one.usable]:
                exchange.wait(5)
        for connection in kept[::2]:
            connection.close()
        old = worker_slots.pid_of(cluster, 1)
        cluster.signal_worker(1, SIGKILL)
        cluster.watcher.wait_gone([old], 2)
        cluster.signal(SIGTERM)
        end_gracefully(cluster)
        expect_journal(cluster, old)


def kill_again_and_again(cluster: Cluster, other: Connection,
                         known: set[int]) -> tuple[float, list[float]]:
    """Kill worker 1 and four of its successors, each as soon as it is there.

    Returns when the last one died, and the pauses between.
    """
    died = cluster.signal_worker(1, SIGKILL)
    gaps: list[float] = []
    for _ in range(4):
        born, pid = next_child(cluster, known, died)
        gaps.append(born - died)
        known.add(pid)
        time.sleep(CHILD_AGE)
        processes.kill(pid)
        died = time.monotonic()
        if died - born > 0.8:
            raise Inconclusive("the harness was too slow to kill a worker within 1 s of its start")
        cluster.log.add("signal", cluster=cluster.number, pid=pid, t=died, text="SIGKILL",
                        data={"to": "the new worker"})
        if other.get(cluster.exercise.probe, patience=2).status != 200:
            raise CheckFailed("the others do not serve while worker 1 keeps dying")
    return died, gaps


def next_child(cluster: Cluster, known: set[int], died: float) -> tuple[float, int]:
    while True:
        for pid in processes.children(cluster.pid):
            if pid not in known:
                return time.monotonic(), pid
        if time.monotonic() > died + 6.5:
            raise CheckFailed(f"no successor {time.monotonic() - died:.1f} s after a worker's "
                              "death")
        time.sleep(0.005)


def count_by_worker(cluster: Cluster, pause: float) -> Counter[int | None]:
    counts: Counter[int | None] = Counter()
    for _ in range(20 * cluster.workers):
        counts[cluster.client.get(cluster.exercise.probe).worker] += 1
        time.sleep(pause)
    return counts
