"""What a program writes, line by line, and when each line came. Of very much output only the beginning and the end are kept."""
from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable

from harness.judging.events import EventLog, Line

HEAD_LINES, HEAD_BYTES = 100_000, 16 * 1024 * 1024
"""The beginning, whichever is less; more than any right program writes in a check."""
TAIL_LINES, TAIL_BYTES = 10_000, 1024 * 1024
LONGEST_LINE = 64 * 1024
"""Bytes from which on a line is taken apart."""


@dataclass(frozen=True)
class Piece:
    """Some bytes of the end that are not taken apart yet."""

    t: float
    data: bytes
    error: bool


class Output:
    """Always takes what comes: a full pipe would block the program."""

    def __init__(self, log: EventLog, cluster: int) -> None:
        self.log, self.cluster = log, cluster
        self.came = threading.Condition()
        """Notified with each new line."""
        self.size = 0
        self._head: list[Line] = []
        self._tail: deque[Piece] = deque()
        self._tail_size = self._dropped = 0
        self._threads: list[threading.Thread] = []
        self._hear: Callable[[Line], None] | None = None

    def listen(self, hear: Callable[[Line], None]) -> None:
        """Tell every line, those so far and those to come, one after another from whichever thread."""
        with self.came:
            for line in self.lines():
                hear(line)
            self._hear = hear

    def read(self, source: int, *, error: bool) -> None:
        """Read from this descriptor until its end, and close it."""
        self._threads.append(threading.Thread(target=self._run, args=(source, error), daemon=True, name="output"))
        self._threads[-1].start()

    def join(self, patience: float) -> None:
        for thread in self._threads:
            thread.join(patience)

    def lines(self) -> list[Line]:
        with self.came:
            if not self._tail:
                return list(self._head)
            gap = Line(self._tail[0].t, f"… {self._dropped} bytes are left out here …", True)
            tail = [Line(piece.t, text, piece.error) for piece in self._tail for text in shown(piece.data).split("\n") if text]
            return [*self._head, gap, *tail[-TAIL_LINES:]]

    def _run(self, source: int, error: bool) -> None:
        rest = b""
        with open(source, "rb", buffering=0) as stream:
            while data := stream.read(65536):
                now = time.monotonic()
                whole, newline, rest = (rest + data).rpartition(b"\n")
                if len(rest) > LONGEST_LINE:
                    whole, newline, rest = whole + newline + rest, b"\n", b""
                if newline:
                    self._take(Piece(now, whole, error))
        if rest:
            self._take(Piece(time.monotonic(), rest, error))

    def _take(self, piece: Piece) -> None:
        with self.came:
            self.size += len(piece.data) + 1
            if self._hear is not None:
                for text in shown(piece.data).split("\n"):
                    self._hear(Line(piece.t, text, piece.error))
            if len(self._head) < HEAD_LINES and self.size < HEAD_BYTES:
                lines = [Line(piece.t, text, piece.error) for text in shown(piece.data).split("\n")]
                self._head += lines
            else:
                lines = []
                self._tail.append(piece)
                self._tail_size += len(piece.data)
                while self._tail_size > TAIL_BYTES and len(self._tail) > 1:
                    dropped = len(self._tail.popleft().data)
                    self._tail_size -= dropped
                    self._dropped += dropped
            self.came.notify_all()
        for line in lines:
            self.log.add("output", cluster=self.cluster, t=line.t, text=line.text, data={"stderr": True} if line.error else {})


def shown(data: bytes) -> str:
    return data.decode(errors="replace")
