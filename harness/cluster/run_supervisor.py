"""The run supervisor: a process that starts the clusters of a run, and clears up behind the run, also when that was killed.

Usage: python3 -P -m harness.cluster.run_supervisor LISTENER TOKEN FOLDER [FOLDER...]

LISTENER is the descriptor of a listening socket. For each connection there the run supervisor forks a cluster supervisor, which
starts one cluster (see cluster_supervisor.py). Only the run holds the other end of its standard input: end of file there says that
the run is over. Then the run supervisor kills what bears the run's token in its environment, waits for the cluster supervisors,
and removes the folders. A program that has killed its cluster supervisor falls to the run supervisor, which kills it at once.
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
"""Seconds for a request that has been begun."""


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
    """A cluster supervisor for who has asked for one; the run outlives what the machine refuses for a while."""
    try:
        connection, _ = listener.accept()
    except OSError:
        time.sleep(LOOK_MS / 1000)  # who asks still waits in the queue, and may be let in then
        return
    with connection:
        try:
            supervisors.add(fork_supervisor(listener, connection))
        except OSError as why:
            refuse(connection, why)


def refuse(connection: socket.socket, why: OSError) -> None:
    """What is closed before all was read takes the answer with it: so the request is read first."""
    connection.settimeout(PATIENCE)
    try:
        for descriptor in receive(connection)[1]:
            os.close(descriptor)
    except (OSError, ValueError):  # who asked is gone
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
    """Cluster supervisors that have ended, and what falls to this process because its supervisor was killed."""
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
        signal.signal(number, lambda *_: None)  # not ignored: that would be handed down to the programs
    listener, token, folders = socket.socket(fileno=int(sys.argv[1])), sys.argv[2], [Path(name) for name in sys.argv[3:]]
    processes.adopt_orphans()
    supervisors: set[int] = set()
    try:
        serve(listener, supervisors)
    finally:
        listener.close()
        clear(token, folders, supervisors)


if __name__ == "__main__":
    main()
