"""The states of the machine in which gradings are repeated."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator

LOADS: dict[str, tuple[str, ...]] = {
    "idle": (),
    "cpu": ("--cpu", "2"),
    "memory": ("--vm", "1", "--vm-bytes", "1g", "--fork", "1"),
}
"""Each load, with the arguments of stress-ng for it."""


@dataclass(frozen=True)
class State:
    load: str
    cores: int

    @property
    def shown(self) -> str:
        return f"{self.load}, {self.cores} core{'s' if self.cores > 1 else ''}"

    def prefix(self, place: int) -> tuple[str, ...]:
        """Words that keep a grading to that many cores; `place` numbers the gradings that go on at
        the same time."""
        return kept_to({CORES[(place + index) % len(CORES)] for index in range(self.cores)})


CORES = sorted(os.sched_getaffinity(0))[:2]
"""Two, for the gradings and for the load: on a machine with more of them they would not meet."""


def kept_to(cores: Iterable[int]) -> tuple[str, ...]:
    return ("taskset", "--cpu-list", ",".join(map(str, sorted(cores))))


STATES = tuple(State(load, cores) for cores in (2, 1) for load in LOADS)


def turns(runs: int, loads: list[str]) -> list[State]:
    """States for so many runs: half of them without load, if that is among the loads, and every
    other on one core."""
    idle = [state for state in STATES if state.load in loads and state.load == "idle"]
    loaded = [state for state in STATES if state.load in loads and state.load != "idle"]
    if not idle or not loaded:
        states = idle or loaded
        return [states[run % len(states)] for run in range(runs)]
    return [idle[run // 2 % len(idle)] if run % 2 == 0 else loaded[run // 2 % len(loaded)]
            for run in range(runs)]


def need_tools() -> None:
    if missing := [name for name in ("taskset", "stress-ng") if shutil.which(name) is None]:
        sys.exit(f"error: {' and '.join(missing)} missing: apt-get install util-linux stress-ng")


@contextmanager
def loaded(load: str) -> Iterator[Callable[[], bool]]:
    """Keeps the machine busy meanwhile, and gives a function that tells whether it still does.

    The load ends with this process, however that ends.
    """
    if not LOADS[load]:
        yield lambda: True
        return
    words = [*kept_to(CORES), "setpriv", "--pdeathsig", "TERM", "stress-ng", "--quiet",
             *LOADS[load]]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing,
                          start_new_session=True) as stress:
        try:
            yield lambda: stress.poll() is None
        finally:
            if stress.poll() is None:
                os.killpg(stress.pid, signal.SIGTERM)
