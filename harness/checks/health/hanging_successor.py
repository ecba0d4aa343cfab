"""A successor that hangs before it is ready: the workers beside it, and what becomes of it."""
from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGSTOP

from harness.checks import connections
from harness.checks.health import health, vitals
from harness.checks.journal_tells import ready_at, spawned
from harness.checks.process_end import expect_processes_gone
from harness.checks.restart import newcomers, program_on_disk
from harness.checks.settings import seconds
from harness.clients import worker_slots
from harness.cluster.cluster import CHILD_AGE, Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.time_bounds import await_true, overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

SLEEPS = "sleep 600.25"
HANGS = f"#!/bin/sh\ntrap '' TERM\nexec {SLEEPS}\n"
"""A program that never becomes ready, and is deaf to SIGTERM."""
SETTLES_WITHIN = 5.0
"""Seconds until a new process runs the other program or is ready, on a busy machine."""
LEAVES_WITHIN = 1.5
"""Seconds for a worker that was asked to go: its idle connections are closed after one."""
GIVEN_UP = 1.5
"""A successor that says nothing for HEARTBEAT_TIMEOUT_MS is silent, as any worker is. A start may
be given half as much again."""
STARTS_WITHIN = 1.0
"""The contract's: seconds for the successor of a worker that has died."""


class HangingSuccessorChecks:
    """Mixed into exercise 3's class for replacements."""

    @check(expected="while the successor of one sick worker hangs, another sick worker is replaced "
                    "within an interval + 500 ms; the first one stays",
           likely="the master waits for one successor before it looks at the other workers",
           hint="note which successor is starting, and look at it again in the next round; wait "
                "for nobody", seconds=3, needs=("test_thirty_errors_are_too_many",))
    def test_hanging_successor_holds_up_nobody(self, fixture: Fixture) -> None:
        """A successor that hangs holds up no other slot"""
        program, file = program_on_disk.copy_if_native(fixture)
        cluster = fixture.start(program=program)
        before = dict(worker_slots.find_workers(cluster))
        hangs = hang_successor(cluster, 1, file) is not None
        failed = vitals.ask(connections.to_one(cluster, 2), "/error", 30, 500)
        within = health.bound(cluster)
        health.await_successor(cluster, 2, before[2], failed, within, "errors")
        if hangs:
            expect_old_one_stays(cluster, before[1], 1)

    @check(expected="a successor that hangs is killed about HEARTBEAT_TIMEOUT_MS after its start; "
                    "another one is started, and the sick worker leaves when that one is ready",
           likely="a successor that hangs is waited for without an end, or is forgotten and lives "
                  "on, or gets SIGTERM, which it cannot heed",
           hint="when its time is over it gets SIGKILL, and the worker that is still sick is "
                "treated anew", seconds=7, needs=("test_hanging_successor_holds_up_nobody",))
    def test_hanging_successor_is_given_up(self, fixture: Fixture) -> None:
        """A successor that hangs is killed, and another one takes its place"""
        program, file = program_on_disk.copy_if_native(fixture)
        cluster = fixture.start(program=program)
        old = worker_slots.find_workers(cluster)[1]
        hanging = hang_successor(cluster, 1, file)
        if hanging is not None:
            given_up = expect_given_up(cluster, hanging)
            within = health.bound(cluster) + STARTS_WITHIN
            new = health.await_successor(cluster, 1, old, given_up, within, "errors")
            health.expect_gone(cluster, old, time.monotonic(), "errors")
            health.expect_successor_first(cluster, old, new)

    @check(expected="a sick worker is killed while its successor hangs: a process serves in its "
                    "slot, and no other one is left there",
           likely="the sick worker has died and was replaced, and the successor that was to take "
                  "its place is forgotten: it lives on",
           hint="a successor that is not wanted any more is dismissed, too",
           seconds=3, needs=("test_hanging_successor_holds_up_nobody",))
    def test_sick_one_dies_while_its_successor_hangs(self, fixture: Fixture) -> None:
        """A sick worker that dies while its successor hangs leaves no process too many"""
        program, file = program_on_disk.copy_if_native(fixture)
        cluster = fixture.start(program=program)
        old = worker_slots.find_workers(cluster)[1]
        hanging = hang_successor(cluster, 1, file)
        if hanging is not None:
            cluster.signal_worker(1, SIGKILL)
            given_up = expect_given_up(cluster, hanging)
            health.await_successor(cluster, 1, old, given_up, STARTS_WITHIN, "crash")
            health.expect_one_process(cluster, 1)


def hang_successor(cluster: Cluster, slot: int, file: Path | None) -> int | None:
    """Make the slot's worker sick, and its successor hang; returns the successor if it surely
    hangs.

    `file`: the program's file, if another one can be put in its place. A program that starts its
    workers from there gets one that hangs. Without such a file the successor is stopped, if it is
    not ready before a new process may be stopped at all. So not every program's successor can be
    made to hang. Nobody is blamed for that, nor for a start that fails because of the other file.
    """
    known = spawned(cluster, slot)
    lying_there = file.read_bytes() if file else b""
    put(file, HANGS.encode())
    failed = make_sick(cluster, slot)
    successor = await_spawn(cluster, slot, known, failed)
    if successor is not None and file is None:
        stop(cluster, successor)
        return None
    hangs = successor is not None and comes_to_hang(cluster, successor)
    put(file, lying_there)
    return successor if hangs else None


def stop(cluster: Cluster, successor: int) -> None:
    """Stop the successor, unless it is ready."""
    time.sleep(CHILD_AGE)
    if ready_at(cluster, successor) is None and processes.alive(successor):
        try:
            newcomers.send(cluster, successor, SIGSTOP)
        except CheckFailed:  # its master has just given it up
            return
        await_true(partial(processes.stopped, successor), 5, "the successor did not stop")


def comes_to_hang(cluster: Cluster, pid: int) -> bool:
    """Whether the process runs the program that hangs. One that does not is soon ready, or has
    ended."""
    await_true(lambda: processes.command_line(pid) == SLEEPS or not processes.alive(pid)
               or ready_at(cluster, pid) is not None, SETTLES_WITHIN,
               "the successor neither ran the program that had been put in its file's place, "
               "nor was it ready")
    return processes.command_line(pid) == SLEEPS


def make_sick(cluster: Cluster, slot: int) -> float:
    """Let 30 requests fail; returns the moment of the last one. No connection is left to the
    worker: so it can leave at once."""
    connection = connections.to_one(cluster, slot)
    failed = vitals.ask(connection, "/error", 30, 500)
    connection.close()
    return failed


def put(file: Path | None, content: bytes) -> None:
    """Put a program in that place, as an installation does."""
    if file is not None:
        fresh = file.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.chmod(0o755)
        fresh.rename(file)


def await_spawn(cluster: Cluster, slot: int, known: list[int], since: float) -> int | None:
    """The next process that the master starts in the slot, if one comes. Its spawn is over then."""
    while not overdue(since, health.bound(cluster)):
        new = [pid for pid in spawned(cluster, slot) if pid not in known]
        if new:
            return new[0]
        time.sleep(0.002)
    return None


def expect_old_one_stays(cluster: Cluster, old: int, slot: int) -> None:
    """A sick worker of whose successors none is ready is still there, and has not begun to leave.

    A master may give a successor up at any time, and try another one.
    """
    gone = not cluster.watcher.wait_gone([old], LEAVES_WITHIN)
    others = [pid for pid in spawned(cluster, slot) if pid != old]
    if gone and all(ready_at(cluster, pid) is None for pid in others):
        raise CheckFailed(f"worker {slot} (pid {old}) has ended, although its successor is not "
                          "ready", expected="the successor first", **health.ENDED_FIRST)


def expect_given_up(cluster: Cluster, hanging: int) -> float:
    """The successor that hangs ends in time; returns the moment."""
    within = seconds(cluster, "HEARTBEAT_TIMEOUT_MS") * GIVEN_UP + health.bound(cluster)
    expect_processes_gone(cluster, [hanging], time.monotonic(), within,
                          "(a successor that hangs)")
    return cluster.watcher.gone_at(hanging) or time.monotonic()
