"""A process of its own that starts the clusters of a run, and clears up behind the run, also when that was killed.

Usage: guardian.py LISTENER TOKEN FOLDER [FOLDER...]. LISTENER is the descriptor of a listening socket: for each connection there it
forks a keeper, which starts one cluster (see keeper.py). It waits for end of file on its standard input, whose other end only the run holds.
Then it kills what bears the run's token in its environment, waits for the keepers, which end their clusters when who asked for them
is gone, and removes the folders. A cluster that has killed its keeper falls to the guardian, which kills it at once.
"""
from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from grading import processes  # noqa: E402
from grading.folders import remove  # noqa: E402
from grading.keeper import LOOK_MS, keep, receive, tell  # noqa: E402

END_SECONDS = 15.0
LET_END_SECONDS = 11.0
"""Longer than a keeper tries to kill its cluster."""
PATIENCE = 2.0
"""Seconds for a request that has been begun."""


def serve(listener: socket.socket, keepers: set[int]) -> None:
    """Fork keepers until the run is over."""
    poll = select.poll()
    for one in (0, listener.fileno()):
        poll.register(one, select.POLLIN)
    while True:
        ready = {number for number, _ in poll.poll(LOOK_MS)}
        if listener.fileno() in ready:
            answer(listener, keepers)
        collect(keepers)
        if 0 in ready and not os.read(0, 4096):
            return


def answer(listener: socket.socket, keepers: set[int]) -> None:
    """A keeper for who has asked for one; the run outlives what the machine refuses for a while."""
    try:
        connection, _ = listener.accept()
    except OSError:
        time.sleep(LOOK_MS / 1000)  # who asks still waits in the queue, and may be let in then
        return
    with connection:
        try:
            keepers.add(fork_keeper(listener, connection))
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


def fork_keeper(listener: socket.socket, connection: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            listener.close()
            keep(connection)
        except BaseException as why:  # the harness's own fault, not the program's
            tell(connection, fault=f"{type(why).__name__}: {why}")
        finally:
            os._exit(0)
    return pid


def collect(keepers: set[int]) -> None:
    """Keepers that have ended, and what falls to this process because its keeper was killed."""
    for pid in processes.children(os.getpid()):
        if pid not in keepers:
            processes.kill_all([pid, *processes.descendants(pid)])
        if processes.reap(pid):
            keepers.discard(pid)


def clear(token: str, folders: list[Path], keepers: set[int]) -> None:
    began = time.monotonic()
    while time.monotonic() < began + END_SECONDS:
        for pid in processes.marked(processes.RUN_MARKER, token):
            processes.kill(pid)
        collect(keepers)
        if not keepers and not processes.children(os.getpid()):
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
    keepers: set[int] = set()
    try:
        serve(listener, keepers)
    finally:
        listener.close()
        clear(token, folders, keepers)


if __name__ == "__main__":
    main()
