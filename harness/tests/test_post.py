"""A harness that gets no processor for a while blames nobody for it."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys import HARNESS

SOLUTION = HARNESS.parent / "build/bin/ex4-solution"
STALLED = """
import os, signal, subprocess
from grading import post
empty_slot = post.empty_slot
def and_stall(*arguments):
    emptied = empty_slot(*arguments)
    waking = subprocess.Popen(["sh", "-c", f"sleep SECONDS; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    waking.wait()
    return emptied
post.empty_slot = and_stall
"""


@pytest.mark.parametrize("seconds", ["0.45", "0.82", "1.2"])
def test_a_slot_that_is_filled_again_meanwhile_is_no_fault(tmp_path: Path, seconds: str) -> None:
    """The whole harness is stopped between the death of slot 2's last worker and the request."""
    if not SOLUTION.exists():
        pytest.skip("build it first: make ex4-solution")
    (tmp_path / "stalled.py").write_text(STALLED.replace("SECONDS", seconds))
    report = tmp_path / "report.json"
    words = [sys.executable, "-m", "pytest", "-p", "stalled", str(HARNESS / "test_ex4_advanced_ipc.py"), "--solution", "-n0", "--report-dir=",
             "--report-json", str(report), "-k", "test_a_slot_without_a_process_is_502"]
    subprocess.run(words, cwd=HARNESS.parent, env={**os.environ, "PYTHONPATH": f"{tmp_path}:{HARNESS}"}, stdout=subprocess.DEVNULL, timeout=60)
    (item,) = json.loads(report.read_text())["items"]
    assert item["result"] in ("pass", "inconclusive"), item
