"""The run supervisor: a process that starts the clusters of a run, and clears up after the run,
also if the run was killed.

Usage: see start_supervisor.py. ARGUMENTS: ASKED FOLDER [FOLDER...]

ASKED is the descriptor of a socket without a name, whose other end the run's own processes inherit.
First the run supervisor sends a descriptor of its /proc there, since in a sandbox processes have
numbers of their own.
For each connection that comes over it, as a descriptor, the run supervisor forks a cluster
supervisor, which starts one cluster (see cluster_supervisor.py). The run's token is in the
environment.
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
from harness.system import prctl, processes
from harness.system.files import remove

END_SECONDS = 15.0
LET_END_SECONDS = 11.0
"""Longer than a cluster supervisor tries to kill its cluster."""
PATIENCE = 2.0
"""Seconds for the rest of a request that has begun."""


def serve(asked: socket.socket, supervisors: set[int]) -> None:
    """Fork cluster supervisors until the run is over."""
    poll = select.poll()
    for one in (0, asked.fileno()):
        poll.register(one, select.POLLIN)
    while True:
        ready = {number for number, _ in poll.poll(LOOK_MS)}
        if asked.fileno() in ready:
            answer(asked, supervisors)
        collect(supervisors)
        if 0 in ready and not os.read(0, 4096):
            return


def answer(asked: socket.socket, supervisors: set[int]) -> None:
    """Fork a cluster supervisor for a check that asks for one. The run outlives a refusal of the
    machine."""
    descriptors = socket.recv_fds(asked, 64, 1)[1]
    if not descriptors:  # there is none left here, or nobody who asks
        time.sleep(LOOK_MS / 1000)
        return
    os.set_inheritable(descriptors[0], False)
    with socket.socket(fileno=descriptors[0]) as connection:
        try:
            supervisors.add(fork_supervisor(asked, connection))
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


def fork_supervisor(asked: socket.socket, connection: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            asked.close()
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


def show_processes(asked: socket.socket) -> None:
    handle = os.open(processes.OWN, os.O_RDONLY | os.O_DIRECTORY)
    socket.send_fds(asked, [b"proc"], [handle])
    os.close(handle)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the programs would inherit
    asked, token = socket.socket(fileno=int(sys.argv[1])), os.environ.pop(processes.TOKEN)
    os.set_inheritable(asked.fileno(), False)
    folders = [Path(name) for name in sys.argv[2:]]
    prctl.adopt_orphans()
    prctl.shut_out_others()
    prctl.leave_keyring()
    supervisors: set[int] = set()
    try:
        show_processes(asked)
        serve(asked, supervisors)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the run has ended before it took what it was sent
    finally:
        asked.close()
        clear(token, folders, supervisors)

