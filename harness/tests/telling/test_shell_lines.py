"""What a shell does when somebody pastes the lines of a story."""
from __future__ import annotations

import socket
import struct
import subprocess
import uuid

import pytest

from harness.judging.events import EventLog
from harness.telling.story import lines
from harness.tests.telling.check_events import (
    MASTER, WORKER, asked, opened, signalled, started, submitted,
)


def at_port(listener: socket.socket, script: str) -> str:
    return script.replace("8000", str(listener.getsockname()[1]))


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
        script = at_port(listener, f"{first}\n{second}\nexec {{c1_4}}>&-")
        with subprocess.Popen(["bash", "-c", script], stdout=subprocess.DEVNULL) as bash:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                wanted = (b"GET /a?b=%41' HTTP/1.1\r\nHost: x\r\n\r\n"
                          b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
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
    loop = "for i in $(seq 40); do curl -sSi http://127.0.0.1:8000/ & sleep 0.03; done"
    assert lines(log)[0].startswith(loop)


def test_a_connection_that_is_closed_ends_no_shell() -> None:
    """SIGPIPE would: a terminal closes, and the master is left behind."""
    log = EventLog()
    asked(log, 1.0, 4, "/a")
    asked(log, 1.1, 4, "/b")
    first, second = lines(log)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = f"{first}\nsleep 0.2\n{second}\n{second}\n{second}\necho alive"
        with subprocess.Popen(["bash", "-c", at_port(listener, script)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as bash:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            assert bash.communicate(timeout=10)[0].endswith("alive\n")


def expect_idle(script: str, wanted: list[bytes]) -> None:
    """Pasted into bash the lines open as many connections, on which just these bytes come, and
    which end with the shell."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        with subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, text=True) as bash:
            assert bash.stdin is not None
            bash.stdin.write(at_port(listener, script) + "\n")
            bash.stdin.flush()
            for data in wanted:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    assert b"".join(connection.recv(1) for _ in data) == data
                    connection.settimeout(0.1)
                    with pytest.raises(TimeoutError):
                        connection.recv(1)
            bash.stdin.close()
            assert bash.wait(10) == 0


def test_an_idle_connection_is_opened_and_stays_open() -> None:
    log = EventLog()
    for number in range(3):
        opened(log, 1.0 + number / 1000, number)
    (line,) = lines(log)
    assert line.startswith("for i in $(seq 3); do exec {c}<>/dev/tcp/127.0.0.1/8000; done   #")
    assert "connection 2, which stays idle" in line
    expect_idle(line, [b""] * 3)


def test_a_connection_that_is_idle_at_a_signal_is_no_curl() -> None:
    """curl would close it. One that was closed before, or has no answer yet, stays a curl."""
    log = EventLog()
    started(log)
    for conn, closed in ((1, None), (2, 1.3)):
        opened(log, 1.1, conn, closed)
        asked(log, 1.2, conn, f"/{conn}")
    opened(log, 1.3, 3)
    log.add("request", t=1.3, cluster=1, conn=3, method="GET", path="/3", end=5.0, status=200)
    signalled(log, 1.35, "SIGTERM", "master")
    _, idle, closed_one, under_way, *_ = [one for one in lines(log) if not one.startswith("sleep")]
    assert "idle from then on" in idle
    assert closed_one.startswith("curl -sSi http://127.0.0.1:8000/2 &")
    assert under_way.startswith("curl -sSi http://127.0.0.1:8000/3 &")
    expect_idle(idle, [b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"])


def test_bytes_that_were_sent_name_the_port_of_the_lines() -> None:
    log = EventLog()
    port = "127.0.0.1:41813"
    sent = f"GET / HTTP/1.1\r\nX: {port}\r\nHost: {port}\r\nX-Half: {port}"
    log.add("raw", t=1.0, cluster=1, conn=1, method="GET", path="/", data={"bytes": sent})
    (line,) = lines(log)
    assert line.count("41813") == 2 and "\\r\\nHost: 127.0.0.1:8000\\r\\nX-Half" in line


def test_a_task_that_is_asked_for_later_has_a_name() -> None:
    """A pasted submission gets another id."""
    log = EventLog()
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for number, task in enumerate(ids):
        submitted(log, 1.0 + number / 100, task)
    asked(log, 1.1, 1, f"/task/{ids[1]}")
    asked(log, 1.2, 1, f"/task/{ids[1]}")
    unnamed, named, twice = lines(log)
    assert unnamed.startswith("curl -sSi -X POST -d '{\"n\": 1}' http://127.0.0.1:8000/task &")
    loop = "for i in $(seq 2); do curl -sSi http://127.0.0.1:8000/task/${t1}; sleep 0.10; done"
    assert twice.startswith(loop)
    curl = f"curl() {{ echo '{{\"status\":\"queued\",\"taskId\":\"{ids[0]}\"}}'; }}"
    done = subprocess.run(["bash", "-c", f"{curl}\n{named}\necho again $t1"],
                          capture_output=True, text=True, check=True)
    assert done.stdout == f"{ids[0]}\nagain {ids[0]}\n"


def many_tasks(log: EventLog, count: int) -> None:
    for number in range(count):
        submitted(log, 1.0 + number / 1000, f"{number:036}")
    for number in range(count):
        asked(log, 2.0 + number / 1000, 1, f"/task/{number:036}")


def test_of_many_tasks_none_has_a_name() -> None:
    log = EventLog()
    many_tasks(log, 24)
    submissions, looks = lines(log)
    assert submissions.startswith("for i in $(seq 24); do curl -sSi -X POST")
    assert looks.startswith("# GET of one of these tasks   #")


def test_an_id_with_something_behind_it_is_another() -> None:
    log = EventLog()
    many_tasks(log, 1)
    asked(log, 3.0, 1, f"/task/{0:036}0")
    assert f"/task/{0:036}0 &" in lines(log)[-1]


def test_an_answer_that_was_cut_is_no_answer() -> None:
    log = EventLog()
    log.add("request", t=1.0, cluster=1, conn=1, method="GET", path="/", end=1.3, status=200,
            text="cut in the middle of the answer")
    (line,) = lines(log)
    assert "cut in the middle of the answer after 300 ms" in line and " 200 " not in line


@pytest.mark.parametrize("body", ["\ufffd\ufffd{}", "[[[[[…", "a\x00b"])
def test_a_body_that_no_line_can_show_is_no_line(body: str) -> None:
    log = EventLog()
    log.add("request", t=1.0, cluster=1, conn=1, method="POST", path="/task", end=1.1, status=400,
            data={"body": body})
    assert lines(log)[0].startswith("# POST /task with a body that no line can show: ")


@pytest.mark.parametrize(("host", "address"), [
    ("::1", "[::1]"), ("localhost", "localhost"), (None, "127.0.0.1")], ids=str)
def test_a_request_goes_to_the_host_that_was_set(host: str | None, address: str) -> None:
    log = EventLog()
    started(log, settings={"HOST": host} if host else {}, program="ex1")
    asked(log, 1.5, 1, "/fast")
    curl = f"curl -sSi http://{address}:8000/fast &"
    assert any(line.replace("'", "").startswith(curl) for line in lines(log))


def test_a_port_that_is_taken_is_taken_again() -> None:
    log = EventLog()
    for number, wanted in ((1, "0"), (2, "43743")):
        started(log, number, number, settings={"PORT": wanted}, program="ex5")
    log.add("ready", t=1.5, cluster=1, pid=MASTER,
            text="ready url=http://127.0.0.1:43743 workers=4 pid=100")
    starts = [line for line in lines(log) if "ex5" in line]
    assert [line.split()[0] for line in starts] == ["PORT=8000", "PORT=8000"]


@pytest.mark.parametrize(("to", "chosen"), [
    ("the new worker", "pgrep -n -P $master"), ("a worker", "pgrep -P $master | shuf -n 1")])
def test_nobody_elses_process_is_killed(to: str, chosen: str) -> None:
    """When a line is pasted, a pid of the grading may be somebody's."""
    log = EventLog()
    started(log)
    signalled(log, 1.1, "SIGKILL", to, WORKER)
    assert lines(log)[-1].startswith(f"kill -KILL $({chosen})   #")
