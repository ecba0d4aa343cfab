"""One request under way, and the answer to it, with the moment at which each part came."""
from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Literal

import h11

from harness.judging.events import Event
from harness.judging.time_bounds import ABSURD
from harness.judging.verdict import Inconclusive

Outcome = Literal["answer", "refused", "reset", "closed", "cut", "malformed", "waiting"]
Delay = Callable[[float, float], float]
MOST_PATIENCE = 20.0
MOST_HEAD, MOST_BODY = 64 * 1024, 8 * 1024 * 1024
"""Bytes of an answer that are read. The longest answer that the contract knows, 100 messages of
1 KiB, takes less than 1 MiB."""
SAID = {"refused": "connection refused", "reset": "connection reset without an answer",
        "closed": "connection closed without an answer", "cut": "cut in the middle of the answer"}


@dataclass(frozen=True)
class Answer:
    """The end of one request, with an answer or without."""

    outcome: Outcome
    method: str
    path: str
    started: float
    ended: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    conn: int = 0
    problem: str = ""

    @property
    def took(self) -> float:
        return self.ended - self.started

    @property
    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def _whole(self, name: str) -> int | None:
        value = self.json.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def worker(self) -> int | None:
        return self._whole("worker")

    @property
    def pid(self) -> int | None:
        return self._whole("pid")

    @property
    def by_worker(self) -> bool:
        """Whether a worker has written it: a worker always gives both its number and its pid. (A
        task may have a `worker`, too.)"""
        return self.worker is not None and self.pid is not None

    def says_close(self) -> bool:
        return "close" in self.headers.get("connection", "").lower()

    def __str__(self) -> str:
        took = f"{self.took * 1000:.0f} ms"
        if self.outcome == "answer":
            by = f" from worker {self.worker}" if self.by_worker else ""
            return f"{self.method} {self.path}: {self.status}{by} after {took}"
        if self.outcome == "waiting":
            whole = "whole " if self.problem else ""
            return f"{self.method} {self.path}: no {whole}answer within {took}{self.problem}"
        return f"{self.method} {self.path}: {SAID.get(self.outcome, self.problem)} after {took}"


class Exchange:
    """A request under way. It ends once, with an answer or without.

    The reading thread feeds it; the thread of the check waits for its end.
    """

    def __init__(self, event: Event, method: str, path: str, conn: int, delay: Delay) -> None:
        self.event, self.method, self.path, self.conn = event, method, path, conn
        self.started, self.delay = event.t, delay
        self.parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
        self.parser.send(h11.Request(method=method, target=path, headers=[("Host", "x")]))
        self.parser.send(h11.EndOfMessage())
        self.ended = threading.Event()
        self.answer: Answer | None = None
        self.status, self.headers, self.body = 0, {}, b""  # type: int, dict[str, str], bytes

    def finish(self, outcome: Outcome, now: float, problem: str = "") -> None:
        self.answer = Answer(outcome, self.method, self.path, self.started, now, self.status,
                             self.headers, self.body, self.conn, problem)
        self.event.end, self.event.status = now, self.status or None
        self.event.pid = self.answer.pid
        self.event.worker = self.answer.worker if self.answer.by_worker else None
        self.event.data["told"] = str(self.answer)
        if isinstance(version := self.answer.json.get("version"), str):
            self.event.data["version"] = version
        if isinstance(task := self.answer.json.get("taskId"), str) and self.event.method == "POST":
            self.event.data["taskId"] = task
        self.event.text = "" if outcome == "answer" else SAID.get(outcome, problem)
        self.ended.set()

    def feed(self, data: bytes, now: float) -> None:
        """Take in bytes that came (b"" is end of file)."""
        try:
            self.parser.receive_data(data)
            while True:
                event = self.parser.next_event()
                if isinstance(event, h11.Response):
                    self.status = event.status_code
                    self.headers = {name.decode().lower(): value.decode("latin-1")
                                    for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    self.body += bytes(event.data)
                    if len(self.body) > MOST_BODY:
                        most = f"{MOST_BODY // 1024 // 1024} MiB"
                        return self.finish("malformed", now, f"a body of more than {most}")
                elif isinstance(event, h11.EndOfMessage):
                    return self.finish_whole(now)
                elif event is h11.NEED_DATA:
                    return None
                elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                    return self.finish("cut" if self.status else "closed", now)
        except h11.RemoteProtocolError as why:
            if data and why.error_status_hint == 431:
                longer = f"the head of the answer is longer than {MOST_HEAD // 1024} KiB"
                return self.finish("malformed", now, f"{longer}: {data[:200]!r}")
            if data:
                return self.finish("malformed", now, f"not valid HTTP ({why}): {data[:200]!r}")
            return self.finish("cut" if self.status else "closed", now)

    def finish_whole(self, now: float) -> None:
        """The answer has ended as its length says. Bytes after it may begin another answer, but not
        be more of this one."""
        rest = self.parser.trailing_data[0]
        if not b"HTTP/".startswith(rest[:5]):
            return self.finish("malformed", now, "the body is longer than its Content-Length says; "
                                                 f"what follows is {rest[:200]!r}")
        return self.finish("answer", now)

    def wait(self, patience: float) -> Answer:
        """The answer, or one with outcome `waiting` if none came in time. On a slow machine this
        waits longer."""
        began, behind = time.monotonic(), 0.0
        if not self.ended.wait(max(0.0, patience)) and patience >= 1:
            behind = self.delay(began, time.monotonic())
            self.ended.wait(min(MOST_PATIENCE, behind))
        if self.answer is not None:
            return self.answer
        if behind > ABSURD:
            waited = time.monotonic() - began
            raise Inconclusive(f"no answer to {self.method} {self.path} within {waited:.1f} s, "
                               f"but the machine was {behind:.1f} s behind then")
        begun = ""
        if self.status:
            begun = f"; it began with status {self.status} and {len(self.body)} bytes"
        return Answer("waiting", self.method, self.path, self.started, time.monotonic(),
                      conn=self.conn, problem=begun)
