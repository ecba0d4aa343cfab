"""Clients that ask the program all the time: gently, heavily, or for what takes long.

Half of them keep their connections.
"""
from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass

from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

LONGEST = 300.0
"""Seconds after which a load ends by itself: it is easily forgotten."""
PATIENCE = 30.0
"""Seconds until a client gives up waiting for an answer."""


@dataclass(frozen=True)
class Ask:
    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True)
class Clients:
    count: int
    pause: float
    """Seconds between an answer and the next request of the same client."""
    slow: bool = False


KINDS = {"gentle": (Clients(2, 0.5),), "heavy": (Clients(16, 0.12),),
         "slow": (Clients(4, 0.2, slow=True), Clients(2, 0.5))}
"""Some clients of the slow load are quick: they meet what a new request meets meanwhile."""


def task(kind: str, n: int) -> Ask:
    return Ask("POST", "/task", json.dumps({"type": kind, "n": n}).encode())


PLAIN = Ask("GET", "/")
QUICK_ASK = {1: Ask("GET", "/fast"), 4: Ask("GET", "/send/2?message=hello"),
             5: task("prime", 1_000_003)}
SLOW_ASK = {1: Ask("GET", "/slow"), 3: Ask("GET", "/leak"), 4: Ask("GET", "/stats"),
            5: task("fibonacci", 36)}
"""Exercise → the request, where it is not `/`.

A slow request needs time, memory, all workers, or a worker for a while. In exercise 2, WORK_MS
says how long a request to `/` takes.
"""


class Load:
    """Any thread may call it; one load at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.kind = ""
        self._guard = threading.Lock()
        self._end = threading.Event()

    def begin(self, name: str) -> None:
        """End the load that goes on, if there is one, and begin another.

        Raises KeyError for an unknown name.
        """
        groups, number = KINDS[name], self.cluster.exercise.number
        self.end()
        with self._guard:
            self.kind, self._end = name, threading.Event()
            for clients in groups:
                ask = (SLOW_ASK if clients.slow else QUICK_ASK).get(number, PLAIN)
                for client in range(clients.count):
                    words = (ask, clients.pause, client % 2 == 0, self._end)
                    threading.Thread(target=self._run, args=words, daemon=True,
                                     name=f"load-{client}").start()

    def end(self) -> None:
        with self._guard:
            self.kind = ""
            self._end.set()

    def _run(self, ask: Ask, pause: float, keeps: bool, ended: threading.Event) -> None:
        until = time.monotonic() + LONGEST
        connection: Connection | None = None
        while not ended.wait(pause):
            if time.monotonic() > until or not processes.alive(self.cluster.pid):
                self.end()
            elif keeps:
                connection = self._on_kept(ask, connection)
            else:
                self._on_fresh(ask)
        if connection is not None:
            connection.close()

    def _on_fresh(self, ask: Ask) -> None:
        try:
            self.cluster.client.ask(ask.path, ask.method, ask.body, patience=PATIENCE)
        except Inconclusive:
            time.sleep(1)  # no more connections can be opened just now

    def _on_kept(self, ask: Ask, connection: Connection | None) -> Connection | None:
        """Returns the connection to go on with, if it can still be used."""
        if connection is not None and not connection.usable:
            connection.close()  # the program has closed it, as it may while nothing is under way
            connection = None
        try:
            connection = connection or self.cluster.client.connect()
        except (CheckFailed, Inconclusive):
            self._on_fresh(ask)  # in the picture it shows how the client was turned away
            return None
        answer = connection.send(ask.path, ask.method, ask.body).wait(PATIENCE)
        if answer.outcome == "answer" and connection.usable:
            return connection
        connection.close()
        return None
