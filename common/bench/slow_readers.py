"""Clients that ask for a long answer and do not read it: what they cost the others, and the end."""

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from footprint import allow_descriptors, port_of
from report import Figure, Measurement, Report, ratio
from servers import Recipe, Server, running

CLIENTS = 1500
ASKING = 0.5  # seconds


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def p99_of_a_reader(port: int) -> float:
    """In milliseconds."""
    taken = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        end = time.monotonic() + ASKING
        while (begun := time.monotonic()) < end:
            connection.sendall(request("/fast"))
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a client that reads was not answered with 200")
            taken.append((time.monotonic() - begun) * 1000)
    return sorted(taken)[len(taken) * 99 // 100]


def ask_and_not_read(port: int) -> socket.socket:
    """Only the begin of the answer is read: then the handler has done its part."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(request("/big"))
    client.recv(16)
    return client


def begin_all(port: int, stack: ExitStack) -> list[socket.socket]:
    return [stack.enter_context(ask_and_not_read(port)) for _ in range(CLIENTS)]


def expect_all_there(clients: list[socket.socket]) -> None:
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLRDHUP)
    if gone := poll.poll(0):
        raise RuntimeError(f"{len(gone)} of the clients that do not read were cut too early")


def seconds_to_end(server: Server) -> float:
    """Answers are cut, so its exit code is 1."""
    begun = time.monotonic()
    os.kill(server.process.pid, signal.SIGTERM)
    try:
        code = server.process.wait(15)
    except subprocess.TimeoutExpired:
        raise RuntimeError("the server did not end within 15 s of SIGTERM") from None
    if code != 1:
        raise RuntimeError(f"the server's exit code is {code}, though it has cut answers")
    return time.monotonic() - begun


@contextmanager
def serving(program: Path, **settings: str) -> Iterator[tuple[Server, ExitStack]]:
    """A server, and a stack for its clients."""
    recipe = Recipe("bench", [str(program)], {"PORT": "0", **settings}, announces=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-bench-")))
        yield stack.enter_context(running(recipe, folder / "server")), stack


@dataclass
class Round:
    """Figures of one round, with a server of its own."""

    before: float
    during: float
    threads: int


def one_round(program: Path) -> Round:
    """The server waits for them longer than usual: until all have come."""
    with serving(program, WRITE_MS="60000") as (server, stack):
        before = p99_of_a_reader(port_of(server))
        clients = begin_all(port_of(server), stack)
        during, threads = p99_of_a_reader(port_of(server)), server.processes()[1].num_threads()
        expect_all_there(clients)
    return Round(before, during, threads)


def end_beside_them(program: Path) -> float:
    with serving(program) as (server, stack):
        begin_all(port_of(server), stack)
        seconds = seconds_to_end(server)
    return seconds


def run(program: Path, rounds: int, tell: Callable[[str], None]) -> Report:
    allow_descriptors(CLIENTS + 100)
    discipline = f"{CLIENTS} clients that do not read"
    seen = []
    for number in range(rounds):
        tell(f"{discipline}: round {number + 1} of {rounds}")
        seen.append(one_round(program))
    before = Measurement(discipline, "p99 of others, without them", "ms",
                         [one.before for one in seen])
    during = Measurement(discipline, "p99 of others", "ms", [one.during for one in seen])
    threads = max(one.threads for one in seen)
    seconds = end_beside_them(program)
    return Report([before, during], [
        ratio(f"{discipline}: p99 of others against that without", during, before, "≤", 3),
        Figure(f"{discipline}: threads of the worker", float(threads), "<", 40, "threads"),
        Figure(f"{discipline}: the end after SIGTERM", seconds, "≤", 6, "s")])
