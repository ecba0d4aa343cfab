"""Processes: questions about them to /proc; to kill, collect and adopt them."""
from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from functools import cache
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LOOK_SHARE = 0.1
"""The share of a processor that looking at a program again and again may take: the more threads the
program has, the less often the looks come."""
BIRTH_TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds: the kernel tells the start of a process in such steps."""
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""A process that is just ending may be found in one file below /proc, and no more in the next."""
HARNESS_VARIABLES = "CLUSTER_HARNESS_"
RUN_MARKER, TOKEN = f"{HARNESS_VARIABLES}RUN", f"{HARNESS_VARIABLES}TOKEN"


def adopt_orphans() -> None:
    """From now on a process whose parent dies becomes a child of this one, not of init."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_with(parent: int) -> None:
    """From now on the kernel kills this process when its parent dies. If the parent has died
    already, the process ends at once."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def read(path: str) -> bytes:
    """A small file below /proc. This takes a third of pathlib's time: the watching threads read
    thousands of such files in a second."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, 65536)
    finally:
        os.close(handle)


@cache
def has_children_files() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def threads(pid: int) -> list[int]:
    """Empty if there is no such process."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except GONE:
        return []


def children(pid: int) -> list[int]:
    """The direct children, whichever of its threads has started them. Empty if it is gone."""
    if not has_children_files():  # the slow way, for kernels without the `children` files
        return [one for one in everyone() if parent(one) == pid]
    found: list[int] = []
    for task in threads(pid):
        try:
            found += map(int, read(f"/proc/{pid}/task/{task}/children").split())
        except GONE:
            continue
    return found


def fields(pid: int, thread: int | None = None) -> list[str]:
    """The fields of /proc/PID/stat from the state on (the third field); empty if there is no such
    process or thread."""
    try:
        stat = read(f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat")
    except OSError:
        return []
    return stat.rpartition(b")")[2].decode().split()


def parent(pid: int) -> int:
    """0 if there is no such process."""
    stat = fields(pid)
    return int(stat[1]) if stat else 0


def descendants(pid: int) -> list[int]:
    found: dict[int, None] = {}
    queue = [pid]
    while queue:
        below = [one for one in children(queue.pop()) if one not in found]
        found.update(dict.fromkeys(below))
        queue += below
    return list(found)


def run_queue_wait(pid: int) -> dict[int, tuple[float, float]]:
    """For each thread the seconds since its start that it has run, and that it has waited for a
    processor."""
    found: dict[int, tuple[float, float]] = {}
    try:
        tasks = threads(pid)
    except OSError:  # the harness has no descriptor left
        return found
    for task in tasks:
        try:
            ran, waited = read(f"/proc/{pid}/task/{task}/schedstat").split()[:2]
        except (OSError, ValueError):
            continue
        found[task] = int(ran) / 1e9, int(waited) / 1e9
    return found


def born(pid: int) -> float | None:
    """The moment (as time.monotonic() tells it) at which the process was started: at most
    BIRTH_TICK too early, never too late.

    None if there is no such process.
    """
    stat = fields(pid)
    if not stat or stat[0] in ("Z", "X"):
        return None
    since_boot = int(stat[19]) * BIRTH_TICK  # field 22 of proc(5), "stat"
    # A difference is too small if this thread was interrupted between the two clocks.
    offset = max(time.monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME) for _ in range(3))
    return since_boot + offset


def stolen() -> list[float]:
    """For each processor of a virtual machine the seconds for which the machine below has kept it
    from threads that were ready to run (proc(5), "steal"). Empty if unknown."""
    try:
        lines = read("/proc/stat").splitlines()[1:]
        rows = [row.split() for row in lines if row.startswith(b"cpu")]
    except OSError:
        return []
    return [int(row[8]) / os.sysconf("SC_CLK_TCK") for row in rows if len(row) > 8]


def thread_state(pid: int, thread: int) -> str:
    """One letter as in /proc/PID/stat (R: it runs, or waits for a processor); "" if there is no
    such thread."""
    return (fields(pid, thread) or [""])[0]


def ready_threads(pid: int) -> dict[int, tuple[float, float]]:
    """The threads that run or wait for a processor just now, each with its seconds of both so far
    (see run_queue_wait)."""
    return {thread: had for thread, had in run_queue_wait(pid).items()
            if thread_state(pid, thread) == "R"}


def processor_time(pid: int) -> float:
    """Seconds that the process has run, in its own code and in the kernel; 0 if it is gone."""
    stat = fields(pid)
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def resident(pid: int) -> int:
    """Bytes of its resident set; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def await_reaped(pid: int) -> None:
    """Wait until the parent of a killed process has collected it, or for a second. Whether that was
    in time is judged elsewhere."""
    deadline = time.monotonic() + 1
    while state(pid) and time.monotonic() < deadline:
        time.sleep(0.005)


def state(pid: int) -> str:
    """One letter as in /proc/PID/stat (T: stopped, Z: zombie); "" if there is no such process."""
    return (fields(pid) or [""])[0]


def stopped(pid: int) -> bool:
    """Whether every thread of the process is stopped, or the process is gone."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        stats = [read(f"/proc/{pid}/task/{thread}/stat") for thread in tasks]
    except OSError:
        return not alive(pid)
    return all(stat.rpartition(b")")[2].split()[0] in (b"T", b"t", b"Z") for stat in stats)


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z", "X")


def everyone() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marked(name: str, value: str) -> list[int]:
    """The processes that were started with this variable in their environment."""
    entry = f"{name}={value}".encode()
    found = []
    for pid in everyone():
        try:
            if entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        return b" ".join(words).decode(errors="replace")
    except OSError:
        return ""


def image(pid: int) -> str:
    """The file of the program that the process runs; "" if that is not known."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def folder_of(pid: int) -> str:
    """The working directory of the process; "" if that is not known."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def kill_all(pids: list[int]) -> None:
    """Kill these descendants of the calling process, their groups first: a child that is just being
    forked in a group does not escape the group's signal."""
    own = os.getpgrp()
    for pid in pids:
        try:
            if (group := os.getpgid(pid)) != own:
                os.killpg(group, signal.SIGKILL)
        except OSError:
            pass
    for pid in pids:
        kill(pid)


def reap(pid: int) -> bool:
    """Collect a child if it has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def describe(pids: list[int]) -> str:
    return ", ".join(f"{pid} ({command_line(pid) or '?'})" for pid in pids)


def raise_own_limit(wanted: int) -> bool:
    """Raise this process's limit of open files; False if the hard limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted <= hard
