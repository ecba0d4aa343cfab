"""Whether memory stays bounded: a heap that grows in steps comes to rest, a leak never does."""
from __future__ import annotations

from typing import Callable, Iterable

from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

FLAT = 256 * 1024
"""Bytes by which a process may grow in a phase that counts as flat."""
LAST = 5
"""Phases by whose average growth a process is judged that has had no flat one."""
SOON, MOST_PHASES = 10, 20
"""After so many phases who leaks all that was sent is refused, and who leaks a part of it. A
garbage collector may let a heap grow through many phases, but ever less."""
ALL, PART = 0.5, 0.1
"""Shares of what was sent: what a process grows by is a leak of it from there on."""


def expect_rest(pids: Iterable[int], phase: Callable[[int], object], least: int, sent: int,
                what: str) -> None:
    """Go through equal phases, at least so many, until each of the processes has had one in which
    it did not grow. In each phase a process is sent so many bytes."""
    grown: dict[int, list[int]] = {pid: [] for pid in pids}
    size = resident(grown)
    restless = set(grown)
    for number in range(MOST_PHASES):
        if number >= least and not restless:
            return
        if number == SOON:
            refuse_growth({pid: grown[pid] for pid in restless}, sent * ALL, what)
        phase(number)
        after = resident(grown)
        for pid in grown:
            grown[pid].append(after[pid] - size[pid])
        size = after
        restless -= {pid for pid in restless if grown[pid][-1] <= FLAT}
    refuse_growth({pid: grown[pid] for pid in restless}, sent * PART, what)


def refuse_growth(grown: dict[int, list[int]], limit: float, what: str) -> None:
    leaks = [f"process {pid} by {mebibytes(sizes)} MiB" for pid, sizes in sorted(grown.items())
             if sum(sizes[-LAST:]) / LAST > limit]
    if leaks:
        count = len(next(iter(grown.values())))
        raise CheckFailed(f"in {count} phases of {what} each grew {'; '.join(leaks)}",
                          expected="memory comes to rest")


def mebibytes(sizes: Iterable[int]) -> str:
    return ", ".join(f"{size / 2 ** 20:.1f}" for size in sizes)


def resident(pids: Iterable[int]) -> dict[int, int]:
    """Pid → bytes of its resident set."""
    found = {pid: processes.resident(pid) for pid in pids}
    if not all(found.values()):
        raise Inconclusive(f"memory cannot be read from /proc: {found}")
    return found
