"""What was done, as a person reads it."""
from __future__ import annotations

from typing import Any

import pytest

from grading.events import EventLog
from grading.story import lines

MASTER, WORKER = 100, 101


@pytest.mark.parametrize(("told", "shown"), [
    ({"status": 0}, "# worker 2 (pid 101) ended: exit code 0"), ({"signal": 9}, "# worker 2 (pid 101) ended: killed by SIGKILL"),
    ({"status": "x\ny"}, "# pid 101 is gone"), ({"child": MASTER, "status": 0}, "# pid 101 is gone"), (None, "# pid 101 is gone")], ids=str)
def test_how_a_worker_ended_is_said_where_the_journal_tells_it(told: dict[str, Any] | None, shown: str) -> None:
    log = EventLog()
    log.add("note", t=10.0, cluster=1, pid=MASTER, text="start")
    log.add("child", t=10.1, cluster=1, pid=WORKER)
    log.add("death", t=11.0, cluster=1, pid=WORKER)
    log.add("death", t=11.1, cluster=1, pid=MASTER)
    if told is not None:
        entry = {"t": 10.02, "pid": MASTER, "worker": 0, "peer": 2, "child": WORKER}
        log.journals[1] = [{**entry, "event": "spawn"}, {**entry, "t": 11.0, "event": "exit", **told}]
    said = [line.partition("   #")[0] for line in lines(log)]
    assert said[1:] == [shown, "# the master is gone"]
