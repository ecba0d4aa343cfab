"""Whether a machine is at rest, so that gradings are fair; which of its cores a grading gets."""
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Callable

from harness.system import processes, processors
from harness.telling.visible import visible

CORES_EACH = 2
"""Cores that one grading has for itself."""
LOOK_SECONDS = 2.0
BUSY = 0.25
"""The share of a core above which a process is named, and all together are a load."""


@dataclass(frozen=True)
class Busy:
    pid: int
    share: float
    command: str

    def __str__(self) -> str:
        return f"{self.share:.0%} of a core: {self.command[:60]} (process {self.pid})"


def slots() -> list[list[int]]:
    """The cores of each grading that can go on at the same time: two each; on a machine with one
    core, that one. In a container that sees more cores than it may use each has all of them: nobody
    knows which are idle."""
    cores, share = sorted(os.sched_getaffinity(0)), processors.share()
    if share < len(cores):
        return [cores] * max(1, int(share) // CORES_EACH)
    pairs = [cores[at:at + CORES_EACH] for at in range(0, len(cores), CORES_EACH)]
    return [pair for pair in pairs if len(pair) == CORES_EACH] or [cores]


def load(wait: Callable[[float], None] = time.sleep) -> list[Busy]:
    """The processes that keep this machine busy; empty if it is at rest. It takes two seconds."""
    before = {pid: ticks(pid) for pid in processes.everyone()}
    began = time.monotonic()
    wait(LOOK_SECONDS)
    passed = (time.monotonic() - began) / processes.BIRTH_TICK
    found = []
    for pid in processes.everyone():
        used = ticks(pid) - before.get(pid, 0)
        if pid != os.getpid() and used > 0:
            found.append(Busy(pid, used / passed, visible(processes.command_line(pid) or "?")))
    if sum(one.share for one in found) < BUSY:
        return []
    return sorted(found, key=lambda one: -one.share)[:5]


def ticks(pid: int) -> int:
    """Processor time, of the kernel and its own: fields 14 and 15 of proc(5), "stat"."""
    stat = processes.fields(pid)
    return int(stat[11]) + int(stat[12]) if stat else 0
