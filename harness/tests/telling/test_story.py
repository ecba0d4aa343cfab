"""What was done, as a person reads it."""
from __future__ import annotations

import socket
import struct
import subprocess
import uuid
from typing import Any

import pytest

from harness.judging.events import EventLog
from harness.telling.story import lines

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


def test_a_task_that_is_asked_for_later_has_a_name() -> None:
    """A pasted submission gets another id."""
    log = EventLog()
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for number, task in enumerate(ids):
        log.add("request", t=1.0 + number / 100, cluster=1, conn=1, method="POST", path="/task", end=1.001, status=202,
                data={"taskId": task, "body": '{"n": 1}'})
    asked(log, 1.1, 1, f"/task/{ids[1]}")
    asked(log, 1.2, 1, f"/task/{ids[1]}")
    unnamed, named, twice = lines(log)
    assert unnamed.startswith("curl -sSi -X POST -d '{\"n\": 1}' http://127.0.0.1:8000/task &")
    assert twice.startswith("for i in $(seq 2); do curl -sSi http://127.0.0.1:8000/task/${t1} &")
    curl = f"curl() {{ echo '{{\"status\":\"queued\",\"taskId\":\"{ids[0]}\"}}'; }}"
    done = subprocess.run(["bash", "-c", f"{curl}\n{named}\necho again $t1"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{ids[0]}\nagain {ids[0]}\n"


def many_tasks(log: EventLog, count: int) -> None:
    for number in range(count):
        log.add("request", t=1.0 + number / 1000, cluster=1, conn=1, method="POST", path="/task", end=1.001, status=202,
                data={"taskId": f"{number:036}", "body": '{"n": 1}'})
    for number in range(count):
        asked(log, 2.0 + number / 1000, 1, f"/task/{number:036}")


def test_of_many_tasks_none_has_a_name() -> None:
    log = EventLog()
    many_tasks(log, 24)
    submitted, looked = lines(log)
    assert submitted.startswith("for i in $(seq 24); do curl -sSi -X POST") and looked.startswith("# GET of one of these tasks   #")


def test_an_id_with_something_behind_it_is_another() -> None:
    log = EventLog()
    many_tasks(log, 1)
    asked(log, 3.0, 1, f"/task/{0:036}0")
    assert f"/task/{0:036}0 &" in lines(log)[-1]


def test_what_is_left_out_gives_nothing_a_name() -> None:
    log = EventLog()
    for number in (1, 2):
        log.add("note", t=number, cluster=number, pid=MASTER * number, text="start", data={"program": "ex5"})
        for turn in range(40):
            asked(log, number + turn / 100, turn, f"/{turn}", number)
    log.add("judged", t=4.0)
    shown = lines(log)
    assert sum("& master1=$!" in line for line in shown) == sum("& master2=$!" in line for line in shown) == 1
    assert shown[-1].startswith("kill -KILL $master2") and any("more steps" in line for line in shown) and len(shown) < 45


def test_what_a_program_says_is_no_line_of_its_own() -> None:
    """Whoever grades somebody's program may paste what it made of its log."""
    log = EventLog()
    log.add("note", t=1.0, cluster=1, pid=MASTER, text="start")
    log.add("child", t=1.1, cluster=1, pid=WORKER)
    log.add("death", t=2.0, cluster=1, pid=WORKER)
    log.add("death", t=2.1, cluster=1, pid=MASTER)
    entry = {"t": 1.02, "pid": MASTER, "worker": 0, "peer": 2, "child": WORKER}
    log.journals[1] = [{**entry, "event": "spawn"}, {**entry, "t": 2.0, "event": "exit", "status": 1, "name": "SIGKILL\ntouch /tmp/x\n#"}]
    asked(log, 1.5, 1, "/a\ntouch /tmp/y")
    assert not any(line.startswith("touch") for told in lines(log) for line in told.splitlines())


def test_an_answer_that_was_cut_is_no_answer() -> None:
    log = EventLog()
    log.add("request", t=1.0, cluster=1, conn=1, method="GET", path="/", end=1.3, status=200, text="cut in the middle of the answer")
    assert "cut in the middle of the answer after 300 ms" in lines(log)[0] and " 200 " not in lines(log)[0]


@pytest.mark.parametrize("body", ["\ufffd\ufffd{}", "[[[[[…", "a\x00b"])
def test_a_body_that_no_line_can_show_is_no_line(body: str) -> None:
    log = EventLog()
    log.add("request", t=1.0, cluster=1, conn=1, method="POST", path="/task", end=1.1, status=400, data={"body": body})
    assert lines(log)[0].startswith("# POST /task with a body that no line can show: ")


@pytest.mark.parametrize(("host", "address"), [("::1", "[::1]"), ("localhost", "localhost"), (None, "127.0.0.1")], ids=str)
def test_a_request_goes_to_the_host_that_was_set(host: str | None, address: str) -> None:
    log = EventLog()
    log.add("note", t=1.0, cluster=1, pid=MASTER, text="start", data={"settings": {"HOST": host} if host else {}, "program": "ex1"})
    asked(log, 1.5, 1, "/fast")
    assert any(line.replace("'", "").startswith(f"curl -sSi http://{address}:8000/fast &") for line in lines(log))


def test_a_port_that_is_taken_is_taken_again() -> None:
    log = EventLog()
    for number, wanted in ((1, "0"), (2, "43743")):
        log.add("note", t=number, cluster=number, pid=MASTER * number, text="start", data={"settings": {"PORT": wanted}, "program": "ex5"})
    log.add("ready", t=1.5, cluster=1, pid=MASTER, text="ready url=http://127.0.0.1:43743 workers=4 pid=100")
    assert [line.split()[0] for line in lines(log) if "ex5" in line] == ["PORT=8000", "PORT=8000"]


@pytest.mark.parametrize(("to", "chosen"), [("the new worker", "pgrep -n -P $master"), ("a worker", "pgrep -P $master | shuf -n 1")])
def test_nobody_elses_process_is_killed(to: str, chosen: str) -> None:
    """When a line is pasted, a pid of the grading may be somebody's."""
    log = EventLog()
    log.add("note", t=1.0, cluster=1, pid=MASTER, text="start")
    log.add("signal", t=1.1, cluster=1, pid=WORKER, text="SIGKILL", data={"to": to})
    assert lines(log)[-1].startswith(f"kill -KILL $({chosen})   #")
