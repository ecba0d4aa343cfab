"""Waiting for a computation ends when nobody computes."""
from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checks.tasks import task_results, task_status, tasks
from harness.clients import worker_slots
from harness.judging.verdict import CheckFailed


def refuse_late(bound: float, since: float, what: str) -> None:
    raise CheckFailed(what)


def test_a_prime_that_nobody_computes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker sleeps: its processor time, which bounds a loop without end, does not grow."""
    began = time.monotonic()

    def processing(*_: Any) -> dict[str, Any]:
        assert time.monotonic() < began + 10, "it is waited for without end"
        return {"status": "processing", "worker": 1}

    monkeypatch.setattr(tasks, "QUIET", 0.1)
    monkeypatch.setattr(worker_slots, "find_workers", lambda cluster: {1: 1})
    for name, value in {"submit": "task", "await_completed": [{"durationMs": 1000}],
                        "await_status": {"worker": 1}}.items():
        monkeypatch.setattr(tasks, name, lambda *_, value=value: value)
    monkeypatch.setattr(task_status, "task", processing)
    monkeypatch.setattr(tasks, "processes", SimpleNamespace(
        children=lambda pid: [1], processor_time=lambda pid: 1.5, ready_threads=lambda pid: {}))
    cluster: Any = SimpleNamespace(pid=0, refuse_late=refuse_late)
    with pytest.raises(CheckFailed, match="2.63-25 .*nobody computes"):
        task_results.expect_largest_prime(cluster)
