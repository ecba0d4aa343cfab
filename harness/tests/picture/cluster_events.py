"""Events of a cluster with two workers, as a check leaves them, and its journal."""
from __future__ import annotations

from typing import Any

from harness.judging.events import EventLog

MASTER, ONE, TWO, NEXT = 100, 101, 102, 103


def log_of_cluster() -> EventLog:
    log = EventLog()
    cluster(log)
    return log


def cluster(log: EventLog, number: int = 1, t: float = 10.0) -> None:
    """A master with two workers that is ready after 200 ms."""
    pid = 100 * number
    log.add("spawn", t=t, cluster=number, pid=pid)
    log.add("note", t=t, cluster=number, pid=pid, text="start")
    log.add("child", t=t + 0.05, cluster=number, pid=pid + 2)
    log.add("child", t=t + 0.05, cluster=number, pid=pid + 1)
    log.add("ready", t=t + 0.2, cluster=number, pid=pid)


def signal(log: EventLog, t: float, name: str, pid: int, to: str) -> None:
    log.add("signal", t=t, cluster=1, pid=pid, text=name, data={"to": to})


def request(log: EventLog, t: float, end: float | None, conn: int, status: int | None = 200,
            **more: Any) -> None:
    log.add("request", t=t, end=end, cluster=1, conn=conn, method="GET", path="/slow",
            status=status, **more)


def says(pid: int, t: float, event: str, **more: Any) -> dict[str, Any]:
    """An entry of the journal. NEXT is worker 1 after ONE."""
    worker = max(0, pid - MASTER) if pid != NEXT else 1
    return {"t": t, "pid": pid, "worker": worker, "event": event, **more}


def with_journal(log: EventLog, *entries: dict[str, Any]) -> None:
    """The journal of the start, then these entries."""
    log.journals[1] = [says(MASTER, 10.01, "spawn", child=ONE, peer=1),
                       says(MASTER, 10.02, "spawn", child=TWO, peer=2),
                       says(ONE, 10.1, "ready"), says(TWO, 10.15, "ready"), *entries]
