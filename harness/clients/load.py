"""A load: clients that ask all the time, on fresh and on kept-alive connections, and note the
outcome of every request.

One thread of its own runs them all. A client never repeats a request: a lost one stays lost, and is
counted by its outcome.
"""
from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from harness.clients.load_connection import (
    NAMES, PATIENCE, SAID, UNASKED, Asked, Endpoint, Kind, LoadConnection,
)
from harness.clients.target import Target
from harness.judging.verdict import CheckFailed, Inconclusive

CLIENTS = 16
FRESH_PAUSE = (0.02, 0.06)
QUICK, SLOW = (0.01, 0.05), (0.30, 0.42)
"""Seconds. Half of the kept-alive clients ask again after a quick pause. The other half ask nearly
as seldom as the contract lets them, which is every 500 ms."""
LATE, RESTS, LONGEST_REST = 0.01, 2, 1.0
"""A client that wakes from its pause more than LATE seconds late rests for RESTS times as long as
it was late. Pause and rest together last at most LONGEST_REST seconds."""
ENOUGH = 30
"""Requests of each kind that must have been under way in the time that is judged."""


class Load(threading.Thread):
    """Runs from `start` to `stop`. `asked` may be read at any time."""

    def __init__(self, cluster: Target, path: str = "/", fresh: int = CLIENTS,
                 kept: int = CLIENTS) -> None:
        super().__init__(daemon=True, name="http-load")
        parts = urlsplit(cluster.url)
        self.cluster, self.path = cluster, path
        address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.endpoint = Endpoint(address, parts.netloc, path)
        self.clients: tuple[tuple[Kind, int], ...] = (("fresh", fresh), ("kept", kept))
        self.asked: list[Asked] = []
        self._ending = False
        self._fault: BaseException | None = None

    def __enter__(self) -> Load:
        counts = " and ".join(f"{count} {NAMES[kind]}" for kind, count in self.clients)
        self.cluster.log.add("note", cluster=self.cluster.number,
                             text=f"{counts} clients ask for {self.path} all the time")
        self.start()
        self.expect_going()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self.join(PATIENCE + 5)
        self._keep()

    def _keep(self) -> None:
        """Put every request into the event log, for the pictures."""
        for one in list(self.asked):
            self.cluster.log.add("load", cluster=self.cluster.number, t=one.started, end=one.ended,
                                 method="GET", path=self.path, status=one.status or None,
                                 worker=one.worker, pid=one.pid, text=SAID.get(one.outcome, ""),
                                 data={"client": f"{one.kind} {one.client + 1}",
                                       "version": one.version})

    def run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as fault:  # the thread that judges reads it
            self._fault = fault

    async def _all(self) -> None:
        clients = [self._fresh(number) if kind == "fresh" else self._kept(number)
                   for kind, count in self.clients for number in range(count)]
        await asyncio.gather(*clients)

    async def _pause(self, least: float, most: float, longest: float) -> None:
        """Pause for a random time; a client that is woken late waits longer. Else, on a busy
        machine, the load itself would keep the program from a processor."""
        wanted = random.uniform(least, most)
        before = time.monotonic()
        await asyncio.sleep(wanted)
        late = time.monotonic() - before - wanted
        if late > LATE:
            await asyncio.sleep(min(RESTS * late, before + longest - time.monotonic()))

    async def _fresh(self, number: int) -> None:
        await asyncio.sleep(number * 0.003)
        while not self._ending:
            connection = LoadConnection(self.endpoint, self.asked, "fresh", number)
            await connection.ask()
            connection.close()
            await self._pause(*FRESH_PAUSE, longest=LONGEST_REST)

    async def _kept(self, number: int) -> None:
        connection = LoadConnection(self.endpoint, self.asked, "kept", number)
        while not self._ending:
            began = time.monotonic()
            if not await connection.ask():
                connection.close()
                connection = LoadConnection(self.endpoint, self.asked, "kept", number)
            if number % 2:
                await asyncio.sleep(max(QUICK[0], began + random.uniform(*SLOW) - time.monotonic()))
            else:
                await self._pause(*QUICK, longest=SLOW[1])
        connection.close()

    # ----- judging

    def count(self, kind: Kind, since: float, until: float) -> int:
        return sum(one.kind == kind and one.ended >= since and one.started <= until
                   for one in list(self.asked))

    def expect_going(self) -> None:
        """Wait until each kind of client has had as many answers as there are such clients."""
        began = time.monotonic()
        while not all(self.count(kind, 0, began + 60) >= count for kind, count in self.clients):
            if self._fault is not None or time.monotonic() > began + 15:
                self._fail_if_dropped(list(self.asked))
                why = self._fault or "the machine is too slow"
                raise Inconclusive(f"the load did not start: {why}")
            time.sleep(0.01)

    def await_enough(self, since: float) -> float:
        """Wait until there were enough requests to judge, or some seconds; returns the moment."""
        latest = time.monotonic() + PATIENCE
        while self._few(since, now := time.monotonic()) and now < latest and self._fault is None:
            time.sleep(0.02)
        return now

    def _few(self, since: float, until: float) -> list[str]:
        return [f"{count} {kind}" for kind, clients in self.clients
                if clients and (count := self.count(kind, since, until)) < ENOUGH]

    def expect_enough(self, since: float, until: float) -> None:
        """There was load between the two moments."""
        self._expect_no_fault()
        if few := self._few(since, until):
            raise Inconclusive(f"only {' and '.join(few)} requests were made meanwhile: "
                               "too few to judge")

    def _expect_no_fault(self) -> None:
        if self._fault is not None:
            raise Inconclusive(f"the load has failed: {self._fault!r}")

    def expect_nothing_dropped(self, since: float, until: float) -> None:
        """Every request that was under way between the two moments got a whole 200, and there were
        enough of them."""
        self._expect_no_fault()
        self._fail_if_dropped([one for one in list(self.asked) if one.ended >= since])
        self.expect_enough(since, until)

    def _idle_for_long(self, one: Asked) -> bool:
        """Whether the program may have been right to close the connection, as idle for too long.
        The client may have read the answer before, or sent this request, as much later as the
        machine was behind."""
        if not one.closed_unasked or one.before is None:
            return False
        return one.idle + self.cluster.meter.allowance(one.before, one.ended) > UNASKED

    def _fail_if_dropped(self, judged: list[Asked]) -> None:
        dropped = [one for one in judged
                   if one.dropped and not one.excused and not self._idle_for_long(one)]
        bad = [one for one in dropped if not one.doubtful]
        if not bad:
            if dropped:
                raise Inconclusive(f"{dropped[0]}, but the client that asked was so slow that the "
                                   f"connection may have been idle for more than {UNASKED:.0f} s")
            return
        for one in bad[:10]:
            self.cluster.log.add("request", cluster=self.cluster.number, t=one.started,
                                 end=one.ended, method="GET", path=self.path,
                                 status=one.status or None, worker=one.worker,
                                 text=SAID.get(one.outcome, ""))
        made = Counter(one.kind for one in judged)
        classes = Counter((one.kind, SAID.get(one.outcome, str(one.status))) for one in bad)
        told = ", ".join(f"{count} on {NAMES[kind]} connections: {how}"
                         for (kind, how), count in classes.most_common())
        if all(one.outcome == "waiting" for one in bad):
            first = bad[0]
            self.cluster.refuse_late(PATIENCE - 1, first.started, f"{told}; the first")
        raise CheckFailed(f"of {made['fresh']} requests on fresh and {made['kept']} on kept-alive "
                          f"connections {len(bad)} were dropped: {told}; the first: {bad[0]}",
                          expected="every request gets a whole 200")
