"""What was seen names the cause of a failure, whatever check it was that failed."""
from __future__ import annotations

import json
import signal
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from grading import cause
from grading.events import EventLog
from grading.lab import Lab


@pytest.mark.parametrize(("path", "status", "seen", "likely"), [
    ("/stats", 404, "GET /stats: 404 after 1 ms", "nothing is there to answer GET /stats"),
    ("/broadcast?message=hi", 404, "GET /broadcast?message=hi: 404 after 1 ms", "nothing is there to answer GET /broadcast"),
    ("/send/9", 404, "GET /send/9: 404 after 1 ms", ""),
    ("/task", 404, "GET /task: 404 after 1 ms", ""),
    ("/stats", 504, "GET /stats: 504 after 1 ms", ""),
    ("/stats", 404, "the sums are wrong", "")])
def test_a_path_that_is_not_there(path: str, status: int, seen: str, likely: str) -> None:
    log = EventLog()
    log.add("request", t=1.0, cluster=1, conn=1, method="GET", path=path, end=1.1, status=status)
    lab: Any = SimpleNamespace(clusters=[], log=log, exercise=SimpleNamespace(endpoints="GET /stats|GET /broadcast|POST /task"))
    assert cause.told_by(lab, seen)[0] == likely


def test_a_master_that_has_died_of_itself(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab("signal.signal(signal.SIGUSR2, lambda *_: os.abort())")
    cluster = lab.start()
    assert cause.told_by(lab, "") == ("", "")
    cluster.signal(signal.SIGUSR2)
    cluster.wait_exit(5)
    assert cause.told_by(lab, "")[0].startswith(f"the master (pid {cluster.pid}) has died of SIGABRT: ")
    lab.finish()


THROWS = """
def throw(*_):
    print(f"12:34:56.789 worker2[{os.getpid()}] ended by an exception: no luck", file=sys.stderr, flush=True)
    os._exit(1)
signal.signal(signal.SIGUSR2, throw)
"""


def test_an_exception_that_nobody_has_caught(make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(THROWS)
    cluster = lab.start()
    cluster.signal(signal.SIGUSR2)
    assert cause.told_by(lab, "GET /: connection closed without an answer")[0] == f"worker2 (pid {cluster.pid}) has ended by an exception: no luck"
    lab.finish()


@pytest.mark.parametrize(("ended", "likely"), [
    ({"signal": 11}, "worker 2 (pid 77) has died of SIGSEGV: "), ({"signal": 9}, ""), ({"status": 6}, ""), ({"signal": [11]}, "")], ids=str)
def test_a_worker_that_has_died_of_itself(make_lab: Callable[[str], Lab], ended: dict[str, Any], likely: str) -> None:
    lab = make_lab("")
    cluster = lab.start()
    entry = {"t": 1.0, "role": "master", "worker": 0, "pid": cluster.pid, "event": "exit", "peer": 2, "child": 77, **ended}
    cluster.journal.write_text(json.dumps(entry) + "\n")
    found = cause.told_by(lab, "")[0]
    assert found.startswith(likely) and bool(found) == bool(likely)
    lab.finish()
