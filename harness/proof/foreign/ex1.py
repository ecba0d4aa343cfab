"""Exercise 1 in plain Python: a proof that the contract can be kept in any language.

Start it with `python3 ex1.py`. Lines of text on a socket pair are the only messages: the worker
says `ready`, `drained`, `cut N`; the master says `drain`, `quit`, `force`. End of file on it means
that the master is gone, and the worker goes too.
"""
from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from base import (
    ROLE, SLOT, Loop, Refused, announce, await_end, end_signals, ignore_ctrl_c, log, pause_after,
    raise_open_files, read_lines, run_master, start_worker, whole,
)
from base import Settings as Common
from connection import Connection, Reply


class Settings(Common):
    def __init__(self) -> None:
        super().__init__(workers=2)
        self.default = whole("DEFAULT_MS", 1000, 0, 3_600_000) / 1000
        self.slow = whole("SLOW_MS", 5000, 0, 3_600_000) / 1000


# --------------------------------------------------------------------------------------- the worker


class Worker:
    kind: type[Connection] = Connection

    def __init__(self, settings: Settings, loop: Loop, listener: socket.socket,
                 channel: socket.socket) -> None:
        self.settings, self.loop, self.listener, self.channel = settings, loop, listener, channel
        self.note = settings.note
        self.clients: set[Connection] = set()
        self.draining = self.leaving = self.reported = False
        self.done: asyncio.Future[int] = loop.create_future()
        # A set of its own for the listener: taken out and put back after each accept, it moves to
        # the end of the kernel's queue, so that the workers take turns.
        self.accepting = select.epoll()

    def tell(self, line: str) -> None:
        try:
            self.channel.send(f"{line}\n".encode())
        except OSError:
            self.finish(1)

    def start(self) -> None:
        self.listener.setblocking(False)
        self.accepting.register(self.listener, select.EPOLLIN)
        self.take_connections()
        self.loop.add_signal_handler(signal.SIGTERM, self.leave)
        ignore_ctrl_c()
        read_lines(self.loop, self.channel, self.order, lambda: self.finish(1))
        self.settings.note("ready")
        self.tell("ready")

    def identity(self) -> dict[str, Any]:
        return {"worker": SLOT, "pid": os.getpid()}

    def reply(self, method: str, path: str, body: bytes) -> Reply:
        if self.draining:
            said: dict[str, Any] = {"error": "shutting down, try again in a second"}
            if path == "/health":
                said = {"status": "draining", **self.health()}
            return 503, said, {"Retry-After": "1", "Connection": "close"}, 0.0
        delays = {"/": self.settings.default, "/slow": self.settings.slow, "/fast": 0.0,
                  "/health": 0.0}
        if path not in delays:
            return 404, {"error": f"unknown path; there are {', '.join(delays)}"}, {}, 0.0
        if method != "GET":
            return 405, {"error": "only GET is allowed"}, {"Allow": "GET"}, 0.0
        said = {"status": "ok", **self.health()} if path == "/health" else {"path": path}
        return 200, said, {}, delays[path]

    def take_connections(self) -> None:
        self.loop.add_reader(self.accepting, self.accept)

    def accept(self) -> None:
        try:
            peer, _ = self.listener.accept()
        except OSError:
            return
        peer.setblocking(False)
        self.accepting.unregister(self.listener)
        self.accepting.register(self.listener, select.EPOLLIN)
        taken = self.loop.connect_accepted_socket(lambda: self.kind(self), peer)
        self.loop.create_task(taken).add_done_callback(lambda done: done.exception())

    def health(self) -> dict[str, int]:
        return {"activeRequests": sum(one.active for one in self.clients),
                "connections": len(self.clients)}

    def order(self, line: str) -> None:
        if line == "drain":
            self.draining = True
            self.take_connections()  # also if it was about to leave: somebody must say 503
            self.changed()
        elif line == "force":
            self.tell(f"cut {sum(one.active for one in self.clients)}")
            self.finish(1)
        else:
            self.finish(0)

    def leave(self) -> None:
        """This worker alone was asked to go: finish what it has, take no more."""
        self.settings.note("signal", name="SIGTERM")
        self.leaving = True
        self.loop.remove_reader(self.accepting)
        for one in list(self.clients):
            if not one.active:
                one.transport.close()
        self.changed()

    def changed(self) -> None:
        if any(one.active for one in self.clients):
            return
        if self.draining and not self.reported:
            self.reported = True
            self.tell("drained")
        elif self.leaving and not self.draining:
            self.loop.call_later(0.05, self.finish, 0)

    def finish(self, status: int) -> None:
        if not self.done.done():
            for one in self.clients:
                self.settings.note("close", conn=one.number)
            self.done.set_result(status)


async def work(settings: Settings) -> int:
    _, listener, channel = (int(word) for word in ROLE.split())
    loop = asyncio.get_running_loop()
    worker = Worker(settings, loop, socket.socket(fileno=listener), socket.socket(fileno=channel))
    worker.start()
    return await worker.done


# --------------------------------------------------------------------------------------- the master


class Slot:
    def __init__(self, number: int) -> None:
        self.number, self.pause, self.started = number, 0.0, 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self.ready = self.drained = False

    def tell(self, line: str) -> None:
        try:
            if self.channel is not None:
                self.channel.send(f"{line}\n".encode())
        except OSError:
            pass  # it is gone or stuck; its exit, or the timeout, will say so


class Master:
    def __init__(self, settings: Settings, listener: socket.socket, loop: Loop) -> None:
        self.settings, self.listener, self.loop = settings, listener, loop
        self.slots = [Slot(number) for number in range(1, settings.workers + 1)]
        self.announced = self.draining = self.quitting = False
        self.cut = 0
        self.done: asyncio.Future[None] = loop.create_future()

    def start(self) -> None:
        for number in end_signals():
            self.loop.add_signal_handler(number, self.on_signal, number)
        for slot in self.slots:
            self.spawn(slot)

    def spawn(self, slot: Slot) -> None:
        if self.draining:
            return
        slot.ready, slot.drained, slot.started = False, False, time.monotonic()
        process, channel = start_worker(self.settings, slot.number, self.listener)
        slot.process, slot.channel = process, channel
        read_lines(self.loop, channel, lambda line: self.on_message(slot, line), lambda: None)
        await_end(self.settings, self.loop, slot.number, process,
                  lambda: self.after_exit(slot, channel))

    def on_message(self, slot: Slot, line: str) -> None:
        if line == "ready":
            slot.ready = True
            if not self.announced and all(one.ready for one in self.slots):
                self.announced = True
                announce(self.settings, self.listener)
        elif line == "drained":
            slot.drained = True
            self.advance()
        else:
            self.cut += int(line.split()[1])

    def after_exit(self, slot: Slot, channel: socket.socket) -> None:
        self.loop.remove_reader(channel)
        channel.close()
        slot.process = slot.channel = None
        if self.draining:
            if not slot.drained:
                self.cut += 1
            slot.drained = True
            return self.advance()
        slot.pause = pause_after(time.monotonic() - slot.started, slot.pause)
        self.loop.call_later(slot.pause, self.spawn, slot)

    def on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        self.settings.note("signal", name=name)
        log(f"{name}: {'ending now' if self.draining else 'draining'}")
        if self.draining:
            return self.force()
        self.draining = True
        self.loop.call_later(self.settings.timeout, self.force)
        for slot in self.slots:
            slot.tell("drain")
            slot.drained = slot.process is None
        self.advance()

    def advance(self) -> None:
        """When every worker has drained let them all go; when they are gone, end."""
        if self.draining and not self.quitting and all(slot.drained for slot in self.slots):
            self.quitting = True
            self.listener.close()
            for slot in self.slots:
                slot.tell("quit")
        gone = all(slot.process is None for slot in self.slots)
        if self.draining and gone and not self.done.done():
            self.done.set_result(None)

    def force(self) -> None:
        if self.done.done():
            return
        log("cutting what is left")
        for slot in self.slots:
            slot.tell("force")
        self.loop.call_later(0.1, self.kill)

    def kill(self) -> None:
        for slot in self.slots:
            if slot.process is not None:
                log(f"killing worker {slot.number} pid {slot.process.pid}")
                self.cut += 1
                slot.process.kill()


async def lead(settings: Settings, listener: socket.socket) -> int:
    master = Master(settings, listener, asyncio.get_running_loop())
    master.start()
    await master.done
    log(f"ended, {master.cut} cut")
    return 1 if master.cut else 0


def main() -> int:
    try:
        settings = Settings()
    except Refused as why:
        print(why, file=sys.stderr)
        return 2
    if ROLE:
        raise_open_files()
        return asyncio.run(work(settings))
    return run_master(settings, lambda listener: lead(settings, listener))


if __name__ == "__main__":
    sys.exit(main())
