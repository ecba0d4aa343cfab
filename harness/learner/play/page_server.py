"""The page at a local address. Its random token keeps other pages from pressing the buttons; it is served to this machine only."""
from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.judging.verdict import CheckFailed, Inconclusive
from harness.learner.play.session import Refused, Session

LONGEST_BODY = 1000


class PlayServer(ThreadingHTTPServer):
    """`address` is the page's. serve_forever() runs it, shutdown() from another thread ends it."""

    daemon_threads = True

    def __init__(self, session: Session, page: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.session, self.page = session, page.encode()
        self.token = secrets.token_urlsafe(16)
        self.hosts = [f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")]
        self.address = f"http://{self.hosts[0]}/{self.token}/"


class Handler(BaseHTTPRequestHandler):
    server: PlayServer

    def do_GET(self) -> None:
        what = self._wanted()
        if what == "":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif what == "state":
            self._tell(HTTPStatus.OK, self.server.session.state())
        else:
            self._tell(HTTPStatus.NOT_FOUND, {"error": "the address is the one that the terminal shows, with its token"})

    def do_POST(self) -> None:
        what, order = self._wanted(), self._body()
        session = self.server.session
        if order is None:
            self._tell(HTTPStatus.BAD_REQUEST, {"error": f"a JSON object of at most {LONGEST_BODY} bytes is wanted"})
            return
        try:
            if what == "signal" and isinstance(order.get("to"), int) and isinstance(order.get("name"), str):
                session.signal(order["to"], order["name"])
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
        """The path behind the token; None if the token is wrong, or the name of the host (a name could lead anywhere)."""
        token, slash, what = self.path.lstrip("/").partition("/")
        known = secrets.compare_digest(token.encode(), self.server.token.encode()) and slash and self.headers.get("Host") in self.server.hosts
        return what if known else None

    def _body(self) -> dict[str, Any] | None:
        """JSON that says so: a form of another page cannot."""
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > LONGEST_BODY or self.headers.get("Content-Type") != "application/json":
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
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
                            ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The terminal is the program's."""
