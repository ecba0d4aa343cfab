"""What the Python programs share: settings, log, journal, workers, and lines of text between them.

A master runs its own file once more for each worker, with a role in the environment and descriptors
handed down.
"""
from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Coroutine

Loop = asyncio.AbstractEventLoop
ROLE = os.environ.get("CLUSTER_ROLE", "")
SLOT = int(ROLE.split()[0]) if ROLE else 0
PROGRAM = os.path.abspath(sys.argv[0])


def fill_standard_descriptors() -> None:
    """Where the standard ones are closed nothing else may get their numbers."""
    while (spare := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(spare)


fill_standard_descriptors()


class Refused(Exception):
    """A setting that the contract does not allow."""


def whole(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise Refused(f"{name}={text!r} is not allowed: a whole number from {low} to {high}")
    return int(text)


class Settings:
    """Those that are common to all exercises."""

    def __init__(self, workers: int) -> None:
        self.host = os.environ.get("HOST", "127.0.0.1")
        try:
            host = "127.0.0.1" if self.host == "localhost" else self.host
            self.address = str(ipaddress.ip_address(host))
        except ValueError:
            raise Refused(f"HOST={self.host!r} is not allowed: an IPv4 or IPv6 address or "
                          "localhost") from None
        self.port = whole("PORT", 8000, 0, 65535)
        self.workers = whole("WORKERS", workers, 1, 64)
        self.timeout = whole("SHUTDOWN_TIMEOUT_MS", 10000, 1, 3_600_000) / 1000
        path = os.environ.get("JOURNAL")
        self.journal = -1
        if path is not None:
            try:
                # Not to wait for the reader of a FIFO.
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
                self.journal = os.open(path, flags, 0o644)
            except OSError as why:
                raise Refused(f"JOURNAL={path!r} is not allowed: {why.strerror}; a file that can "
                              "be written") from None

    def note(self, event: str, **fields: Any) -> None:
        if self.journal >= 0:
            entry = {"t": time.monotonic(), "role": "worker" if SLOT else "master", "worker": SLOT,
                     "pid": os.getpid(), "event": event, **fields}
            with contextlib.suppress(OSError):
                os.write(self.journal, (json.dumps(entry) + "\n").encode())


def put(line: str) -> None:
    """Drops the line if standard output is a pipe that is full: nothing waits for who reads it."""
    with contextlib.suppress(OSError):
        if select.select([], [1], [], 0)[1]:
            os.write(1, f"{line}\n".encode())


def log(text: str) -> None:
    now = time.time()
    stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
    put(f"{stamp} {f'worker{SLOT}' if SLOT else 'master'}[{os.getpid()}] {text}")


def read_lines(loop: Loop, channel: socket.socket, line: Callable[[str], None],
               end: Callable[[], None]) -> None:
    """Calls `line` for each line that comes, and `end` when the other side is gone."""
    rest = b""

    def readable() -> None:
        nonlocal rest
        try:
            data = channel.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        *lines, rest = (rest + data).split(b"\n")
        for text in lines:
            line(text.decode())
        if not data:
            loop.remove_reader(channel)
            end()

    channel.setblocking(False)
    loop.add_reader(channel, readable)


def announce(settings: Settings, listener: socket.socket) -> None:
    """Print the ready line."""
    name, port = settings.host, listener.getsockname()[1]
    url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    put(f"ready url={url} workers={settings.workers} pid={os.getpid()}")


def listen(settings: Settings) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((settings.address, settings.port))
        listener.listen(1024)
    except OSError as why:
        taken = why.errno == errno.EADDRINUSE
        holder = f"; see who has it: ss -ltnp 'sport = :{settings.port}'" if taken else ""
        raise OSError(f"cannot listen on {settings.host}:{settings.port}: {why.strerror}"
                      f"{holder}") from None
    return listener


def raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def ignore_ctrl_c() -> None:
    """The terminal sends it to all processes, and so its hang-up; the master tells the workers what
    to do."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def end_signals() -> list[signal.Signals]:
    """Those that end the cluster. A hang-up that was ignored at the start (`nohup`) stays so."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


def start_worker(settings: Settings, slot: int, *handed: socket.socket
                 ) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process of a worker, and the master's end of the channel to it.

    Its role is the slot and the numbers of its descriptors: those handed down, then its end of the
    channel.
    """
    mine, its = socket.socketpair()
    descriptors = [one.fileno() for one in (*handed, its)]
    role = " ".join(map(str, (slot, *descriptors)))
    process = subprocess.Popen([sys.executable, PROGRAM], pass_fds=descriptors,
                               env={**os.environ, "CLUSTER_ROLE": role})
    its.close()
    settings.note("spawn", peer=slot, child=process.pid)
    return process, mine


def await_end(settings: Settings, loop: Loop, slot: int, process: subprocess.Popen[bytes],
              then: Callable[[], None]) -> None:
    """Notes the end of a worker when it comes, and calls `then` when its last lines were read."""
    watch = os.pidfd_open(process.pid)

    def ended() -> None:
        loop.remove_reader(watch)
        os.close(watch)
        code = process.wait()
        what = {"signal": -code} if code < 0 else {"status": code}
        settings.note("exit", peer=slot, child=process.pid, **what)
        log(f"worker {slot} pid {process.pid} ended {what}")
        loop.call_later(0.005, then)

    loop.add_reader(watch, ended)


def pause_after(lived: float, last: float) -> float:
    """Seconds until the next worker of a slot is started: they grow while its workers die young."""
    return 0.0 if lived >= 1 else min(5.0, last * 2 or 0.1)


def run_master(settings: Settings, lead: Callable[[socket.socket], Coroutine[Any, Any, int]]
               ) -> int:
    raise_open_files()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # which the workers inherit
    try:
        listener = listen(settings)
    except OSError as why:
        print(why, file=sys.stderr)
        return 1
    return asyncio.run(lead(listener))
