"""Processes: questions about them to /proc; to kill and collect them.

The programs that are graded may have process numbers of their own (pid_namespaces(7)). Then
look_at() says where these are found: from that call on, questions are about the processes there.
"""
from __future__ import annotations

import os
import re
import resource
import signal
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

LOOK_SHARE = 0.1
"""The share of a processor that looking at a program again and again may take: the more threads the
program has, the less often the looks come."""
NUMBER_INSIDE = re.compile(rb"^NSpid:\s+\d+\s+(\d+)", re.MULTILINE)
"""In /proc/PID/status: the number here, then those in the process namespaces that it is in."""
BIRTH_TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds: the kernel tells the start of a process in such steps."""
GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
"""A process that is just ending may be found in one file below /proc, and no more in the next."""
HARNESS_VARIABLES = "CLUSTER_HARNESS_"
RUN_MARKER, TOKEN = f"{HARNESS_VARIABLES}RUN", f"{HARNESS_VARIABLES}TOKEN"
OWN = "/proc"
"""Where this process, and others with numbers like its own, are found."""
_proc, _top = OWN, 0


def look_at(folder: str, top: int) -> None:
    """`folder`: /proc as a process sees it whose numbers are used from now on. `top`: the number
    here of a process that all of them descend from."""
    global _proc, _top
    _proc, _top = folder, top


def folder(pid: int) -> str:
    """The folder of that process below /proc."""
    return f"{_proc}/{pid}"


def shares_numbers() -> bool:
    """Whether the numbers are this process's own."""
    return _proc == OWN


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


def threads(pid: int, at: str = "") -> list[int]:
    """Empty if there is no such process. `at`: where to look instead."""
    try:
        return [int(name) for name in os.listdir(f"{at or _proc}/{pid}/task")]
    except GONE:
        return []


def children(pid: int, at: str = "") -> list[int]:
    """The direct children, whichever of its threads has started them. Empty if it is gone."""
    if not has_children_files():  # the slow way, for kernels without the `children` files
        return [one for one in everyone() if parent(one) == pid]
    found: list[int] = []
    for task in threads(pid, at):
        try:
            found += map(int, read(f"{at or _proc}/{pid}/task/{task}/children").split())
        except GONE:
            continue
    return found


def fields(pid: int, thread: int | None = None) -> list[str]:
    """The fields of /proc/PID/stat from the state on (the third field); empty if there is no such
    process or thread."""
    try:
        stat = read(f"{folder(pid)}/stat" if thread is None
                    else f"{folder(pid)}/task/{thread}/stat")
    except OSError:
        return []
    return stat.rpartition(b")")[2].decode().split()


def parent(pid: int) -> int:
    """0 if there is no such process."""
    stat = fields(pid)
    return int(stat[1]) if stat else 0


def descendants(pid: int, at: str = "") -> list[int]:
    found: dict[int, None] = {}
    queue = [pid]
    while queue:
        below = [one for one in children(queue.pop(), at) if one not in found]
        found.update(dict.fromkeys(below))
        queue += below
    return list(found)


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


def resident(pid: int) -> int:
    """Bytes of its resident set; 0 if it is gone."""
    try:
        return int(Path(f"{folder(pid)}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
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
        tasks = os.listdir(f"{folder(pid)}/task")
        stats = [read(f"{folder(pid)}/task/{thread}/stat") for thread in tasks]
    except OSError:
        return not alive(pid)
    return all(stat.rpartition(b")")[2].split()[0] in (b"T", b"t", b"Z") for stat in stats)


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z", "X")


def everyone() -> list[int]:
    return [int(name) for name in os.listdir(_proc) if name.isdigit()]


def marked(name: str, value: str) -> list[int]:
    """The processes that were started with this variable in their environment."""
    entry = f"{name}={value}".encode()
    found = []
    for pid in everyone():
        try:
            if entry in Path(f"{folder(pid)}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def command_line(pid: int) -> str:
    try:
        words = Path(f"{folder(pid)}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        return b" ".join(words).decode(errors="replace")
    except OSError:
        return ""


def image(pid: int) -> str:
    """The file of the program that the process runs; "" if that is not known."""
    try:
        return os.readlink(f"{folder(pid)}/exe")
    except OSError:
        return ""


def folder_of(pid: int) -> str:
    """The working directory of the process; "" if that is not known."""
    try:
        return os.readlink(f"{folder(pid)}/cwd")
    except OSError:
        return ""


def send(pid: int, number: int) -> None:
    """Signal a process. Raises ProcessLookupError if there is none."""
    if shares_numbers():
        os.kill(pid, number)
        return
    try:
        handle = os.open(folder(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    try:
        signal.pidfd_send_signal(handle, signal.Signals(number))  # takes a folder of /proc, too
    finally:
        os.close(handle)


def kill(pid: int) -> None:
    try:
        send(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def numbers_here(pids: list[int]) -> dict[int, int]:
    """By which number each of these processes is known to this one. Those that are gone are left
    out."""
    if shares_numbers() or not pids:
        return {pid: pid for pid in pids}
    found: dict[int, int] = {}
    for here in descendants(_top, OWN):
        with suppress(OSError, AttributeError):
            status = read(f"{OWN}/{here}/status")
            found[int(NUMBER_INSIDE.search(status).group(1))] = here  # type: ignore[union-attr]
    return {pid: found[pid] for pid in pids if pid in found}


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
