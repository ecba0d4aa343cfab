"""What the kernel tells about processors: how long threads ran, and how long they waited to run."""
from __future__ import annotations

import os

from harness.system import processes

TICKS = os.sysconf("SC_CLK_TCK")


def run_queue_wait(pid: int, at: str = "") -> dict[int, tuple[float, float]]:
    """For each thread the seconds since its start that it has run, and that it has waited for a
    processor. `at`: see processes.threads()."""
    here = f"{at}/{pid}" if at else processes.folder(pid)
    found: dict[int, tuple[float, float]] = {}
    try:
        tasks = processes.threads(pid, at)
    except OSError:  # the harness has no descriptor left
        return found
    for task in tasks:
        try:
            ran, waited = processes.read(f"{here}/task/{task}/schedstat").split()[:2]
        except (OSError, ValueError):
            continue
        found[task] = int(ran) / 1e9, int(waited) / 1e9
    return found


def stolen() -> list[float]:
    """For each processor of a virtual machine the seconds for which the machine below has kept it
    from threads that were ready to run (proc(5), "steal"). Empty if unknown."""
    try:
        lines = processes.read("/proc/stat").splitlines()[1:]
        rows = [row.split() for row in lines if row.startswith(b"cpu")]
    except OSError:
        return []
    return [int(row[8]) / TICKS for row in rows if len(row) > 8]


def busy() -> float:
    """Seconds for which this machine's processors were busy since its start, all added up, those
    that the machine below has kept from it too; 0 if unknown."""
    try:
        row = processes.read("/proc/stat").splitlines()[0].split()
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, row[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / TICKS


def thread_state(pid: int, thread: int) -> str:
    """One letter as in /proc/PID/stat (R: it runs, or waits for a processor); "" if there is no
    such thread."""
    return (processes.fields(pid, thread) or [""])[0]


def lets_others_go_first(pid: int, thread: int) -> bool:
    """Whether the thread is nice, or of the policy SCHED_IDLE (proc(5), fields 19 and 41 of the
    stat file). One of SCHED_BATCH gets its share like any other."""
    stat = processes.fields(pid, thread)
    return bool(stat) and (int(stat[16]) > 0 or int(stat[38]) == os.SCHED_IDLE)


def ready_threads(pid: int) -> dict[int, tuple[float, float]]:
    """The threads that run or wait for a processor just now, each with its seconds of both so far
    (see run_queue_wait)."""
    return {thread: had for thread, had in run_queue_wait(pid).items()
            if thread_state(pid, thread) == "R"}


def processor_time(pid: int) -> float:
    """Seconds that the process has run, in its own code and in the kernel; 0 if it is gone."""
    stat = processes.fields(pid)
    return (int(stat[11]) + int(stat[12])) / TICKS if stat else 0.0


def processor_time_of_ended(pid: int) -> float:
    """Seconds that those descendants of the process ran which have ended and were collected."""
    stat = processes.fields(pid)
    return (int(stat[13]) + int(stat[14])) / TICKS if stat else 0.0
