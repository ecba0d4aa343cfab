"""One connection of a load: a request at a time, and the outcome of each."""
from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

import h11

from harness.clients.exchange import MOST_BODY

Kind = Literal["fresh", "kept"]
NAMES: dict[Kind, str] = {"fresh": "fresh", "kept": "kept-alive"}
Outcome = Literal["answered", "refused", "reset", "closed", "cut", "malformed", "waiting"]
SAID: dict[str, str] = {
    "refused": "connection refused", "reset": "connection reset",
    "closed": "connection closed without an answer", "cut": "cut in the middle of the answer",
    "malformed": "not valid HTTP", "waiting": "no answer",
}
LONGEST_GAP = 0.5
"""Seconds for which a client may leave its connection idle: the contract's promise."""
UNASKED = 1.0
"""Seconds after which the contract lets a draining program close an idle connection."""
PATIENCE = 6.0


@dataclass(frozen=True)
class Asked:
    kind: Kind
    started: float
    ended: float
    outcome: Outcome
    status: int = 0
    worker: int | None = None
    pid: int | None = None
    version: str | None = None
    idle: float = 0.0
    """Seconds that the connection had been idle before, as the client saw it."""
    before: float | None = None
    """The moment at which the request before it on the same connection was begun."""
    sent: float = 0.0
    """The moment at which its last byte was sent."""
    client: int = 0
    """The number of the client among those of its kind."""

    @property
    def dropped(self) -> bool:
        return self.outcome != "answered" or self.status != 200

    @property
    def excused(self) -> bool:
        """The client, not the program, was late: the connection had been idle for longer than the
        contract promises."""
        return self.idle > LONGEST_GAP and self.closed_unasked

    @property
    def closed_unasked(self) -> bool:
        return self.kind == "kept" and self.outcome in ("closed", "reset")

    @property
    def doubtful(self) -> bool:
        """The program may have seen the connection idle for longer than it has to allow: its idle
        time begins when it can answer the request before, or accept the connection. A client that
        gets no processor reads and sends much later than it could."""
        late = self.sent - (self.before or self.started) > UNASKED
        return self.outcome in ("closed", "reset") and late

    def __str__(self) -> str:
        how = SAID.get(self.outcome, str(self.status))
        after = f"{(self.ended - self.started) * 1000:.0f} ms"
        idle = ""
        if self.kind == "kept" and self.idle:
            idle = f" (idle for {self.idle * 1000:.0f} ms before)"
        return f"a request on a {NAMES[self.kind]} connection: {how} after {after}{idle}"


@dataclass(frozen=True)
class Endpoint:
    """The address and path that a load asks for."""

    address: tuple[str, int]
    host: str
    path: str


class LoadConnection:
    def __init__(self, endpoint: Endpoint, asked: list[Asked], kind: Kind, client: int) -> None:
        """The outcome of each request is added to `asked`."""
        self.endpoint, self.asked, self.kind, self.client = endpoint, asked, kind, client
        self.socket: socket.socket | None = None
        self.last: float | None = None
        self.before: float | None = None
        self.ended = False

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()

    async def ask(self) -> bool:
        """Send one request; returns whether the connection can be used for another."""
        loop = asyncio.get_running_loop()
        started = time.monotonic()
        idle = started - self.last if self.last is not None else 0.0
        self.found: dict[str, Any] = {}
        self.sent = started
        try:
            usable = await asyncio.wait_for(self._exchange(loop), PATIENCE)
            outcome: Outcome = "answered"
        except ConnectionRefusedError:
            usable, outcome = False, "refused"
        except EOFError:
            usable, outcome = False, "cut" if self.found else "closed"
        except (TimeoutError, asyncio.TimeoutError):
            usable, outcome = False, "waiting"
        except h11.RemoteProtocolError:
            usable, outcome = False, "malformed"
        except OSError:
            usable, outcome = False, "cut" if self.found else "reset"
        ended = self.last = time.monotonic()
        self.asked.append(Asked(self.kind, started, ended, outcome, idle=idle, before=self.before,
                                sent=self.sent, client=self.client, **self.found))
        self.before = started
        return usable

    async def _exchange(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self.socket is None:
            family = socket.AF_INET6 if ":" in self.endpoint.address[0] else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(self.socket, self.endpoint.address)
            self.parser = h11.Connection(h11.CLIENT)
        data = self.parser.send(h11.Request(method="GET", target=self.endpoint.path,
                                            headers=[("Host", self.endpoint.host)]))
        self.parser.send(h11.EndOfMessage())
        await loop.sock_sendall(self.socket, data or b"")
        self.sent = time.monotonic()
        body = b""
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                received = await loop.sock_recv(self.socket, 65536)
                self.ended = not received
                self.parser.receive_data(received)
            elif isinstance(event, h11.Response):
                self.found["status"] = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if len(body) > MOST_BODY:
                    raise h11.RemoteProtocolError("a body without end")
            else:
                raise EOFError
        self._read_body(body)
        if self.parser.our_state is h11.MUST_CLOSE or self.parser.their_state is h11.MUST_CLOSE:
            return False
        self.parser.start_next_cycle()
        return True

    def _next_event(self) -> Any:
        try:
            return self.parser.next_event()
        except h11.RemoteProtocolError:
            if self.ended:
                raise EOFError from None
            raise

    def _read_body(self, body: bytes) -> None:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            for key, kind in (("worker", int), ("pid", int), ("version", str)):
                if isinstance(value.get(key), kind):
                    self.found[key] = value[key]
