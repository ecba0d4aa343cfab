"""The cost of many idle connections for one worker, and a learner's wait after an edit."""

import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from report import Figure, Measurement, Report
from servers import Server, exercise, running

FEW, IDLE = 100, 10_000
BLOCKS, FRESH = 100, 20
REQUEST = b"GET /fast HTTP/1.1\r\nHost: localhost\r\n\r\n"


def allow_descriptors(wanted: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < wanted:
        raise RuntimeError(f"{wanted} open files are needed, and the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def port_of(server: Server) -> int:
    return int(server.url.split(":")[2].split("/")[0])


def open_answered(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(REQUEST)
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("the first request of a connection was not answered with 200")
    return connection


def fresh_times(port: int) -> list[float]:
    """Of connections that are opened one after another, in ms; to close one is a part of it."""
    times = []
    for _ in range(FRESH):
        begun = time.monotonic()
        open_answered(port).close()
        times.append((time.monotonic() - begun) * 1000)
    return times


def run_idle(program: Path, tell: Callable[[str], None]) -> Report:
    """Each connection has had one answer and has been silent since.

    Blocks of fresh connections go in turn to a worker with few of them and to one with many.
    """
    tell(f"{IDLE} idle connections on one worker")
    allow_descriptors(FEW + IDLE + 100)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        servers: dict[int, Server] = {}
        fresh: dict[int, Measurement] = {}
        for idle in (FEW, IDLE):
            place = Path(folder) / str(idle)
            servers[idle] = stack.enter_context(running(exercise(program, workers=1), place))
            fresh[idle] = Measurement("a fresh connection", f"beside {idle:,} idle", "ms")
            for _ in range(idle):
                stack.enter_context(open_answered(port_of(servers[idle])))
        for _ in range(BLOCKS):
            for idle, server in servers.items():
                fresh[idle].rounds += fresh_times(port_of(server))
        time.sleep(1)
        worker = servers[IDLE].processes()[1]
        mebibytes, threads = worker.memory_info().rss / 2**20, float(worker.num_threads())
    discipline = f"{IDLE:,} idle connections"
    measured = [Measurement(discipline, "resident memory", "MiB", [mebibytes]),
                Measurement(discipline, "threads", "", [threads]), *fresh.values()]
    return Report(measured, [
        Figure(f"{discipline}: resident memory of the worker", mebibytes, "<", 60, "MiB"),
        Figure(f"a fresh connection beside them, against {FEW} of them",
               fresh[IDLE].median / fresh[FEW].median, "≤", 1.1),
        Figure(f"{discipline}: threads of the worker", threads, "<", 64, "threads"),
    ])


def run_edit(root: Path, rounds: int, tell: Callable[[str], None]) -> Report:
    """`make ex1` after main.cpp got a new modification time. The former time is restored."""
    main = next((root / "exercises").glob("ex1_*/main.cpp"))
    measured = Measurement("edit of main.cpp", "make ex1", "s")

    def make() -> float:
        begun = time.monotonic()
        subprocess.run(["make", "ex1"], cwd=root, stdin=subprocess.DEVNULL, capture_output=True,
                       check=True)
        return time.monotonic() - begun

    tell("make ex1 after an edit")
    make()
    before = main.stat()
    try:
        for _ in range(rounds):
            os.utime(main)
            measured.rounds.append(make())
    finally:
        os.utime(main, ns=(before.st_atime_ns, before.st_mtime_ns))
    figure = Figure("edit of main.cpp → new binary", median(measured.rounds), "<", 3, "s")
    return Report([measured], [figure])
