"""The cluster supervisor: a process that starts one program, tells how it ends, and lets none of
its processes get away.

It is a *subreaper*: when a process of the cluster loses its parent, the supervisor becomes its
parent, whatever the process does to its session, environment or standard streams. So the cluster is
exactly the descendants of its supervisor.
The supervisor speaks with the check over one connection. When that is closed, by the check or
because the check's process has died, the supervisor kills the processes that are left and ends.
"""
from __future__ import annotations

import json
import os
import resource
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from harness.system import prctl, processes
from harness.system.files import remove

LOOK_MS = 100
"""Milliseconds between two looks for orphans to collect."""
KILLING_SECONDS = 10.0
"""A process that the kernel holds cannot be killed; after this time it is left to itself."""
CHILDREN: list[subprocess.Popen[bytes]] = []
LONGEST_REQUEST = 16 * 1024 * 1024
"""Bytes."""


def supervise(connection: socket.socket) -> None:
    """The whole life of a cluster supervisor."""
    os.setsid()
    prctl.adopt_orphans()
    request, (output, error) = receive(connection)
    try:
        master = start(request, output, error)
    except OSError as why:
        tell(connection, error=why.errno, text=why.strerror)
        return
    os.close(output)
    os.close(error)
    tell(connection, pid=master, supervisor=os.getpid())
    status = watch(connection, master)
    code = end_all(master)
    if status is None:
        tell(connection, status=code)
    if not tell(connection, ended=True):
        remove(Path(request["folder"]))


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The request, one line of JSON, and the descriptors for the program's output, which come with
    its first bytes."""
    data, descriptors, _, _ = socket.recv_fds(connection, 65536, 2)
    for descriptor in descriptors:  # the program gets its copies as 1 and 2, and no others
        os.set_inheritable(descriptor, False)
    while (not data.endswith(b"\n") and len(data) < LONGEST_REQUEST
            and (more := connection.recv(65536))):
        data += more
    return json.loads(data), descriptors


def tell(connection: socket.socket, **message: Any) -> bool:
    """Send a message; False if the other side is gone."""
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        return False
    return True


def start(request: dict[str, Any], output: int, error: int) -> int:
    """Start the program in a session of its own; returns its pid."""
    limit(resource.RLIMIT_FSIZE, request["largest_file"])
    user = request["user"]
    if user is not None:
        limit(resource.RLIMIT_NPROC, request["most_tasks"])  # not of this process: it is root's
        prctl.forgo_privileges()
    # It is collected as any other child. (A Popen that is not kept would collect it, too.)
    CHILDREN.append(subprocess.Popen(
        request["words"], env=request["environment"], cwd=request["cwd"],
        stdin=subprocess.DEVNULL, stdout=output, stderr=error, start_new_session=True,
        user=user, group=user, extra_groups=None if user is None else ()))
    return CHILDREN[0].pid


def limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def standing(parent: int) -> list[object]:
    """What another process of the same user can take from this one, and from the run supervisor,
    without a signal: its limits, its priority, its processors. Empty if the run supervisor is
    gone."""
    if os.getppid() != parent:
        return []
    limits = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA,
              resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_STACK)
    return [(*(resource.prlimit(pid, limit) for limit in limits),
             os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid),
             os.sched_getaffinity(pid)) for pid in (os.getpid(), parent)]


def watch(connection: socket.socket, master: int) -> int | None:
    """Until the connection is closed: tell how the master ends, and collect orphans. The master
    itself is not collected, so that its pid is not used again."""
    handle = os.pidfd_open(master)
    poll = select.poll()
    for one in (connection.fileno(), handle):
        poll.register(one, select.POLLIN)
    status: int | None = None
    parent = os.getppid()
    before = standing(parent)
    while True:
        ready = {number for number, _ in poll.poll(LOOK_MS)}
        now = standing(parent)
        if now and now != before:
            before = now
            tell(connection, harm="the program hindered its parent")
        if handle in ready:
            poll.unregister(handle)
            status = status_of(master)
            tell(connection, status=status)
        for pid in processes.children(os.getpid()):
            if pid != master:
                processes.reap(pid)
        if connection.fileno() in ready:
            return status


def status_of(master: int) -> int:
    """The exit code of the master, or the number of the signal that ended it, negative. This does
    not collect the master."""
    ended = os.waitid(os.P_PID, master, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def end_all(master: int) -> int | None:
    """Kill all descendants of this process and collect them; returns the status of the master."""
    status: int | None = None
    deadline = time.monotonic() + KILLING_SECONDS
    while (left := processes.descendants(os.getpid())) and time.monotonic() < deadline:
        processes.kill_all(left)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                status = os.waitstatus_to_exitcode(ended[1]) if ended[0] == master else status
        except ChildProcessError:
            pass
        time.sleep(0.002)
    return status
