"""The preflight: before a run it tries out what the harness needs of the machine. If something is
missing, nothing is graded, since that is never the program's fault."""
from __future__ import annotations

import os
import signal
import socket
import statistics
import tempfile
import time
from pathlib import Path

from harness.cluster.limits import MIB, MOST_BYTES, free_bytes, nearly_full
from harness.cluster.run import in_memory
from harness.system import prctl, processes

LEAST_ROOM = 2 * MOST_BYTES
"""Bytes that must be free for journals and other files of programs: a program that writes without
end reaches its own limit before the disk is full."""
SLEEPS, SLEEP = 5, 0.004
LATEST_WAKE = 0.5
"""Seconds. A machine on which a sleep ends later than this cannot keep time: every bound of the
checks is shorter or about as long."""
CHILD_SECONDS = 10
LOOPBACK = "127.0.0.1"


class Missing(Exception):
    """Something that the harness needs is missing; the text says what, and what to do."""


def problems() -> list[str]:
    """One sentence for each missing thing."""
    found = []
    for look in (room_for_files, processes_and_children, loopback, clock):
        try:
            look()
        except Missing as why:
            found.append(str(why))
        except OSError as why:
            found.append(f"{look.__name__.replace('_', ' ')}: {why}")
    return found


def room_for_files() -> None:
    place = in_memory() or Path(tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(b"x")
    if nearly_full(place) or free_bytes(place) < LEAST_ROOM:
        raise Missing(f"{place} has {free_bytes(place) // MIB} MiB free, {LEAST_ROOM // MIB} MiB "
                      "are needed for journals; make room, or set TMPDIR to a folder with room")


def processes_and_children() -> None:
    """A child can be forked, the child may adopt orphans, and /proc tells about the child what the
    checks have to know."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        be_child(writing)
    os.close(writing)
    try:
        said = os.read(reading, 1000).decode(errors="replace")
        if said != "ok":
            raise Missing(said or "a process that was forked is gone at once")
        see_child(pid)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def be_child(writing: int) -> None:
    try:
        prctl.adopt_orphans()
        said = "ok"
    except OSError as why:
        said = f"no process may adopt orphans here: {why}"
    os.write(writing, said.encode())
    signal.alarm(CHILD_SECONDS)
    signal.pause()
    os._exit(0)


def see_child(pid: int) -> None:
    if pid not in processes.children(os.getpid()):
        raise Missing("/proc does not tell which children a process has (mounted with hidepid?)")
    if not processes.command_line(pid) or not processes.resident(pid):
        raise Missing(f"/proc/{pid}/cmdline and /proc/{pid}/statm tell nothing")
    os.close(os.pidfd_open(pid))


def loopback() -> None:
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), timeout=CHILD_SECONDS).close()
    except OSError as why:
        raise Missing(f"no connection to {LOOPBACK} is possible ({why}); is the loopback "
                      "interface up? As root: ip link set lo up") from None


def clock() -> None:
    late = []
    for _ in range(SLEEPS):
        began = time.monotonic()
        time.sleep(SLEEP)
        late.append(time.monotonic() - began - SLEEP)
    if min(late) < -SLEEP / 2:
        raise Missing("a sleep ends before its time: this machine's clock is not to be trusted")
    if statistics.median(late) > LATEST_WAKE:
        raise Missing(f"a sleep of {SLEEP * 1000:.0f} ms ends {statistics.median(late):.1f} s too "
                      "late: this machine is too busy to grade on")
