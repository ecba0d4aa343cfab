"""The run supervisor: a process that starts the clusters of a run, and clears up after the run,
also if the run was killed.

Usage: python3 -P -m harness.cluster.run_supervisor LISTENER TOKEN FOLDER [FOLDER...]

LISTENER is the descriptor of a listening socket. For each connection to it the run supervisor forks
a cluster supervisor, which starts one cluster (see cluster_supervisor.py).
Only the run holds the other end of the run supervisor's standard input: end of file there says that
the run is over. Then the run supervisor kills the processes that bear the run's token in their
environment, waits for the cluster supervisors, and removes the folders.
If a program kills its cluster supervisor, the run supervisor becomes the program's parent and kills
it at once.
"""
from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from harness.cluster.cluster_supervisor import LOOK_MS, receive, supervise, tell
from harness.system import processes
from harness.system.files import remove

END_SECONDS = 15.0
LET_END_SECONDS = 11.0
"""Longer than a cluster supervisor tries to kill its cluster."""
PATIENCE = 2.0
"""Seconds for the rest of a request that has begun."""


def serve(listener: socket.socket, supervisors: set[int]) -> None:
    """Fork cluster supervisors until the run is over."""
    poll = select.poll()
    for one in (0, listener.fileno()):
        poll.register(one, select.POLLIN)
    while True:
        ready = {number for number, _ in poll.poll(LOOK_MS)}
        if listener.fileno() in ready:
            answer(listener, supervisors)
        collect(supervisors)
        if 0 in ready and not os.read(0, 4096):
            return


def answer(listener: socket.socket, supervisors: set[int]) -> None:
    """Fork a cluster supervisor for a check that asks for one. The run outlives a refusal of the
    machine."""
    try:
        connection, _ = listener.accept()
    except OSError:
        time.sleep(LOOK_MS / 1000)  # the connection stays in the queue: the next try may take it
        return
    with connection:
        try:
            supervisors.add(fork_supervisor(listener, connection))
        except OSError as why:
            refuse(connection, why)


def refuse(connection: socket.socket, why: OSError) -> None:
    """Tell the check why no cluster supervisor was forked. The request is read first: if the
    connection were closed with unread bytes, the answer would be lost."""
    connection.settimeout(PATIENCE)
    try:
        for descriptor in receive(connection)[1]:
            os.close(descriptor)
    except (OSError, ValueError):  # the check is gone
        return
    tell(connection, error=why.errno, text=why.strerror)


def fork_supervisor(listener: socket.socket, connection: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            listener.close()
            supervise(connection)
        except BaseException as why:  # the harness's own fault, not the program's
            tell(connection, fault=f"{type(why).__name__}: {why}")
        finally:
            os._exit(0)
    return pid


def collect(supervisors: set[int]) -> None:
    """Collect cluster supervisors that have ended. Other children belonged to a cluster supervisor
    that was killed: they are killed, too."""
    for pid in processes.children(os.getpid()):
        if pid not in supervisors:
            processes.kill_all([pid, *processes.descendants(pid)])
        if processes.reap(pid):
            supervisors.discard(pid)


def clear(token: str, folders: list[Path], supervisors: set[int]) -> None:
    began = time.monotonic()
    while time.monotonic() < began + END_SECONDS:
        for pid in processes.marked(processes.RUN_MARKER, token):
            processes.kill(pid)
        collect(supervisors)
        if not supervisors and not processes.children(os.getpid()):
            break
        if time.monotonic() > began + LET_END_SECONDS:
            processes.kill_all(processes.descendants(os.getpid()))
        time.sleep(0.02)
    for folder in folders:
        remove(folder)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the programs would inherit
    listener, token = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    folders = [Path(name) for name in sys.argv[3:]]
    processes.adopt_orphans()
    supervisors: set[int] = set()
    try:
        serve(listener, supervisors)
    finally:
        listener.close()
        clear(token, folders, supervisors)


if __name__ == "__main__":
    main()
