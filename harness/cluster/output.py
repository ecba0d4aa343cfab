"""The output of a program, line by line, with the moment at which each line came. Of very much
output only the beginning and the end are kept."""
from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable

from harness.judging.events import EventLog, Line

HEAD_LINES, HEAD_BYTES = 100_000, 16 * 1024 * 1024
"""The size of the beginning, whichever is reached first. No right program writes as much in a
check."""
TAIL_LINES, TAIL_BYTES = 10_000, 1024 * 1024
LONGEST_LINE = 64 * 1024
"""Bytes; a longer line is cut into several."""


@dataclass(frozen=True)
class Piece:
    """Bytes that came at one moment: one or more lines, not yet split."""

    t: float
    data: bytes
    error: bool


class Output:
    """Always reads what comes, on a thread for each stream: a full pipe would block the program."""

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
        """Call `hear` with every line, those so far and those to come: one call at a time, but on
        different threads."""
        with self.came:
            for line in self.lines():
                hear(line)
            self._hear = hear

    def read(self, source: int, *, error: bool) -> None:
        """Read from this descriptor until its end, and close it."""
        self._threads.append(threading.Thread(target=self._run, args=(source, error), daemon=True,
                                              name="output"))
        self._threads[-1].start()

    def join(self, patience: float) -> None:
        for thread in self._threads:
            thread.join(patience)

    def lines(self) -> list[Line]:
        with self.came:
            if not self._tail:
                return list(self._head)
            gap = Line(self._tail[0].t, f"… {self._dropped} bytes are left out here …", True)
            tail = [line for piece in self._tail for line in split(piece) if line.text]
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
                for line in split(piece):
                    self._hear(line)
            if len(self._head) < HEAD_LINES and self.size < HEAD_BYTES:
                lines = split(piece)
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
            self.log.add("output", cluster=self.cluster, t=line.t, text=line.text,
                         data={"stderr": True} if line.error else {})


def split(piece: Piece) -> list[Line]:
    return [Line(piece.t, text, piece.error)
            for text in piece.data.decode(errors="replace").split("\n")]
