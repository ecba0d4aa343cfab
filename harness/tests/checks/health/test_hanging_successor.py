"""Which successor comes to hang."""
from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.checks.health import hanging_successor
from harness.checks.health.hanging_successor import HANGS, comes_to_hang
from harness.judging.verdict import Inconclusive

READY = "exec sleep 61"
"""Of the processes here, one that runs this says that it is ready."""


@pytest.fixture(name="successor")
def successor_with_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    hangs, running = tmp_path / "hangs", []
    hangs.write_text(HANGS)
    hangs.chmod(0o755)

    def start(script: str) -> int:
        process = subprocess.Popen(["sh", "-c", script.replace("HANGS", str(hangs))])
        running.append(process)
        ready = time.monotonic() if script == READY else None
        monkeypatch.setattr(hanging_successor, "ready_at", lambda _cluster, _pid: ready)
        return process.pid

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("script", "hangs"), [
    ("exec HANGS", True), ("sleep 0.3; exec HANGS", True), ("exit 1", False), (READY, False)])
def test_only_one_that_runs_the_other_program_hangs(successor: Any, script: str,
                                                    hangs: bool) -> None:
    cluster: Any = None
    assert comes_to_hang(cluster, successor(script)) == hangs


def test_of_one_that_does_neither_nothing_can_be_said(successor: Any,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging_successor, "SETTLES_WITHIN", 0.3)
    cluster: Any = None
    with pytest.raises(Inconclusive, match="nor was it ready"):
        comes_to_hang(cluster, successor("exec sleep 62"))
