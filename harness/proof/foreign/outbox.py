"""Messages between processes, as JSON objects, one a line; and how long to wait for their answers.
"""
from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Callable, Collection

from base import Loop

Body = dict[str, Any]
QUEUE_LIMIT = 4 * 2 ** 20
"""Bytes that may wait for a process that does not read."""


async def all_done(futures: Collection[asyncio.Future[Any]], seconds: float) -> None:
    """Waits for all of them, but not longer than that.

    Time in which the whole group was stopped does not count: a nap that ends much too late is
    taken for a short one.
    """
    clock = asyncio.get_running_loop().time
    while seconds > 0 and not all(one.done() for one in futures):
        nap, began = min(seconds, 0.25), clock()
        await asyncio.wait(futures, timeout=nap)
        seconds -= min(clock() - began, nap + 0.5)


def note_message(note: Callable[..., None], event: str, peer: int | str, message: Body,
                 size: int) -> None:
    name = {"id": message["id"]} if "id" in message else {}
    note(event, type=message["type"], peer=peer, bytes=size, **name)


class Outbox:
    """The way out to another process. It never blocks: what the kernel does not take waits here."""

    def __init__(self, loop: Loop, channel: socket.socket, note: Callable[..., None],
                 peer: int | str) -> None:
        self.loop, self.channel, self.note, self.peer = loop, channel, note, peer
        self.waiting = bytearray()

    def send(self, message: Body) -> bool:
        """False if too much waits already. The few orders that are no calls have no limit."""
        data = json.dumps(message).encode() + b"\n"
        if "id" in message and len(self.waiting) + len(data) > QUEUE_LIMIT:
            return False
        note_message(self.note, "send", self.peer, message, len(data))
        blocked = bool(self.waiting)
        self.waiting += data
        if not blocked:
            self.flush()
        return True

    def flush(self) -> None:
        try:
            del self.waiting[:self.channel.send(self.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self.waiting.clear()  # the other side is gone, which is noticed elsewhere
        if self.waiting:
            self.loop.add_writer(self.channel, self.flush)
        else:
            self.loop.remove_writer(self.channel)
