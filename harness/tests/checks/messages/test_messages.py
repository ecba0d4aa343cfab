"""Messages between workers: what is said when the machine, or the program, lets answers wait."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checks.messages import message_stats, message_trail
from harness.clients.exchange import Answer
from harness.judging.events import EventLog
from harness.judging.verdict import CheckFailed
from harness.system.places import HARNESS, ROOT

SOLUTION = ROOT / "build/bin/ex4-solution"
STALLED = """
import os, signal, subprocess
from harness.checks.messages import message_deaths
empty_slot = message_deaths.empty_slot
def and_stall(*arguments):
    emptied = empty_slot(*arguments)
    waking = subprocess.Popen(["sh", "-c", f"sleep SECONDS; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    waking.wait()
    return emptied
message_deaths.empty_slot = and_stall
"""


@pytest.mark.parametrize("seconds", ["0.45", "0.82", "1.2"])
def test_a_slot_that_is_filled_again_meanwhile_is_no_fault(tmp_path: Path, seconds: str) -> None:
    """The whole harness is stopped between the death of slot 2's last worker and the request."""
    if not SOLUTION.exists():
        pytest.skip("build it first: make ex4-solution")
    (tmp_path / "stalled.py").write_text(STALLED.replace("SECONDS", seconds))
    report = tmp_path / "report.json"
    words = [sys.executable, "-m", "pytest", "-p", "stalled",
             str(HARNESS / "test_ex4_advanced_ipc.py"), "--solution", "-n0", "--report-dir=",
             "--report-json", str(report), "-k", "test_a_slot_without_a_process_is_502"]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
                   stdout=subprocess.DEVNULL, timeout=60)
    (item,) = json.loads(report.read_text())["items"]
    assert item["result"] in ("pass", "inconclusive"), item


def stats(worker: int, pending: list[int], status: int = 200) -> Answer:
    """The answer of this worker; so many calls are pending in slot 1, slot 2 …"""
    rows = [{"worker": slot, "pid": slot, "uptime": 1, "requests": 0, "received": 0, "pending": one}
            for slot, one in enumerate(pending, 1)]
    body = {"worker": worker, "workers": rows, "total": {}, "missing": []} if status == 200 else \
           {"worker": worker, "error": "late"}
    return Answer("answer", "GET", "/stats", 1.0, 1.1, status, {}, json.dumps(body).encode(), 1)


class Cluster:
    """Answers to /stats, one after another, from whichever worker."""

    number, workers = 1, 3

    def __init__(self, answers: list[Answer]) -> None:
        self.log = EventLog()
        rest = iter(answers)
        self.client = SimpleNamespace(get=lambda path, patience: next(rest))
        self.meter = SimpleNamespace(allowance=lambda start, end: 0.0)
        self.journal = Path(os.devnull)
        self.settings: dict[str, str] = {}
        self.exercise = SimpleNamespace(real={"REQUEST_TIMEOUT_MS": 1000})


def test_a_program_that_counts_the_stats_that_it_answers_is_told_so_at_once() -> None:
    cluster: Any = Cluster([stats(slot, [int(slot == one) for one in (1, 2, 3)])
                            for _ in range(10) for slot in (1, 2, 3)])
    with pytest.raises(CheckFailed) as failure:
        message_stats.await_nothing_pending(cluster, 60.0)
    assert "counts the very /stats" in failure.value.likely


@pytest.mark.parametrize("asked, pending", [
    ([1] * 25, [[1, 0, 0]] * 25), ([1, 2, 3] * 9, [[1, 0, 0], [0, 2, 0], [1, 1, 0]] * 9),
], ids=["of one alone", "of others too"])
def test_calls_that_are_pending_for_a_while_are_waited_for(asked: list[int],
                                                           pending: list[list[int]]) -> None:
    cluster: Any = Cluster([*map(stats, asked, pending), stats(1, [0, 0, 0])])
    message_stats.await_nothing_pending(cluster, 60.0)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_504_has_other_causes_if_no_worker_is_stopped(stopped: bool) -> None:
    cluster: Any = Cluster([])
    if stopped:
        cluster.log.add("signal", cluster=1, pid=7, t=0.5, text="SIGSTOP", data={"to": "worker 2"})
    with pytest.raises(CheckFailed) as failure:
        message_stats.expect_stats(cluster, stats(1, [], 504), [])
    assert bool(failure.value.likely) != stopped


def message(t: float, worker: int, event: str, type_: str, call: str = "c1") -> str:
    return json.dumps({"t": t, "worker": worker, "pid": worker + 10, "event": event,
                       "type": type_, "id": call}) + "\n"


@pytest.mark.parametrize("trail, likely", [
    ([("send", "call", 1)], "passes it on to nobody"),
    ([("send", "call", 1), ("send", "request", 0)], "no worker replies"),
    ([("send", "call", 1), ("send", "request", 0), ("recv", "reply", 0)],
     "does not answer the caller"),
    ([("send", "call", 1), ("send", "request", 0), ("recv", "reply", 0), ("recv", "answer", 1)],
     "the lock is held while the caller waits"),
    ([], "room for one call only")], ids=["call", "request", "reply", "answer", "none"])
def test_why_a_call_is_lost_is_said_by_its_trail(trail: list[tuple[str, str, int]], likely: str,
                                                 tmp_path: Path) -> None:
    cluster: Any = Cluster([])
    cluster.journal = tmp_path / "journal"
    cluster.journal.write_text("".join(message(1.05, worker, event, type_)
                                       for event, type_, worker in trail))
    assert likely in message_trail.why_lost(cluster, stats(1, [], 504))


def test_of_several_calls_none_is_followed(tmp_path: Path) -> None:
    cluster: Any = Cluster([])
    cluster.journal = tmp_path / "journal"
    cluster.journal.write_text(message(1.05, 1, "send", "call") + message(1.06, 1, "send", "call",
                                                                          "c2"))
    assert "room for one call only" in message_trail.why_lost(cluster, stats(1, [], 504))
