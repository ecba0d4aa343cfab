"""A heap that comes to rest is told from a leak."""
from __future__ import annotations

import os

import pytest

from harness.checks import memory
from harness.judging.verdict import CheckFailed
from harness.system import processes

MIB = 2 ** 20
COLLECTOR = [3.2, 0.8, 0.3, 1.2, 1.3, 3.5, 0.5, 1.1, 0.9, 1.4, 0.6, 0.9, 0.5, 0.7, 0.4, 0.5, 0.3,
             0.6, 0.3, 0.4]
"""The growth of a garbage collector's heap, in MiB a phase: never flat, but ever less."""


def phases(monkeypatch: pytest.MonkeyPatch, growth: list[float]) -> int:
    """How many phases are gone through, if the process grows so much in each."""
    size, count = 100 * MIB, 0

    def phase(number: int) -> None:
        nonlocal size, count
        size, count = size + int(growth[number] * MIB), number + 1

    monkeypatch.setattr(processes, "resident", lambda pid: size)
    memory.expect_rest([os.getpid()], phase, 2, "messages")
    return count


@pytest.mark.parametrize(("growth", "count"), [
    ([2.0, 0.1], 2), ([0.0, 0.0], 2), ([3.0, 1.0, 0.2], 3), (COLLECTOR, 20)])
def test_a_heap_comes_to_rest(monkeypatch: pytest.MonkeyPatch, growth: list[float], count: int
                              ) -> None:
    assert phases(monkeypatch, growth) == count


@pytest.mark.parametrize("each", [5.2, 0.3])
def test_a_leak_never_does(monkeypatch: pytest.MonkeyPatch, each: float) -> None:
    with pytest.raises(CheckFailed, match="in 20 phases of messages each grew process"):
        phases(monkeypatch, [each] * 20)
