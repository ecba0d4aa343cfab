"""Events as a check leaves them: a cluster that was started, requests, tasks."""
from __future__ import annotations

from typing import Any

from harness.judging.events import EventLog

MASTER, WORKER = 100, 101


def started(log: EventLog, t: float = 1.0, cluster: int = 1, **data: Any) -> None:
    """A cluster's master was started; its pid is MASTER times the cluster's number."""
    log.add("note", t=t, cluster=cluster, pid=MASTER * cluster, text="start", data=data)


def asked(log: EventLog, t: float, conn: int, path: str, cluster: int = 1) -> None:
    log.add("request", t=t, cluster=cluster, conn=conn, method="GET", path=path, end=t + 0.01,
            status=200)


def opened(log: EventLog, t: float, conn: int, closed: float | None = None) -> None:
    """A connection was opened; the client closes it at that moment, or never."""
    log.add("open", t=t, cluster=1, conn=conn)
    if closed is not None:
        log.add("close", t=closed, cluster=1, conn=conn, text="closed by the client")


def submitted(log: EventLog, t: float, task: str) -> None:
    """A task was submitted, and its answer gave this id."""
    log.add("request", t=t, cluster=1, conn=1, method="POST", path="/task", end=1.001, status=202,
            data={"taskId": task, "body": '{"n": 1}'})


def signalled(log: EventLog, t: float, name: str, to: str, pid: int = MASTER) -> None:
    log.add("signal", t=t, cluster=1, pid=pid, text=name, data={"to": to})
