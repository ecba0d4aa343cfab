"""A rolling restart: when the master may be signalled, and when a newcomer was started."""
from __future__ import annotations

import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checks.restart import newcomers, restart
from harness.system import processes

CLUSTER: Any = SimpleNamespace(pid=0)


def test_a_newcomer_came_when_it_was_started_not_when_it_was_first_seen(
        monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as child:
        running = time.monotonic()
        try:
            monkeypatch.setattr(processes, "children", lambda pid: [child.pid])
            came, pid = newcomers.next_newcomer(CLUSTER, set(), 5)
        finally:
            child.kill()
    assert pid == child.pid and before - 0.02 < came <= running


def test_a_master_that_has_just_worked_is_not_signalled_yet(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause between two pieces of work is not their end."""
    busy = iter([True, False, False, True])
    last_work: list[float] = []

    def not_noticed(cluster: object) -> bool:
        if next(busy, False):
            last_work.append(time.monotonic())
            return True
        return False

    monkeypatch.setattr(restart, "not_noticed_yet", not_noticed)
    cluster: Any = SimpleNamespace(signal=lambda number: time.monotonic())
    signalled = restart.signal_quiet(cluster)
    assert len(last_work) == 2 and signalled >= last_work[-1] + restart.QUIET_FOR
