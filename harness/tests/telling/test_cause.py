"""What was seen names the cause of a failure, whatever check it was that failed."""
from __future__ import annotations

import json
import signal
from typing import Any, Callable

import pytest

from harness.cluster.fixture import Fixture
from harness.judging.events import EventLog, Line
from harness.judging.evidence import Evidence
from harness.telling import cause


@pytest.mark.parametrize(("path", "status", "seen", "likely"), [
    ("/stats", 404, "GET /stats: 404 after 1 ms", "nothing is there to answer GET /stats"),
    ("/broadcast?message=hi", 404, "GET /broadcast?message=hi: 404 after 1 ms",
     "nothing is there to answer GET /broadcast"),
    ("/send/9", 404, "GET /send/9: 404 after 1 ms", ""),
    ("/task", 404, "GET /task: 404 after 1 ms", ""),
    ("/stats", 504, "GET /stats: 504 after 1 ms", ""),
    ("/stats", 404, "the sums are wrong", "")])
def test_a_path_that_is_not_there(path: str, status: int, seen: str, likely: str) -> None:
    log = EventLog()
    log.add("request", t=1.0, cluster=1, conn=1, method="GET", path=path, end=1.1, status=status)
    assert cause.told_by([], log, "GET /stats|GET /broadcast|POST /task", seen)[0] == likely


def told(fixture: Fixture, seen: str = "") -> tuple[str, str]:
    dying = cause.DYING_SECONDS if cause.connection_lost(seen) else 0.0
    return cause.told_by(fixture.evidence(dying), fixture.log, "", seen)


def test_a_master_that_has_died_of_itself(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("signal.signal(signal.SIGUSR2, lambda *_: os.abort())")
    cluster = fixture.start()
    assert told(fixture) == ("", "")
    cluster.signal(signal.SIGUSR2)
    cluster.wait_exit(5)
    assert told(fixture)[0].startswith(f"the master (pid {cluster.pid}) has died of SIGABRT: ")
    fixture.finish()


THROWS = """
def throw(*_):
    print(f"12:34:56.789 worker2[{os.getpid()}] ended by an exception: no luck",
          file=sys.stderr, flush=True)
    os._exit(1)
signal.signal(signal.SIGUSR2, throw)
"""


def test_an_exception_that_nobody_has_caught(make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture(THROWS)
    cluster = fixture.start()
    cluster.signal(signal.SIGUSR2)
    likely, _ = told(fixture, "GET /: connection closed without an answer")
    assert likely == f"worker2 (pid {cluster.pid}) has ended by an exception: no luck"
    fixture.finish()


@pytest.mark.parametrize(("ended", "likely"), [
    ({"signal": 11}, "worker 2 (pid 77) has died of SIGSEGV: "), ({"signal": 9}, ""),
    ({"status": 6}, ""), ({"signal": [11]}, "")], ids=str)
def test_a_worker_that_has_died_of_itself(make_fixture: Callable[[str], Fixture],
                                          ended: dict[str, Any], likely: str) -> None:
    fixture = make_fixture("")
    cluster = fixture.start()
    entry = {"t": 1.0, "role": "master", "worker": 0, "pid": cluster.pid, "event": "exit",
             "peer": 2, "child": 77, **ended}
    cluster.journal.write_text(json.dumps(entry) + "\n")
    found = told(fixture)[0]
    assert found.startswith(likely) and bool(found) == bool(likely)
    fixture.finish()


@pytest.mark.parametrize(("line", "exit_code", "likely"), [
    ("WARNING: ThreadSanitizer: data race (pid=7)", 66,
     "ThreadSanitizer has found a fault: data race"),
    ("==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x60", 1,
     "AddressSanitizer has found a fault: heap-use-after-free on address"),
    ("json.hpp:2143: Assertion `it != m_value.object->end()' failed.", -signal.SIGABRT,
     f"the master (pid 5) has died of SIGABRT: {cause.NO_KEY_MEANS}"),
    ("12:34:56.789 master[5] ended by an exception: map::at", 1,
     f"the master (pid 5) has ended by an exception: map::at ({cause.NO_ENTRY_MEANS})")])
def test_what_is_known_of_a_fault_is_said(line: str, exit_code: int, likely: str) -> None:
    evidence = Evidence(5, exit_code, [Line(1.0, line, error=True)], [])
    assert cause.told_by([evidence], EventLog(), "", "")[0].startswith(likely)
