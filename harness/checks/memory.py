"""Whether memory stays bounded: a heap that grows in steps comes to rest, a leak never does."""
from __future__ import annotations

from typing import Callable, Iterable

from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

FLAT = 256 * 1024
"""Bytes by which a process may grow in a phase that counts as flat."""
MOST_PHASES, SPAN = 20, 5
"""A garbage collector may let a heap grow through many phases, but ever less. So who never had a
flat phase is judged by its growth in the last SPAN phases and in as many before the half."""
DECLINED = 0.5
"""A leak grows as much in the last phases as in the earlier ones, a collector's heap no more than
this share."""


def expect_rest(pids: Iterable[int], phase: Callable[[int], object], least: int, what: str) -> None:
    """Go through equal phases, at least so many, until each of the processes has had one in which
    it did not grow."""
    grown: dict[int, list[int]] = {pid: [] for pid in pids}
    size = resident(grown)
    restless = set(grown)
    for number in range(MOST_PHASES):
        if number >= least and not restless:
            return
        phase(number)
        after = resident(grown)
        for pid in grown:
            grown[pid].append(after[pid] - size[pid])
        size = after
        restless -= {pid for pid in restless if grown[pid][-1] <= FLAT}
    leaks = [pid for pid in sorted(restless) if not declines(grown[pid])]
    if leaks:
        told = "; ".join(f"process {pid} by {mebibytes(grown[pid])} MiB" for pid in leaks)
        raise CheckFailed(f"in {MOST_PHASES} phases of {what} each grew {told}",
                          expected="memory comes to rest")


def declines(grown: list[int]) -> bool:
    half = MOST_PHASES // 2
    return sum(grown[-SPAN:]) <= DECLINED * sum(grown[half - SPAN:half])


def mebibytes(sizes: Iterable[int]) -> str:
    return ", ".join(f"{size / 2 ** 20:.1f}" for size in sizes)


def resident(pids: Iterable[int]) -> dict[int, int]:
    """Pid → bytes of its resident set."""
    found = {pid: processes.resident(pid) for pid in pids}
    if not all(found.values()):
        raise Inconclusive(f"memory cannot be read from /proc: {found}")
    return found
