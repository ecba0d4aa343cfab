"""The page at a local address. It is served to this machine only.

A random token in the address keeps other pages from pressing the buttons.
"""
from __future__ import annotations

import json
import re
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.judging.verdict import CheckFailed, Inconclusive
from harness.learner.play.session import Refused, Session

LONGEST_BODY = 1000
HERE = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
"""Hosts that the browser may name, with any port: `ssh -L` chooses another."""


class PlayServer(ThreadingHTTPServer):
    """serve_forever() runs it, shutdown() from another thread ends it. `address`: the page's.

    `port` 0: any that is free. OSError: it is taken.
    """

    daemon_threads = True

    def __init__(self, session: Session, page: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.session, self.page = session, page.encode()
        self.token = secrets.token_urlsafe(16)
        self.address = f"http://127.0.0.1:{self.server_port}/{self.token}/"


class Handler(BaseHTTPRequestHandler):
    server: PlayServer

    def do_GET(self) -> None:
        what = self._wanted()
        if what == "":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif what == "state":
            self._tell(HTTPStatus.OK, self.server.session.state())
        else:
            self._tell(HTTPStatus.NOT_FOUND, {
                "error": "the address is the one that the terminal shows, with its token"})

    def do_POST(self) -> None:
        what, order = self._wanted(), self._body()
        session = self.server.session
        if order is None:
            self._tell(HTTPStatus.BAD_REQUEST, {
                "error": f"a JSON object of at most {LONGEST_BODY} bytes is wanted"})
            return
        try:
            to, name = order.get("to"), order.get("name")
            if what == "signal" and isinstance(to, int) and isinstance(name, str):
                session.signal(to, name)
            elif what == "load" and isinstance(order.get("kind"), str):
                session.ask(order["kind"])
            elif what == "start":
                session.start()
            else:
                self._tell(HTTPStatus.NOT_FOUND, {"error": "there is no such button"})
                return
        except (Refused, CheckFailed, Inconclusive) as why:
            self._tell(HTTPStatus.CONFLICT, {"error": str(why)})
            return
        self._tell(HTTPStatus.OK, {})

    def _wanted(self) -> str | None:
        """The path behind the token; None if the token is wrong, or the name of the host.

        A page of another host could have made that host's name lead to this address.
        """
        token, slash, what = self.path.lstrip("/").partition("/")
        right = secrets.compare_digest(token.encode(), self.server.token.encode())
        known = right and slash and HERE.fullmatch(self.headers.get("Host") or "")
        return what if known else None

    def _body(self) -> dict[str, Any] | None:
        """The JSON object that was sent; None if it is none, is too long, or is not called JSON.

        A form of another page cannot send what is called JSON.
        """
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > LONGEST_BODY:
            return None
        if self.headers.get("Content-Type") != "application/json":
            return None
        try:
            found = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _tell(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(value, separators=(",", ":")).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)),
                   "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
                   "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal is for what the program prints."""
