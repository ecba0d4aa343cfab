"""What was done and seen becomes lanes, bars and arrows; the same as a trace."""
from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from harness.judging.events import EventLog
from harness.judging.verdict import Bound
from harness.picture.timeline import MOST, picture
from harness.picture.timeline_parts import Bar, Span, Timeline, halve
from harness.telling.perfetto_trace import trace

MASTER, ONE, TWO, NEXT = 100, 101, 102, 103


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


def request(log: EventLog, t: float, end: float | None, conn: int, status: int | None = 200, **more: Any) -> None:
    log.add("request", t=t, end=end, cluster=1, conn=conn, method="GET", path="/slow", status=status, **more)


def says(pid: int, t: float, event: str, **more: Any) -> dict[str, Any]:
    return {"t": t, "pid": pid, "worker": max(0, pid - MASTER) if pid != NEXT else 1, "event": event, **more}


def with_journal(log: EventLog, *entries: dict[str, Any]) -> None:
    log.journals[1] = [says(MASTER, 10.01, "spawn", child=ONE, peer=1), says(MASTER, 10.02, "spawn", child=TWO, peer=2),
                       says(ONE, 10.1, "ready"), says(TWO, 10.15, "ready"), *entries]


def names(timeline: Timeline) -> list[tuple[str, int | None]]:
    return [(lane.name, lane.pid) for lane in timeline.lanes]


def states(timeline: Timeline, pid: int) -> list[tuple[float, float, str]]:
    lane = [one.pid for one in timeline.lanes].index(pid)
    return [(span.start, span.end, span.state) for span in timeline.spans if span.lane == lane]


def rows(said: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [dict(zip(said[name]["keys"], row)) for row in said[name]["rows"]]


@pytest.fixture
def log() -> EventLog:
    found = EventLog()
    cluster(found)
    return found


def test_a_slots_processes_are_neighbours_and_live_as_the_journal_says(log: EventLog) -> None:
    with_journal(log, says(MASTER, 11.0, "exit", child=ONE, peer=1, signal=9), says(MASTER, 11.1, "spawn", child=NEXT, peer=1),
                 says(NEXT, 11.3, "ready"))
    log.add("death", t=11.0, cluster=1, pid=ONE)
    log.add("child", t=11.12, cluster=1, pid=NEXT)
    log.add("death", t=12.0, cluster=1, pid=MASTER)
    found = picture(log)
    assert names(found) == [("master", MASTER), ("worker 1", ONE), ("worker 1", NEXT), ("worker 2", TWO)]
    assert states(found, ONE) == [(10.01, 10.1, "starting"), (10.1, 11.0, "ready")]
    assert states(found, NEXT) == [(11.1, 11.3, "starting"), (11.3, 12.0, "ready")]
    assert found.lanes[1].fate == "SIGKILL" and [span.last for span in found.spans if span.lane == 1] == [False, True]


def test_without_a_journal_the_outside_must_do(log: EventLog) -> None:
    request(log, 10.3, 10.4, 1, worker=2, pid=TWO, data={"version": "1.0.0"})
    signal(log, 10.5, "SIGTERM", MASTER, "master")
    log.add("death", t=11.0, cluster=1, pid=MASTER)
    found = picture(log)
    assert names(found)[:3] == [("master", MASTER), ("worker 2", TWO), ("process", ONE)]
    assert states(found, MASTER) == [(10.0, 10.2, "starting"), (10.2, 10.5, "ready"), (10.5, 11.0, "draining")]
    assert states(found, TWO) == [(10.05, 10.2, "starting"), (10.2, 11.0, "ready")]
    assert {span.version for span in found.spans if span.lane == 1} == {"1.0.0"}


def test_a_stop_lies_over_the_state(log: EventLog) -> None:
    with_journal(log, says(ONE, 10.5, "recv", type="drain", peer="master"))
    signal(log, 10.3, "SIGSTOP", ONE, "worker 1")
    signal(log, 10.4, "SIGCONT", ONE, "worker 1")
    log.add("judged", t=11.0)
    assert states(picture(log), ONE) == [(10.01, 10.1, "starting"), (10.1, 10.3, "ready"), (10.3, 10.4, "stopped"),
                                         (10.4, 10.5, "ready"), (10.5, 11.0, "draining")]


def test_messages_are_joined_and_those_that_nobody_took_are_seen(log: EventLog) -> None:
    with_journal(log, says(ONE, 10.30, "send", type="request", peer="master", id="a", bytes=7),
                 says(MASTER, 10.32, "send", type="request", peer=2, id="a"), says(MASTER, 10.31, "recv", type="request", peer=1, id="a"),
                 says(TWO, 10.33, "recv", type="request", peer="master", id="a"), says(MASTER, 10.4, "send", type="drain", peer=1))
    log.add("judged", t=11.0)
    arrows = [(one.source, one.target, one.sent, one.received, one.what, one.id) for one in picture(log).arrows]
    assert sorted(arrows, key=lambda one: one[2]) == [(1, 0, 10.30, 10.31, "request, 7 bytes", "a"), (0, 2, 10.32, 10.33, "request", "a"),
                                                      (0, 1, 10.4, None, "drain", "")]


def test_requests_share_lanes_and_an_answer_after_the_verdict_is_none(log: EventLog) -> None:
    request(log, 10.3, 10.4, 1)
    request(log, 10.35, 10.36, 2, status=503)
    request(log, 10.5, 10.6, 3, status=None, text="connection refused")
    request(log, 10.5, 12.0, 4)
    log.add("judged", t=11.0)
    found = picture(log)
    assert names(found)[3:] == [("client 1", None), ("client 2", None)]
    assert [(bar.lane, bar.end, bar.outcome, bar.told) for bar in found.bars] == [
        (3, 10.4, "ok", "200"), (3, 10.6, "broken", "connection refused"), (4, 10.36, "error", "503"), (4, 11.0, "waiting", "no answer")]


def test_the_verdict_names_its_request_and_its_bound(log: EventLog) -> None:
    request(log, 10.3, 10.4, 1, data={"told": "GET /slow: 200 after 100 ms"})
    request(log, 10.3, 10.4, 2, data={"told": "GET /slow: 200 after 101 ms"})
    log.add("judged", t=11.0)
    found = picture(log, "GET /slow: 200 after 101 ms, after the signal", Bound(10.5, 10.7, 10.9, "the end"))
    assert [bar.blamed for bar in found.bars] == [False, True]
    said = found.as_json()
    assert said["bound"] == {"start": 500.0, "due": 700.0, "end": 900.0, "what": "the end"} and said["judged"] == 1000.0


def test_load_has_lanes_of_its_own_and_shows_which_was_dropped(log: EventLog) -> None:
    for t, client in ((10.3, "kept 10"), (10.3, "kept 2"), (10.4, "kept 2")):
        log.add("load", t=t, end=t + 0.01, cluster=1, method="GET", path="/", status=200, data={"client": client, "version": None})
    log.add("load", t=10.5, end=10.6, cluster=1, method="GET", path="/", text="connection reset", data={"client": "fresh 1", "version": None})
    log.add("request", t=10.5, end=10.6, cluster=1, method="GET", path="/", text="connection reset")
    log.add("judged", t=11.0)
    found = picture(log)
    assert [name for name, _ in names(found)[3:]] == ["load, fresh 1", "load, kept 2", "load, kept 10"]
    assert [(bar.outcome, bar.blamed) for bar in found.bars if bar.lane == 3] == [("broken", True)] and len(found.bars) == 4


def test_clusters_stand_apart(log: EventLog) -> None:
    cluster(log, 2, 10.5)
    signal(log, 10.9, "SIGTERM", MASTER, "master")
    found = picture(log)
    assert [lane.cluster for lane in found.lanes] == [1, 1, 1, 2, 2, 2] and found.lanes[3].pid == 200
    assert [(mark.cluster, mark.what, mark.lane) for mark in found.marks] == [(1, "SIGTERM → master", 0)]


@pytest.mark.parametrize("bad", [
    {}, {"t": "x"}, {"t": float("nan"), "pid": ONE, "worker": 1, "event": "ready"}, {"t": 10 ** 400, "pid": ONE, "worker": 1, "event": "ready"},
    says(ONE, 10.3, "exit", child=MASTER), says(ONE, 10.3, "send", peer=[1], type={"x": 1}), says(MASTER, 10.3, "spawn", child="x", peer=1),
    says(ONE, 10.3, "signal", signal=999), says(ONE, 10.3, "own", text="\ud800" * 100_000), says(ONE, 10.3, "recv", peer="master", type="never sent")])
def test_a_journal_is_not_trusted(log: EventLog, bad: dict[str, Any]) -> None:
    with_journal(log, bad)
    log.add("judged", t=11.0)
    found = picture(log)
    assert names(found) == [("master", MASTER), ("worker 1", ONE), ("worker 2", TWO)] and states(found, ONE)[0] == (10.01, 10.1, "starting")
    assert len(json.dumps(found.as_json())) < 5000


def test_a_picture_is_bounded_and_says_what_is_left_out(log: EventLog) -> None:
    for number in range(3 * MOST):
        request(log, 10.3 + number / 10_000, 10.3 + number / 10_000 + 0.00005, number, status=200 if number % 1000 else 500)
    for number in range(100):
        log.add("open", t=12.0, cluster=1, conn=100_000 + number)
        log.add("close", t=12.1, cluster=1, conn=100_000 + number)
    log.add("judged", t=13.0)
    found = picture(log)
    assert found.count() <= MOST + 10 and len(found.lanes) < 60
    assert sum(bar.outcome == "error" for bar in found.bars) == 15, "errors are what is looked for"
    assert found.left_out["bars"] + len(found.bars) + found.left_out["connections"] >= 3 * MOST


def test_halving_keeps_what_broke() -> None:
    bars = [Bar(0, float(number), number + 0.5, "broken" if number == 7 else "ok", "GET /", "") for number in range(100)]
    said = Timeline(0.0, 100.0, bars=bars, spans=[Span(0, 0.0, 100.0, "ready")]).as_json()
    halve(said)
    assert len(said["bars"]["rows"]) == 50 and sum(bar["outcome"] == "broken" for bar in rows(said, "bars")) == 1
    assert said["leftOut"] == {"bars": 50} and len(said["spans"]["rows"]) == 1, "states are kept"


def test_the_trace(log: EventLog) -> None:
    with_journal(log, says(MASTER, 10.4, "send", type="drain", peer=1, id="x"), says(ONE, 10.41, "recv", type="drain", peer="master", id="x"),
                 says(MASTER, 10.5, "send", type="lost", peer=1))
    request(log, 10.3, 10.4, 1)
    signal(log, 10.35, "SIGTERM", MASTER, "master")
    log.add("judged", t=11.0)
    check = {"title": "It ends", "timeline": picture(log).as_json()}
    again = {"title": "It ends again", "timeline": picture(log).as_json()}
    none = {"title": "It was skipped", "timeline": None}
    events = trace({"items": [{"checks": [check, none]}], "common": {"checks": [again]}})["traceEvents"]
    named = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert named == {1: "It ends", 5: "It ends again"}
    threads = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name" and event["pid"] == 1}
    assert threads == {1: "master (pid 100)", 2: "worker 1 (pid 101)", 3: "worker 2 (pid 102)", 4: "client 1"}
    mine = [event for event in events if event["pid"] == 1]
    (asked,) = (event for event in mine if event.get("cat") == "request")
    assert (asked["ph"], asked["ts"], asked["dur"], asked["tid"], asked["name"]) == ("X", 10_300_000, 100_000, 4, "GET /slow: 200")
    (sent,) = (event for event in mine if event.get("cat") == "signal")
    assert (sent["ph"], sent["ts"], sent["tid"]) == ("i", 10_350_000, 1)
    begin, end = (event for event in mine if event.get("cat") == "message")
    assert (begin["ph"], begin["ts"], begin["tid"], end["ph"], end["ts"], end["tid"]) == ("s", 10_400_000, 1, "f", 10_410_000, 2)
    assert begin["id"] == end["id"] and begin["args"] == {"id": "x"}
    assert len({event["id"] for event in events if "id" in event}) == 2, "the checks' messages are different ones"
    json.dumps(events)


def test_the_trace_keeps_the_rules_of_perfetto(log: EventLog) -> None:
    """It drops a slice that begins within another and ends behind it, and an end of a message that lies in none."""
    with_journal(log, says(ONE, 10.005, "send", type="ready", peer="master"), says(MASTER, 10.02, "recv", type="ready", peer=1))
    for number in range(2 * MOST):
        request(log, 10.3 + number / 10_000, 10.3 + number / 10_000 + 0.00003, number % 3)
    signal(log, 10.35, "SIGSTOP", ONE, "worker 1")
    said = {"title": "It ends", "timeline": picture(log).as_json()}
    events = trace({"items": [{"checks": [said, said]}], "common": {"checks": []}})["traceEvents"]
    lanes = {(event["pid"], event["tid"]) for event in events}
    assert len({tid for _, tid in lanes}) == len(lanes) and {pid for pid, _ in lanes} <= {tid for _, tid in lanes}
    for lane in lanes:
        slices = [event for event in events if event["ph"] == "X" and (event["pid"], event["tid"]) == lane]
        assert slices, "states are never left out"
        assert all(one["ts"] + one["dur"] <= two["ts"] for one, two in itertools.pairwise(slices))
        assert all(any(one["ts"] <= event["ts"] <= one["ts"] + one["dur"] for one in slices)
                   for event in events if event["ph"] in "sf" and (event["pid"], event["tid"]) == lane)
