"""An HTTP client that knows when each byte came: kept-alive connections, requests in flight, half
requests.

One thread of the process reads all connections, so each time is the time of arrival: no connection
has to wait until a check reads it. Every request has a Host. After an answer with
`Connection: close` the connection is not used again.
"""
from __future__ import annotations

import errno
import select
import socket
import threading
import time
from typing import Literal
from urllib.parse import urlsplit

from harness.clients.exchange import Answer, Delay, Exchange, Outcome
from harness.judging.events import EventLog
from harness.judging.verdict import CheckFailed, Inconclusive

OWN_FAULTS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
"""Errors of a connect that say nothing about the program."""


class Reader(threading.Thread):
    """Reads every open connection of this process."""

    _one: Reader | None = None
    _guard = threading.Lock()

    def __init__(self) -> None:
        super().__init__(daemon=True, name="http-reader")
        self.poll = select.epoll()
        self.guard = threading.Lock()
        self.connections: dict[int, Connection] = {}

    @classmethod
    def shared(cls) -> Reader:
        with cls._guard:
            if cls._one is None:
                cls._one = cls()
                cls._one.start()
            return cls._one

    def add(self, connection: Connection) -> None:
        with self.guard:
            self.connections[connection.socket.fileno()] = connection
            self.poll.register(connection.socket, select.EPOLLIN | select.EPOLLRDHUP)

    def remove(self, connection: Connection) -> None:
        """Stop reading this connection; any thread may call it. It comes before the socket is
        closed: from then on the socket's number may be another connection's."""
        with self.guard:
            number = connection.socket.fileno()
            if self.connections.get(number) is connection:
                del self.connections[number]
                self.poll.unregister(number)

    def run(self) -> None:
        while True:
            for number, _ in self.poll.poll():
                connection = self.connections.get(number)
                if connection is not None:
                    connection.readable()


class Connection:
    """One TCP connection to the program."""

    def __init__(self, client: Client, number: int) -> None:
        self.client, self.number = client, number
        self.worker: int | None = None
        self.pid: int | None = None
        self.ended_at: float | None = None
        self.ended_how: Outcome | None = None
        self.over = threading.Event()
        self.told_to_close = False
        self.guard = threading.Lock()
        self.exchange: Exchange | None = None
        self.socket: socket.socket = socket.create_connection(client.address, timeout=5)
        self.opened = time.monotonic()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.log.add("open", conn=number, cluster=client.cluster, t=self.opened)
        Reader.shared().add(self)

    @property
    def usable(self) -> bool:
        return not self.over.is_set() and not self.told_to_close

    def readable(self) -> None:
        now = time.monotonic()
        how: Outcome = "closed"
        try:
            data = self.socket.recv(262144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data, how = b"", "reset"
        with self.guard:
            exchange = self.exchange
            if exchange is not None:
                if data or how == "closed":
                    exchange.feed(data, now)
                else:
                    exchange.finish("cut" if exchange.status else "reset", now)
                if exchange.ended.is_set():
                    self.exchange = None
                    self._learn(exchange.answer)
        answer = exchange.answer if exchange is not None else None
        if answer is not None and answer.outcome == "malformed":
            self.ended_at, self.ended_how = now, "reset"
            return self.close()  # further bytes are of no use, and may have no end
        if not data and not self.over.is_set():
            Reader.shared().remove(self)
            self.ended_at, self.ended_how = now, how
            self.over.set()
            self.client.log.add("close", conn=self.number, cluster=self.client.cluster, t=now,
                                text=f"{how} by the program")

    def _learn(self, answer: Answer | None) -> None:
        if answer is not None and answer.by_worker:
            self.worker, self.pid = answer.worker, answer.pid
        self.told_to_close = self.told_to_close or answer is not None and answer.says_close()

    def send(self, path: str, method: str = "GET", body: bytes = b"",
             headers: dict[str, str] | None = None, held_back: int = 0) -> Exchange:
        """Send one request; its answer comes to the Exchange. The last `held_back` bytes are left
        to more()."""
        fields = {"Host": self.client.host, **(headers or {})}
        if body and "Transfer-Encoding" not in fields:
            fields.setdefault("Content-Length", str(len(body)))
            fields.setdefault("Content-Type", "application/json")
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        data = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
        return self.send_raw(data[:len(data) - held_back], method, path, kind="request",
                             told=data)

    def send_raw(self, data: bytes, method: str = "GET", path: str = "/", *,
                 kind: Literal["raw", "request"] = "raw", told: bytes = b"") -> Exchange:
        """Send these bytes, the first of a request. The bytes that come back are taken for its
        answer. `told`: the whole request, if its rest follows at once."""
        event = self.client.log.add(kind, conn=self.number, cluster=self.client.cluster,
                                    method=method, path=path, worker=self.worker,
                                    data=excerpt(kind, told or data))
        exchange = Exchange(event, method, path, self.number, self.client.delay)
        with self.guard:
            if self.over.is_set():
                exchange.finish(self.ended_how or "closed", time.monotonic())
                return exchange
            self.exchange = exchange
        self.more(data)
        return exchange

    def more(self, data: bytes) -> None:
        """Send further bytes. If the program has closed the connection, the reading thread notices
        that."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def get(self, path: str, patience: float = 10.0) -> Answer:
        return self.send(path).wait(patience)

    def wait_closed(self, patience: float) -> float | None:
        """The moment at which the program closed it; None if it did not in time."""
        return self.ended_at if self.over.wait(max(0.0, patience)) else None

    def close(self) -> None:
        with self.guard:
            if self.socket.fileno() >= 0:
                Reader.shared().remove(self)
                if not self.over.is_set():
                    self.client.log.add("close", conn=self.number, cluster=self.client.cluster,
                                        text="closed by the client")
                self.over.set()
                self.socket.close()


def excerpt(kind: str, data: bytes) -> dict[str, str]:
    """The part of a request that the story tells: of a raw one the first bytes, of others the
    body."""
    if kind == "raw":
        return {"bytes": data[:300].decode("latin-1")}
    body = data.partition(b"\r\n\r\n")[2]
    if not body:
        return {}
    return {"body": body[:200].decode("utf-8", "replace") + ("…" if len(body) > 200 else "")}


class Client:
    """Opens connections to one cluster, counts them, and closes them all at the end."""

    def __init__(self, url: str, log: EventLog, cluster: int, delay: Delay) -> None:
        parts = urlsplit(url)
        self.url, self.log, self.cluster, self.delay = url, log, cluster, delay
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.host = parts.netloc
        self._connections: list[Connection] = []
        self._count = 0

    def connect(self) -> Connection:
        """A connection that the program has to accept."""
        try:
            return self._connect()
        except OSError as why:
            raise CheckFailed(f"no connection to {self.url}: {why}",
                              expected="connections are accepted") from None

    def _connect(self) -> Connection:
        self._count += 1
        try:
            connection = Connection(self, self._count)
        except OSError as why:
            if why.errno in OWN_FAULTS:
                raise Inconclusive(f"the harness could not open a connection: {why}") from None
            raise
        self._connections.append(connection)
        return connection

    def start(self, path: str, method: str = "GET", body: bytes = b"",
              headers: dict[str, str] | None = None) -> Exchange:
        """Send a request on a fresh connection; the answer is not waited for."""
        began = time.monotonic()
        try:
            connection = self._connect()
        except OSError as why:
            event = self.log.add("request", conn=self._count, cluster=self.cluster, method=method,
                                 path=path, t=began)
            exchange = Exchange(event, method, path, self._count, self.delay)
            refused = isinstance(why, ConnectionRefusedError)
            exchange.finish("refused" if refused else "reset", time.monotonic(), str(why))
            return exchange
        return connection.send(path, method, body, headers)

    def get(self, path: str, patience: float = 10.0) -> Answer:
        """Send a GET on a fresh connection; returns its answer."""
        return self.ask(path, "GET", patience=patience)

    def ask(self, path: str, method: str, body: bytes = b"",
            headers: dict[str, str] | None = None, patience: float = 10.0) -> Answer:
        """Send a request on a fresh connection; returns its answer."""
        exchange = self.start(path, method, body, headers)
        answer = exchange.wait(patience)
        self._drop(exchange)
        return answer

    def get_at_once(self, path: str, count: int, patience: float) -> list[Answer]:
        """Send `count` requests, each on a fresh connection, all under way at the same time."""
        exchanges = [self.start(path) for _ in range(count)]
        deadline = time.monotonic() + patience
        answers = [exchange.wait(deadline - time.monotonic()) for exchange in exchanges]
        for exchange in exchanges:
            self._drop(exchange)
        return answers

    def _drop(self, exchange: Exchange) -> None:
        for connection in reversed(self._connections):
            if connection.number == exchange.conn:
                connection.close()
                self._connections.remove(connection)
                break

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()
