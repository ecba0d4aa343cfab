"""The story of a check: steps are joined and paced, and the verdict ends it."""
from __future__ import annotations

from typing import Any

import pytest

from harness.judging.events import EventLog
from harness.telling.story import lines
from harness.tests.telling.check_events import MASTER, WORKER, asked, signalled, started


def steps(log: EventLog) -> list[str]:
    """The lines without their outcomes."""
    return [line.partition("   #")[0] for line in lines(log)]


def a_worker_ends(log: EventLog, exit_entry: dict[str, Any] | None) -> None:
    """`exit_entry`: what the journal says of it beside the worker's pid and slot, if anything."""
    started(log, 10.0)
    log.add("child", t=10.1, cluster=1, pid=WORKER)
    log.add("death", t=11.0, cluster=1, pid=WORKER)
    log.add("death", t=11.1, cluster=1, pid=MASTER)
    if exit_entry is not None:
        entry = {"t": 10.02, "pid": MASTER, "worker": 0, "peer": 2, "child": WORKER}
        log.journals[1] = [{**entry, "event": "spawn"},
                           {**entry, "t": 11.0, "event": "exit", **exit_entry}]


@pytest.mark.parametrize(("exit_entry", "line"), [
    ({"status": 0}, "# worker 2 (pid 101) ended: exit code 0"),
    ({"signal": 9}, "# worker 2 (pid 101) ended: killed by SIGKILL"),
    ({"status": "x\ny"}, "# pid 101 is gone"),
    ({"child": MASTER, "status": 0}, "# pid 101 is gone"),
    (None, "# pid 101 is gone")], ids=str)
def test_how_a_worker_ended_is_said_where_the_journal_tells_it(exit_entry: dict[str, Any] | None,
                                                               line: str) -> None:
    log = EventLog()
    a_worker_ends(log, exit_entry)
    assert steps(log)[1:] == [line, 'wait $master; echo "exit code $?"']


def test_what_was_done_several_times_is_done_as_often() -> None:
    log = EventLog()
    started(log)
    for t in (1.1, 1.4):
        signalled(log, t, "SIGTERM", "master")
    signalled(log, 1.5, "SIGKILL", "worker 2", WORKER)
    _, twice, worker = lines(log)
    assert twice.startswith("for i in $(seq 2); do kill -TERM $master; sleep 0.30; done   #")
    assert worker.startswith("kill -KILL $(pgrep -P $master | sed -n -e 2p)   #")
    assert "here pid 101" in worker


@pytest.mark.parametrize("count, turns, told", [(3, 3, ""), (5_000, 200, " (5000 times)")])
@pytest.mark.parametrize("between, line", [
    (0.001, "curl -sSi http://127.0.0.1:8000/ & done"),
    (0.015, "curl -sSi http://127.0.0.1:8000/; done")], ids=["at once", "one by one"])
def test_a_loop_asks_again_as_the_check_did(between: float, line: str, count: int, turns: int,
                                            told: str) -> None:
    """At once or one by one; and nobody's shell starts thousands of processes."""
    log = EventLog()
    for number in range(count):
        asked(log, 1.0 + number * between, number, "/")
    (loop,) = lines(log)
    assert loop.startswith(f"for i in $(seq {turns}); do {line}   #") and loop.endswith(")" + told)


def test_workers_that_are_killed_at_once_are_killed_by_one_command() -> None:
    """Else the first one's successor may be counted when the second is looked up."""
    log = EventLog()
    started(log)
    for number in (1, 2, 4):
        signalled(log, 1.5 + number / 1000, "SIGKILL", f"worker {number}", MASTER + number)
    signalled(log, 2.5, "SIGKILL", "worker 3", MASTER + 3)
    assert steps(log)[1:] == [
        "sleep 0.5", "kill -KILL $(pgrep -P $master | sed -n -e 1p -e 2p -e 4p)",
        "sleep 1.0", "kill -KILL $(pgrep -P $master | sed -n -e 3p)"]


def test_a_comment_takes_no_time() -> None:
    log = EventLog()
    asked(log, 2.0, 4, "/a")
    log.add("death", t=5.0, cluster=1, pid=WORKER)
    signalled(log, 5.1, "SIGTERM", "master")
    assert [line.split()[0] for line in lines(log)] == ["curl", "#", "sleep", "kill"]


@pytest.mark.parametrize("ended", [True, False])
def test_what_still_ran_at_the_verdict_is_ended(ended: bool) -> None:
    """Or the next lines that are pasted find the port taken."""
    log = EventLog()
    for number in (1, 2):
        started(log, cluster=number)
    log.add("death", t=2.0, cluster=1, pid=MASTER)
    if ended:
        log.add("death", t=2.0, cluster=2, pid=2 * MASTER)
    log.add("judged", t=4.0)
    last = lines(log)[-1]
    if ended:
        assert last.startswith("wait $master2;")
    else:
        assert last == "kill -KILL $master2   #   3.00 s  the verdict; it was still there"


def test_what_is_left_out_gives_nothing_a_name() -> None:
    log = EventLog()
    for number in (1, 2):
        started(log, number, number, program="ex5")
        for turn in range(40):
            asked(log, number + turn / 100, turn, f"/{turn}", number)
    log.add("judged", t=4.0)
    told = lines(log)
    for name in ("master1", "master2"):
        assert sum(f"& {name}=$!" in line for line in told) == 1
    assert told[-1].startswith("kill -KILL $master2")
    assert any("more steps" in line for line in told) and len(told) < 45


def test_what_a_program_says_is_no_line_of_its_own() -> None:
    """Someone who grades another's program may paste lines that were made out of its log."""
    log = EventLog()
    a_worker_ends(log, {"status": 1, "name": "SIGKILL\ntouch /tmp/x\n#"})
    asked(log, 10.5, 1, "/a\ntouch /tmp/y")
    assert not any(line.startswith("touch") for told in lines(log) for line in told.splitlines())
