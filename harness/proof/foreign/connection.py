"""One HTTP connection, on asyncio: whole requests in, whole answers out, limits and times kept."""
from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

Reply = tuple[int, dict[str, Any], dict[str, str], float]
"""Status, body, further headers, and the seconds that the work takes."""
HEAD_LIMIT, BODY_LIMIT, STALL_SECONDS, LINGER_SECONDS = 16 * 1024, 64 * 1024, 5.0, 0.5


class Owner(Protocol):
    """The process that serves a connection, as the connection sees it."""

    loop: asyncio.AbstractEventLoop
    clients: set[Connection]
    draining: bool
    leaving: bool

    def identity(self) -> dict[str, Any]: ...
    def reply(self, method: str, path: str, body: bytes) -> Reply: ...
    def note(self, event: str, **fields: Any) -> None: ...
    def tell(self, line: str) -> None: ...
    def changed(self) -> None: ...


class Connection(asyncio.Protocol):
    """One connection: collects a request, waits its simulated time, answers, and goes on with the
    bytes that came meanwhile."""

    transport: asyncio.Transport
    count = 0

    def __init__(self, owner: Owner) -> None:
        self.owner, self.buffer, self.busy, self.closing = owner, bytearray(), False, False
        self.stall: asyncio.TimerHandle | None = None
        Connection.count += 1
        self.number = Connection.count

    @property
    def active(self) -> bool:
        return self.busy or self.stall is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.owner.clients.add(self)
        self.owner.note("open", conn=self.number)

    def connection_lost(self, why: Exception | None) -> None:
        self.busy = False
        self.set_stall(False)
        self.owner.clients.discard(self)
        self.owner.note("close", conn=self.number)
        self.owner.changed()

    def data_received(self, data: bytes) -> None:
        if not self.closing:
            self.buffer += data
            self.advance()

    def set_stall(self, on: bool) -> None:
        if on and self.stall is None:
            self.stall = self.owner.loop.call_later(STALL_SECONDS, self.stalled)
        elif not on and self.stall is not None:
            self.stall.cancel()
            self.stall = None

    def stalled(self) -> None:
        self.stall = None
        if self.owner.draining:
            self.owner.tell("cut 1")
        why = f"the request was not complete after {STALL_SECONDS:.0f} s"
        self.answer(408, {"error": why}, close=True)

    def advance(self) -> None:
        """Take the next request out of the buffer if it is there whole."""
        if self.busy or self.closing:
            return
        self.set_stall(bool(self.buffer))
        end = self.buffer.find(b"\r\n\r\n")
        if end > HEAD_LIMIT or (end < 0 and len(self.buffer) > HEAD_LIMIT):
            return self.refuse(431, f"the head may have {HEAD_LIMIT} bytes")
        if end < 0:
            return
        try:
            first, *rest = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
            method, target, version = first.split(" ")
            pairs = [one.split(":", 1) for one in rest]
            headers = {key.strip().lower(): value.strip() for key, value in pairs}
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return self.refuse(400, "this is not an HTTP request")
        if "chunked" in headers.get("transfer-encoding", ""):
            try:
                length = self.chunked_length(end + 4)
            except ValueError:
                return self.refuse(400, "a chunk has no valid size")
        if length > BODY_LIMIT:
            return self.refuse(413, f"the body may have {BODY_LIMIT} bytes")
        if length < 0 or len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4:end + 4 + length])
        del self.buffer[:end + 4 + length]
        self.set_stall(False)
        close = version != "HTTP/1.1" or headers.get("connection", "").lower() == "close"
        self.handle(method, target.split("?")[0], body, close)

    def chunked_length(self, at: int) -> int:
        """How many bytes the chunks from here on take up: more than the limit if they are too many,
        -1 if not all came yet."""
        start, size = at, 0
        while size <= BODY_LIMIT:
            line = self.buffer.find(b"\r\n", at)
            if line < 0:
                return -1
            chunk = int(bytes(self.buffer[at:line]).split(b";")[0], 16)
            if chunk == 0:
                stop = self.buffer.find(b"\r\n", line + 2)
                return -1 if stop < 0 else stop + 2 - start
            size, at = size + chunk, line + 4 + chunk
        return size

    def refuse(self, status: int, why: str) -> None:
        self.owner.note("request", method="", path="", conn=self.number)
        self.answer(status, {"error": why}, close=True)

    def handle(self, method: str, path: str, body: bytes, close: bool) -> None:
        self.busy = True
        self.owner.note("request", method=method, path=path, conn=self.number)
        status, said, extra, delay = self.owner.reply(method, path, body)
        close = close or extra.pop("Connection", "") == "close"
        if delay:
            self.owner.loop.call_later(delay, self.answer, status, said, extra, close)
        else:
            self.answer(status, said, extra, close, method == "HEAD")

    def answer(self, status: int, body: dict[str, Any], extra: dict[str, str] | None = None,
               close: bool = False, head: bool = False) -> None:
        if self.transport.is_closing():
            return
        close = close or self.owner.draining or self.owner.leaving
        data = json.dumps({**body, **self.owner.identity()}).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)),
                   "Connection": "close" if close else "keep-alive", **(extra or {})}
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        text = f"HTTP/1.1 {status} -\r\n{lines}\r\n"
        self.transport.write(text.encode() + (b"" if head else data))
        self.owner.note("response", status=status, conn=self.number)
        self.busy = False
        self.set_stall(False)
        if close:
            self.linger()
        else:
            self.advance()
        self.owner.changed()

    def linger(self) -> None:
        """Close the sending side and read on for a moment: a reset would destroy an answer that the
        client has not read yet."""
        self.closing = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.owner.loop.call_later(LINGER_SECONDS, self.transport.close)
