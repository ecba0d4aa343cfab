"""Which process holds a connection that a worker has answered. From outside, one process that
answers in the names of others, which only sleep, looks like a cluster. That is told to the
instructor; it is no verdict, since a design may have its reasons."""
from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from harness.cluster.cluster import Cluster
from harness.system import processes

ESTABLISHED = "01"
PATIENCE = 2.0


def note_holder(cluster: Cluster) -> None:
    """Ask once more, and look who has the connection while it is still open."""
    connection = cluster.client.connect()
    answer = connection.send(cluster.exercise.probe).wait(PATIENCE)
    if answer.pid is None or not connection.usable:
        return
    inode = inode_of(connection.socket.getpeername()[1], connection.socket.getsockname()[1])
    holders = [pid for pid in cluster.watcher.pids() if inode in sockets_of(pid)]
    if holders and answer.pid not in holders:
        cluster.honesty.append(
            f"worker {answer.worker} answers as process {answer.pid}, but its connection is held "
            f"by {processes.describe(holders)}: does one process answer for all?")


def inode_of(port: int, client: int) -> str:
    """The socket of the program's end, by the ports of the two ends; "" if there is none. See
    proc(5), /proc/net/tcp."""
    ends = (f":{port:04X}", f":{client:04X}")
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if (fields[1].endswith(ends[0]) and fields[2].endswith(ends[1])
                        and fields[3] == ESTABLISHED):
                    return fields[9]
    return ""


def sockets_of(pid: int) -> set[str]:
    """The inodes of the sockets that the process has."""
    found = set()
    with suppress(OSError):
        for name in os.listdir(f"{processes.folder(pid)}/fd"):
            with suppress(OSError):
                kind, _, rest = os.readlink(f"{processes.folder(pid)}/fd/{name}").partition(":[")
                found.update([rest.rstrip("]")] * (kind == "socket"))
    return found
