"""A successor that takes its time to start, and a sick worker that dies meanwhile."""
from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path
from signal import SIGKILL

from harness.checks.health import health, health_report
from harness.checks.health.hanging_successor import (
    HangingSuccessorChecks, await_spawn, make_sick, put,
)
from harness.checks.journal_tells import spawned
from harness.checks.replacement import expect_replaced_when_killed
from harness.checks.restart import program_on_disk
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

SHORT_INTERVAL_MS = 100
LONG_START, SHORT_START = 0.4, 0.15
"""Seconds by which a start is made slower: several of these intervals, and so short that after a
few deaths the pause before the next start is longer."""
DEATHS = 3
"""Workers that die young, so that the master waits before it replaces the next one."""
TRIES = 3
"""Times that a sick worker is killed, until its successor has taken an empty slot. On a busy
machine it may not have died young."""
START_ALLOWED = 1.0
"""The contract's: seconds for a successor to start."""


class SuccessorChecks(HangingSuccessorChecks):
    """Mixed into exercise 3's class for replacements, with the checks on successors that hang."""

    @check(expected="with a heartbeat every 100 ms a sick worker is replaced as well, though its "
                    "successor needs half a second to start",
           likely="the successor is given up before it can be ready: it gets an interval, or a "
                  "single round, and so does the next one",
           hint="give a start its time: HEARTBEAT_TIMEOUT_MS, and a second at least",
           seconds=2, needs=("test_thirty_errors_are_too_many",))
    def test_slow_successor_gets_its_time(self, fixture: Fixture) -> None:
        """A successor gets its time to start, however short the interval is"""
        program, file = program_on_disk.copy_if_native(fixture)
        cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": SHORT_INTERVAL_MS}, program=program)
        old = worker_slots.find_workers(cluster)[1]
        slow_down(file, LONG_START)
        failed = make_sick(cluster, 1)
        within = health.bound(cluster) + LONG_START + START_ALLOWED
        health.await_successor(cluster, 1, old, failed, within, "errors")
        health.expect_gone(cluster, old, failed + within, "errors")

    @check(expected="a sick worker is killed while its successor starts: a process serves in its "
                    "slot, no other one is left there, and the report does not count more "
                    "restarts than processes were started",
           likely="the end of the sick worker is counted twice: as a crash, and once more when "
                  "the slot is handed over, as if the sick worker were still there",
           hint="whose process has ended already is neither counted nor sent a signal when the "
                "slot is handed over", seconds=5,
           needs=("test_report_counts_restarts",))
    def test_sick_one_dies_before_its_successor_is_ready(self, fixture: Fixture) -> None:
        """A sick worker that dies before its successor is ready counts once"""
        for _ in range(TRIES):
            program, file = program_on_disk.copy_if_native(fixture)
            cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": SHORT_INTERVAL_MS}, program=program)
            for _ in range(DEATHS):
                expect_replaced_when_killed(cluster, 1, health.bound(cluster) + START_ALLOWED)
            slow_down(file, SHORT_START)
            before = len(spawned(cluster, 1))
            old, killed = kill_sick(cluster, 1)
            within = health.bound(cluster) + START_ALLOWED + SHORT_START
            health.await_successor(cluster, 1, old, killed, within, "crash")
            health.expect_one_process(cluster, 1)
            expect_counted_once(cluster, 1)
            if len(spawned(cluster, 1)) == before + 1:
                break


def slow_down(file: Path | None, wait: float) -> None:
    """Put a program in the file's place that waits so many seconds, and is the program then."""
    if file is not None:
        original = file.parent / "original" / file.name  # some programs go by their name
        original.parent.mkdir(exist_ok=True)
        if not original.exists():
            shutil.copy2(file, original)
        put(file, f'#!/bin/sh\nsleep {wait}\nexec {shlex.quote(str(original))} "$@"\n'.encode())


def kill_sick(cluster: Cluster, slot: int) -> tuple[int, float]:
    """Make the slot's worker sick, and kill it as soon as its successor is started; returns its pid
    and the moment."""
    old, known = worker_slots.pid_of(cluster, slot), spawned(cluster, slot)
    await_spawn(cluster, slot, known, make_sick(cluster, slot))
    try:
        return old, cluster.signal_worker(slot, SIGKILL)
    except CheckFailed:  # its successor was ready so soon that it has left already
        return old, time.monotonic()


def expect_counted_once(cluster: Cluster, slot: int) -> None:
    """The report counts a restart for each process that came after another one, and no more."""
    row = health_report.report_after(cluster, time.monotonic()).rows[slot]
    most = len(spawned(cluster, slot)) - 1
    if not 1 <= int(row["restarts"]) <= most:
        raise CheckFailed(f"worker {slot}: restarts={row['restarts']} "
                          f"lastRestart={row['lastRestart']}",
                          expected=f"restarts=1 to {most}: {most + 1} processes were started in "
                                   "the slot")
