"""What was done, as a person reads it."""
from __future__ import annotations

import socket
import struct
import subprocess
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
    assert said[1:] == [shown, 'wait $master; echo "exit code $?"']


def asked(log: EventLog, t: float, conn: int, path: str, cluster: int = 1) -> None:
    log.add("request", t=t, cluster=cluster, conn=conn, method="GET", path=path, end=t + 0.01, status=200)


def test_requests_on_one_connection_are_sent_on_one_connection() -> None:
    """The lines do what was done: pasted into bash, both requests arrive on the same connection."""
    log = EventLog()
    asked(log, 1.0, 4, "/a?b=%41'")
    asked(log, 1.1, 5, "/once")
    asked(log, 1.2, 4, "/c")
    first, once, second = lines(log)
    assert once.startswith("curl -sSi http://127.0.0.1:8000/once &")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        script = f"{first}\n{second}\nexec {{c1_4}}>&-".replace("8000", str(listener.getsockname()[1]))
        with subprocess.Popen(["bash", "-c", script], stdout=subprocess.DEVNULL) as bash:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                wanted = b"GET /a?b=%41' HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n"
                seen = b""
                while len(seen) < len(wanted) and (more := connection.recv(1000)):
                    seen += more
            assert bash.wait(10) == 0
        assert seen == wanted


def test_of_many_connections_each_request_is_a_curl() -> None:
    log = EventLog()
    for turn in range(2):
        for conn in range(20):
            asked(log, 1.0 + turn + conn / 100, conn, "/")
    assert lines(log)[0].startswith("for i in $(seq 40); do curl -sSi http://127.0.0.1:8000/ & sleep 0.03; done")


def test_what_was_done_several_times_is_done_as_often() -> None:
    log = EventLog()
    log.add("note", t=1.0, cluster=1, pid=MASTER, text="start")
    for t in (1.1, 1.4):
        log.add("signal", t=t, cluster=1, pid=MASTER, text="SIGTERM", data={"to": "master"})
    log.add("signal", t=1.5, cluster=1, pid=WORKER, text="SIGKILL", data={"to": "worker 2"})
    start, twice, worker = lines(log)
    assert twice.startswith("for i in $(seq 2); do kill -TERM $master; sleep 0.30; done   #")
    assert worker.startswith("kill -KILL $(pgrep -P $master | sed -n -e 2p)   #") and "here pid 101" in worker


def test_a_connection_that_is_closed_ends_no_shell() -> None:
    """SIGPIPE would: a terminal closes, and the master is left behind."""
    log = EventLog()
    asked(log, 1.0, 4, "/a")
    asked(log, 1.1, 4, "/b")
    first, second = lines(log)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = f"{first}\nsleep 0.2\n{second}\n{second}\n{second}\necho alive".replace("8000", str(listener.getsockname()[1]))
        with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as bash:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            assert bash.communicate(timeout=10)[0].endswith("alive\n")


def test_workers_that_are_killed_at_once_are_killed_by_one_command() -> None:
    """Else the first one's successor may be counted when the second is looked up."""
    log = EventLog()
    log.add("note", t=1.0, cluster=1, pid=MASTER, text="start")
    for number in (1, 2, 4):
        log.add("signal", t=1.5 + number / 1000, cluster=1, pid=MASTER + number, text="SIGKILL", data={"to": f"worker {number}"})
    log.add("signal", t=2.5, cluster=1, pid=MASTER + 3, text="SIGKILL", data={"to": "worker 3"})
    said = [line.partition("   #")[0] for line in lines(log)][1:]
    assert said == ["sleep 0.5", "kill -KILL $(pgrep -P $master | sed -n -e 1p -e 2p -e 4p)", "sleep 1.0",
                    "kill -KILL $(pgrep -P $master | sed -n -e 3p)"]


def test_a_comment_takes_no_time() -> None:
    log = EventLog()
    asked(log, 2.0, 4, "/a")
    log.add("death", t=5.0, cluster=1, pid=WORKER)
    log.add("signal", t=5.1, cluster=1, pid=MASTER, text="SIGTERM", data={"to": "master"})
    assert [line.split()[0] for line in lines(log)] == ["curl", "#", "sleep", "kill"]


@pytest.mark.parametrize("ended", [True, False])
def test_what_still_ran_at_the_verdict_is_ended(ended: bool) -> None:
    """Or the next lines that are pasted find the port taken."""
    log = EventLog()
    for number in (1, 2):
        log.add("note", t=1.0, cluster=number, pid=MASTER * number, text="start")
    log.add("death", t=2.0, cluster=1, pid=MASTER)
    if ended:
        log.add("death", t=2.0, cluster=2, pid=2 * MASTER)
    log.add("judged", t=4.0)
    last = lines(log)[-1]
    assert last.startswith("wait $master2;") if ended else last == "kill -KILL $master2   #   3.00 s  the verdict; it was still there"


def test_bytes_that_were_sent_name_the_port_of_the_lines() -> None:
    log = EventLog()
    sent = "GET / HTTP/1.1\r\nX: 127.0.0.1:41813\r\nHost: 127.0.0.1:41813\r\nX-Half: 127.0.0.1:41813"
    log.add("raw", t=1.0, cluster=1, conn=1, method="GET", path="/", data={"bytes": sent})
    (line,) = lines(log)
    assert line.count("41813") == 2 and "\\r\\nHost: 127.0.0.1:8000\\r\\nX-Half" in line
