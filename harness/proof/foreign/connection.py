"""One HTTP connection, on asyncio: whole requests in, whole answers out, limits and times kept."""
from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from email.utils import formatdate
from typing import Any, Protocol

Reply = tuple[int, dict[str, Any], dict[str, str], float]
"""Status, body, further headers, and the seconds that the work takes."""
HEAD_LIMIT, BODY_LIMIT, STALL_SECONDS, LINGER_SECONDS = 16 * 1024, 64 * 1024, 5.0, 0.5
UNREAD_SECONDS, BLANK_LINES = 5.0, 100
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[!$&'()*+,;=._~%0-9A-Za-z-]*)(:[0-9]*)?")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+[ \t]*(;.*)?")


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


def parse_head(head: str) -> tuple[str, str, str, dict[str, str]]:
    """Method, target, version and headers. Raises ValueError if this is no HTTP request."""
    first, *lines = head.split("\r\n")
    method, target, version = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.lower()
        if not colon or not TOKEN.fullmatch(name) or re.search(r"[\0\r\n]", value) \
                or key in headers and key in ("host", "content-length", "transfer-encoding"):
            raise ValueError
        headers[key] = value.strip(" \t")
    old = version == "HTTP/1.0"
    if not TOKEN.fullmatch(method) or not old and version != "HTTP/1.1" \
            or not HOST.fullmatch(headers.get("host", "" if old else "/")) \
            or not re.fullmatch("[0-9]+", headers.get("content-length", "0")) \
            or headers.get("transfer-encoding", "chunked").lower() != "chunked" \
            or not re.fullmatch(r"[^\0-\x20\x7f]+", target):
        raise ValueError
    return method, target, version, headers


class Connection(asyncio.Protocol):
    """One connection: collects a request, waits its simulated time, answers, and goes on with the
    bytes that came meanwhile."""

    transport: asyncio.Transport
    count = 0
    query = ""

    def __init__(self, owner: Owner) -> None:
        self.owner, self.buffer, self.busy, self.closing = owner, bytearray(), False, False
        self.stall: asyncio.TimerHandle | None = None
        self.unread: asyncio.TimerHandle | None = None
        self.blank_lines = 0
        Connection.count += 1
        self.number = Connection.count

    @property
    def active(self) -> bool:
        return self.busy or self.stall is not None or self.unread is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(0)
        self.owner.clients.add(self)
        self.owner.note("open", conn=self.number)

    def connection_lost(self, why: Exception | None) -> None:
        self.busy = False
        self.set_stall(False)
        self.set_unread(False)
        self.owner.clients.discard(self)
        self.owner.note("close", conn=self.number)
        self.owner.changed()

    def data_received(self, data: bytes) -> None:
        if not self.closing:
            self.buffer += data
            self.advance()

    def pause_writing(self) -> None:
        self.set_unread(True)

    def resume_writing(self) -> None:
        self.set_unread(False)
        self.owner.loop.call_soon(self.advance)
        self.owner.changed()

    def set_unread(self, on: bool) -> None:
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None
        if on:
            left = self.transport.get_write_buffer_size()
            self.unread = self.owner.loop.call_later(UNREAD_SECONDS, self.still_unread, left)

    def still_unread(self, before: int) -> None:
        """The client has had its time to take some of the answer."""
        if self.transport.get_write_buffer_size() < before:
            return self.set_unread(True)
        if self.owner.draining:
            self.owner.tell("cut 1")
        # With a reset: the kernel forgets what it still has for this client.
        peer: socket.socket = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

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
        if self.busy or self.closing or self.unread is not None:
            if len(self.buffer) > HEAD_LIMIT + BODY_LIMIT:
                self.transport.pause_reading()
            return
        if self.transport.is_closing():
            return
        self.transport.resume_reading()
        blank = len(self.buffer) - len(self.buffer.lstrip(b"\r\n"))
        self.blank_lines += self.buffer.count(b"\n", 0, blank)
        del self.buffer[:blank]
        if self.blank_lines > BLANK_LINES:
            return self.transport.close()
        self.set_stall(bool(self.buffer))
        end = self.buffer.find(b"\r\n\r\n")
        if end > HEAD_LIMIT or (end < 0 and len(self.buffer) > HEAD_LIMIT):
            return self.refuse(431, f"the head may have {HEAD_LIMIT} bytes")
        if end < 0:
            return
        try:
            method, target, version, headers = parse_head(self.buffer[:end].decode("latin-1"))
            length = int(headers.get("content-length", "0")[:18])
        except ValueError:
            return self.refuse(400, "this is not an HTTP request")
        if "transfer-encoding" in headers:
            try:
                length = self.chunked_length(end + 4)
            except ValueError:
                return self.refuse(400, "a chunk has no valid size")
        if length > BODY_LIMIT or len(self.buffer) > end + 4 + 2 * BODY_LIMIT and length < 0:
            return self.refuse(413, f"the body may have {BODY_LIMIT} bytes")
        if length < 0 or len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4:end + 4 + length])
        del self.buffer[:end + 4 + length]
        self.set_stall(False)
        self.blank_lines = 0
        close = version != "HTTP/1.1" or headers.get("connection", "").lower() == "close"
        path, _, self.query = target.partition("?")
        self.handle(method, path, body, close)

    def chunked_length(self, at: int) -> int:
        """How many bytes the chunks from here on take up: more than the limit if they are too many,
        -1 if not all came yet."""
        start, size = at, 0
        while size <= BODY_LIMIT:
            line = self.buffer.find(b"\r\n", at)
            if line < 0:
                return -1
            if not CHUNK_SIZE.fullmatch(self.buffer[at:line]):
                raise ValueError
            chunk = int(self.buffer[at:line].split(b";")[0], 16)
            if chunk == 0:
                stop = self.buffer.find(b"\r\n\r\n", line)
                return -1 if stop < 0 else stop + 4 - start
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
                   "Date": formatdate(usegmt=True),
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
            self.owner.loop.call_soon(self.advance)  # not at once: there may be a great many
        self.owner.changed()

    def linger(self) -> None:
        """Close the sending side and read on for a moment: a reset would destroy an answer that the
        client has not read yet."""
        self.closing = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.owner.loop.call_later(LINGER_SECONDS, self.transport.close)
