"""A program that is played with: started, signalled, asked, started again.

Session.state() is what the page gets to know of it.
"""
from __future__ import annotations

import threading
from signal import Signals
from typing import Any, Callable

from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.events import Line
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.learner.play.last_minute import Minute
from harness.learner.play.load import KINDS, Load
from harness.system import processes

TO_MASTER = ("SIGTERM", "SIGINT", "SIGKILL")
RESTARTS = {2: ("SIGUSR2",)}
"""Exercise → signals that its master knows beside these. Masters of others would die of them."""
TO_WORKER = ("SIGTERM", "SIGSTOP", "SIGCONT", "SIGKILL")


class Refused(Exception):
    """It cannot be done now; the text says why."""


class Session:
    """Any thread may call it; one thing is done at a time."""

    def __init__(self, fixture: Fixture, settings: dict[str, str],
                 hear: Callable[[Line], None]) -> None:
        """`hear` is told every line that the program writes."""
        self.fixture, self.hear = fixture, hear
        self.settings: dict[str, int | str | None] = {"PORT": None, **settings}
        self.minute = Minute(fixture.log)
        self._guard = threading.RLock()
        self._open: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """The newest."""
        return self.fixture.clusters[-1]

    def start(self) -> None:
        """Start the program. Raises CheckFailed or Inconclusive if it does not become ready."""
        with self._guard:
            if self.fixture.clusters and self.running():
                raise Refused("it runs already")
            self.end()
            self._open = self.fixture.start(self.settings, wait=False)
            self._open.written.listen(self.hear)
            self.load = Load(self._open)
        self.cluster.wait_ready()

    def end(self) -> None:
        """End the program, whatever it still does."""
        with self._guard:
            if self._open is not None:
                self.load.end()
                self._open.tear_down()
                self._open = None

    def running(self) -> bool:
        return processes.alive(self.cluster.pid)

    def exit_code(self) -> int | None:
        """As Python counts it, negative for a signal; None while the program runs."""
        with self._guard:
            return None if self.running() else self.cluster.wait_exit(5)

    def workers(self) -> dict[int, int]:
        """Slot → pid of the workers that live."""
        slots: dict[int, int] = dict(self.cluster.slots)
        for entry in self.fixture.log.journals.get(self.cluster.number, []):
            peer, child = entry.get("peer"), entry.get("child")
            if entry.get("event") == "spawn" and isinstance(peer, int) and isinstance(child, int):
                slots[peer] = child
        return {slot: pid for slot, pid in sorted(slots.items()) if processes.alive(pid)}

    def to_master(self) -> tuple[str, ...]:
        return TO_MASTER + RESTARTS.get(self.fixture.exercise.number, ())

    def signal(self, to: int, name: str) -> None:
        """`to`: a worker's slot, 0 for the master."""
        if name not in (TO_WORKER if to else self.to_master()):
            raise Refused(f"no button sends {name} there")
        with self._guard:
            if not self.running():
                raise Refused("the program has ended")
            self.minute.picture(self.cluster)  # reads the newest lines of the journal
            workers = self.workers()
            if to and to not in workers:
                raise Refused(f"worker {to} has no process now")
            try:
                if to:
                    self.cluster.slots[to] = workers[to]
                    self.cluster.signal_worker(to, Signals[name])
                else:
                    self.cluster.signal(Signals[name])
            except (CheckFailed, Inconclusive) as why:
                raise Refused(str(why)) from None

    def ask(self, kind: str) -> None:
        """Begin a kind of load, or "stop" it."""
        with self._guard:
            if kind == "stop":
                self.load.end()
            elif kind not in KINDS:
                raise Refused(f"no load is called {kind!r}; there are: {', '.join(KINDS)}, stop")
            else:
                self.load.begin(kind)

    def state(self) -> dict[str, Any]:
        """What the page shows, as JSON."""
        with self._guard:
            if not self.running():
                self.load.end()
            picture = self.minute.picture(self.cluster)
            workers = [{"slot": slot, "pid": pid, "stopped": processes.stopped(pid)}
                       for slot, pid in self.workers().items()]
            return {"picture": picture, "running": self.running(), "exitCode": self.exit_code(),
                    "workers": workers, "pid": self.cluster.pid, "url": self.cluster.url,
                    "load": self.load.kind, "excess": self.cluster.excess,
                    "toMaster": self.to_master(), "toWorker": TO_WORKER}
