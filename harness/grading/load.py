"""Clients that ask all the time, on fresh and on kept-alive connections, and note what became of every request.

One thread of its own runs them all. A client never repeats a request: what is lost is lost, and counted by its class.
"""
from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import h11

from .cluster import Cluster
from .http_client import MOST_BODY
from .verdict import CheckFailed, Inconclusive

Kind = Literal["fresh", "kept"]
Outcome = Literal["answered", "refused", "reset", "closed", "cut", "malformed", "waiting"]
SAID: dict[str, str] = {
    "refused": "connection refused", "reset": "connection reset", "closed": "connection closed without an answer",
    "cut": "cut in the middle of the answer", "malformed": "not valid HTTP", "waiting": "no answer",
}
CLIENTS = 16
FRESH_PAUSE = (0.02, 0.06)
QUICK, SLOW = (0.01, 0.05), (0.30, 0.42)
"""Half of the kept-alive clients ask again after so long a pause, half nearly as seldom as the contract lets them: every 500 ms."""
LATE, RESTS, LONGEST_REST = 0.01, 2, 1.0
"""A client that pauses, and is woken later than that, rests for so many times as long, but not longer than that in all."""
LONGEST_GAP = 0.5
UNASKED = 1.0
"""Seconds after which the contract lets a draining program close an idle connection."""
PATIENCE = 6.0
ENOUGH = 30
"""Requests of each kind that must have been under way during what is judged."""


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
    """How long the connection had been idle before, as the client saw it."""
    before: float | None = None
    """When the request before it on the same connection was sent."""
    sent: float = 0.0
    """When its last byte was."""
    client: int = 0
    """Which client of its kind asked."""

    @property
    def dropped(self) -> bool:
        return self.outcome != "answered" or self.status != 200

    @property
    def excused(self) -> bool:
        """The client, not the program, was late: the connection had been idle for longer than is promised."""
        return self.idle > LONGEST_GAP and self.closed_unasked

    @property
    def closed_unasked(self) -> bool:
        return self.kind == "kept" and self.outcome in ("closed", "reset")

    @property
    def doubtful(self) -> bool:
        """The program may have seen the connection idle for longer than it has to: from the moment on at which it could answer the request
        before, or accept the connection. A client that gets no processor reads and sends much later than it could."""
        return self.outcome in ("closed", "reset") and self.sent - (self.before or self.started) > UNASKED

    def __str__(self) -> str:
        how = SAID.get(self.outcome, str(self.status))
        after = f"{(self.ended - self.started) * 1000:.0f} ms"
        idle = f" (idle for {self.idle * 1000:.0f} ms before)" if self.kind == "kept" and self.idle else ""
        return f"a request on a {self.kind if self.kind == 'fresh' else 'kept-alive'} connection: {how} after {after}{idle}"


class Load(threading.Thread):
    """Runs from `start` to `stop`. `asked` may be read at any time."""

    def __init__(self, cluster: Cluster, path: str = "/", fresh: int = CLIENTS, kept: int = CLIENTS) -> None:
        super().__init__(daemon=True, name="http-load")
        parts = urlsplit(cluster.url)
        self.cluster, self.path, self.host = cluster, path, parts.netloc
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.clients: tuple[tuple[Kind, int], ...] = (("fresh", fresh), ("kept", kept))
        self.asked: list[Asked] = []
        self._ending = False
        self._fault: BaseException | None = None

    def __enter__(self) -> Load:
        counts = " and ".join(f"{count} {'fresh' if kind == 'fresh' else 'kept-alive'}" for kind, count in self.clients)
        self.cluster.log.add("note", cluster=self.cluster.number, text=f"{counts} clients ask for {self.path} all the time")
        self.start()
        self.expect_going()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self.join(PATIENCE + 5)
        self._keep()

    def _keep(self) -> None:
        """Leave every request to whoever draws them."""
        for one in list(self.asked):
            self.cluster.log.add("load", cluster=self.cluster.number, t=one.started, end=one.ended, method="GET", path=self.path,
                                 status=one.status or None, worker=one.worker, pid=one.pid, text=SAID.get(one.outcome, ""),
                                 data={"client": f"{one.kind} {one.client + 1}", "version": one.version})

    def run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as fault:  # told to the thread that judges
            self._fault = fault

    async def _all(self) -> None:
        clients = [self._fresh(number) if kind == "fresh" else self._kept(number)
                   for kind, count in self.clients for number in range(count)]
        await asyncio.gather(*clients)

    async def _pause(self, least: float, most: float, longest: float) -> None:
        """Who is woken late waits longer: else the load itself would keep the program from a processor that is wanted by many."""
        wanted = random.uniform(least, most)
        before = time.monotonic()
        await asyncio.sleep(wanted)
        late = time.monotonic() - before - wanted
        if late > LATE:
            await asyncio.sleep(min(RESTS * late, before + longest - time.monotonic()))

    async def _fresh(self, number: int) -> None:
        await asyncio.sleep(number * 0.003)
        while not self._ending:
            connection = LoadConnection(self, "fresh", number)
            await connection.ask()
            connection.close()
            await self._pause(*FRESH_PAUSE, longest=LONGEST_REST)

    async def _kept(self, number: int) -> None:
        connection = LoadConnection(self, "kept", number)
        while not self._ending:
            began = time.monotonic()
            if not await connection.ask():
                connection.close()
                connection = LoadConnection(self, "kept", number)
            if number % 2:
                await asyncio.sleep(max(QUICK[0], began + random.uniform(*SLOW) - time.monotonic()))
            else:
                await self._pause(*QUICK, longest=SLOW[1])
        connection.close()

    # ----- judging

    def count(self, kind: Kind, since: float, until: float) -> int:
        return sum(one.kind == kind and one.ended >= since and one.started <= until for one in list(self.asked))

    def expect_going(self) -> None:
        """Every kind of client has had answers."""
        began = time.monotonic()
        while not all(self.count(kind, 0, began + 60) >= count for kind, count in self.clients):
            if self._fault is not None or time.monotonic() > began + 15:
                self._fail_if_dropped(list(self.asked))
                raise Inconclusive(f"the load did not start: {self._fault or 'the machine is too slow'}")
            time.sleep(0.01)

    def await_enough(self, since: float) -> float:
        """Wait until enough requests were made to judge, or for some seconds; returns when."""
        began = time.monotonic()
        while self._few(since, now := time.monotonic()) and now < began + PATIENCE and self._fault is None:
            time.sleep(0.02)
        return now

    def _few(self, since: float, until: float) -> list[str]:
        return [f"{count} {kind}" for kind, clients in self.clients if clients and (count := self.count(kind, since, until)) < ENOUGH]

    def expect_enough(self, since: float, until: float) -> None:
        """There was load between the two moments."""
        self._expect_no_fault()
        if few := self._few(since, until):
            raise Inconclusive(f"only {' and '.join(few)} requests were made meanwhile: too few to judge")

    def _expect_no_fault(self) -> None:
        if self._fault is not None:
            raise Inconclusive(f"the load has failed: {self._fault!r}")

    def expect_nothing_dropped(self, since: float, until: float) -> None:
        """Every request that was under way between the two moments got a whole 200, and there were enough of them."""
        self._expect_no_fault()
        self._fail_if_dropped([one for one in list(self.asked) if one.ended >= since])
        self.expect_enough(since, until)

    def _idle_for_long(self, one: Asked) -> bool:
        """Whether the program may have closed it rightly: the client may have read the answer before, or sent this request, as much later as the
        machine was behind."""
        if not one.closed_unasked or one.before is None:
            return False
        return one.idle + self.cluster.meter.allowance(one.before, one.ended) > UNASKED

    def _fail_if_dropped(self, judged: list[Asked]) -> None:
        dropped = [one for one in judged if one.dropped and not one.excused and not self._idle_for_long(one)]
        bad = [one for one in dropped if not one.doubtful]
        if not bad:
            if dropped:
                raise Inconclusive(f"{dropped[0]}, but the client that asked was so slow that the connection may have been idle for "
                                   f"more than {UNASKED:.0f} s")
            return
        for one in bad[:10]:
            self.cluster.log.add("request", cluster=self.cluster.number, t=one.started, end=one.ended, method="GET",
                                 path=self.path, status=one.status or None, worker=one.worker, text=SAID.get(one.outcome, ""))
        made = Counter(one.kind for one in judged)
        classes = Counter((one.kind, SAID.get(one.outcome, str(one.status))) for one in bad)
        told = ", ".join(f"{count} on {kind if kind == 'fresh' else 'kept-alive'} connections: {how}"
                         for (kind, how), count in classes.most_common())
        if all(one.outcome == "waiting" for one in bad):
            first = bad[0]
            self.cluster.refuse_late(PATIENCE - 1, first.started, f"{told}; the first")
        raise CheckFailed(f"of {made['fresh']} requests on fresh and {made['kept']} on kept-alive connections "
                          f"{len(bad)} were dropped: {told}; the first: {bad[0]}", expected="every request gets a whole 200")


class LoadConnection:
    def __init__(self, load: Load, kind: Kind, client: int) -> None:
        self.load, self.kind, self.client = load, kind, client
        self.socket: socket.socket | None = None
        self.last: float | None = None
        self.before: float | None = None
        self.ended = False

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()

    async def ask(self) -> bool:
        """One request; whether the connection can be used for another."""
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
        self.load.asked.append(Asked(self.kind, started, ended, outcome, idle=idle, before=self.before, sent=self.sent,
                                     client=self.client, **self.found))
        self.before = started
        return usable

    async def _exchange(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self.socket is None:
            family = socket.AF_INET6 if ":" in self.load.address[0] else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(self.socket, self.load.address)
            self.parser = h11.Connection(h11.CLIENT)
        data = self.parser.send(h11.Request(method="GET", target=self.load.path, headers=[("Host", self.load.host)]))
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
