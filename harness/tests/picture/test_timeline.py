"""The events of a check and the journals of its clusters become lanes, bars and arrows."""
from __future__ import annotations

import json
from typing import Any

import pytest

from harness.judging.events import EventLog
from harness.judging.verdict import Bound
from harness.picture.timeline import MOST, picture
from harness.picture.timeline_parts import Bar, Span, Timeline, halve
from harness.tests.picture.cluster_events import (
    MASTER, NEXT, ONE, TWO, cluster, log_of_cluster, request, says, signal, with_journal,
)


def names(timeline: Timeline) -> list[tuple[str, int | None]]:
    return [(lane.name, lane.pid) for lane in timeline.lanes]


def states(timeline: Timeline, pid: int) -> list[tuple[float, float, str]]:
    lane = [one.pid for one in timeline.lanes].index(pid)
    return [(span.start, span.end, span.state) for span in timeline.spans if span.lane == lane]


@pytest.fixture
def log() -> EventLog:
    return log_of_cluster()


def test_a_slots_processes_are_neighbours_and_live_as_the_journal_says(log: EventLog) -> None:
    with_journal(log, says(MASTER, 11.0, "exit", child=ONE, peer=1, signal=9),
                 says(MASTER, 11.1, "spawn", child=NEXT, peer=1), says(NEXT, 11.3, "ready"))
    log.add("death", t=11.0, cluster=1, pid=ONE)
    log.add("child", t=11.12, cluster=1, pid=NEXT)
    log.add("death", t=12.0, cluster=1, pid=MASTER)
    found = picture(log)
    assert names(found) == [("master", MASTER), ("worker 1", ONE), ("worker 1", NEXT),
                            ("worker 2", TWO)]
    assert states(found, ONE) == [(10.01, 10.1, "starting"), (10.1, 11.0, "ready")]
    assert states(found, NEXT) == [(11.1, 11.3, "starting"), (11.3, 12.0, "ready")]
    assert found.lanes[1].fate == "SIGKILL"
    assert [span.last for span in found.spans if span.lane == 1] == [False, True]


def test_without_a_journal_the_outside_must_do(log: EventLog) -> None:
    request(log, 10.3, 10.4, 1, worker=2, pid=TWO, data={"version": "1.0.0"})
    signal(log, 10.5, "SIGTERM", MASTER, "master")
    log.add("death", t=11.0, cluster=1, pid=MASTER)
    found = picture(log)
    assert names(found)[:3] == [("master", MASTER), ("worker 2", TWO), ("process", ONE)]
    assert states(found, MASTER) == [(10.0, 10.2, "starting"), (10.2, 10.5, "ready"),
                                     (10.5, 11.0, "draining")]
    assert states(found, TWO) == [(10.05, 10.2, "starting"), (10.2, 11.0, "ready")]
    assert {span.version for span in found.spans if span.lane == 1} == {"1.0.0"}


def test_a_stop_lies_over_the_state(log: EventLog) -> None:
    with_journal(log, says(ONE, 10.5, "recv", type="drain", peer="master"))
    signal(log, 10.3, "SIGSTOP", ONE, "worker 1")
    signal(log, 10.4, "SIGCONT", ONE, "worker 1")
    log.add("judged", t=11.0)
    assert states(picture(log), ONE) == [
        (10.01, 10.1, "starting"), (10.1, 10.3, "ready"), (10.3, 10.4, "stopped"),
        (10.4, 10.5, "ready"), (10.5, 11.0, "draining")]


def test_messages_are_joined_and_those_that_nobody_took_are_seen(log: EventLog) -> None:
    with_journal(log, says(ONE, 10.30, "send", type="request", peer="master", id="a", bytes=7),
                 says(MASTER, 10.32, "send", type="request", peer=2, id="a"),
                 says(MASTER, 10.31, "recv", type="request", peer=1, id="a"),
                 says(TWO, 10.33, "recv", type="request", peer="master", id="a"),
                 says(MASTER, 10.4, "send", type="drain", peer=1))
    log.add("judged", t=11.0)
    arrows = [(one.source, one.target, one.sent, one.received, one.what, one.id)
              for one in picture(log).arrows]
    assert sorted(arrows, key=lambda one: one[2]) == [
        (1, 0, 10.30, 10.31, "request, 7 bytes", "a"), (0, 2, 10.32, 10.33, "request", "a"),
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
        (3, 10.4, "ok", "200"), (3, 10.6, "broken", "connection refused"),
        (4, 10.36, "error", "503"), (4, 11.0, "waiting", "no answer")]


def test_the_verdict_names_its_request_and_its_bound(log: EventLog) -> None:
    request(log, 10.3, 10.4, 1, data={"told": "GET /slow: 200 after 100 ms"})
    request(log, 10.3, 10.4, 2, data={"told": "GET /slow: 200 after 101 ms"})
    log.add("judged", t=11.0)
    seen = "GET /slow: 200 after 101 ms, after the signal"
    found = picture(log, seen, Bound(10.5, 10.7, 10.9, "the end"))
    assert [bar.blamed for bar in found.bars] == [False, True]
    said = found.as_json()
    assert said["bound"] == {"start": 500.0, "due": 700.0, "end": 900.0, "what": "the end"}
    assert said["judged"] == 1000.0


def test_load_has_lanes_of_its_own_and_shows_which_was_dropped(log: EventLog) -> None:
    for t, client in ((10.3, "kept 10"), (10.3, "kept 2"), (10.4, "kept 2")):
        log.add("load", t=t, end=t + 0.01, cluster=1, method="GET", path="/", status=200,
                data={"client": client, "version": None})
    dropped: dict[str, Any] = {"cluster": 1, "method": "GET", "path": "/",
                               "text": "connection reset"}
    log.add("load", t=10.5, end=10.6, data={"client": "fresh 1", "version": None}, **dropped)
    log.add("request", t=10.5, end=10.6, **dropped)
    log.add("judged", t=11.0)
    found = picture(log)
    assert [name for name, _ in names(found)[3:]] == ["load, fresh 1", "load, kept 2",
                                                      "load, kept 10"]
    assert [(bar.outcome, bar.blamed) for bar in found.bars if bar.lane == 3] == [("broken", True)]
    assert len(found.bars) == 4


def test_clusters_stand_apart(log: EventLog) -> None:
    cluster(log, 2, 10.5)
    signal(log, 10.9, "SIGTERM", MASTER, "master")
    found = picture(log)
    assert [lane.cluster for lane in found.lanes] == [1, 1, 1, 2, 2, 2]
    assert found.lanes[3].pid == 200
    marks = [(mark.cluster, mark.what, mark.lane) for mark in found.marks]
    assert marks == [(1, "SIGTERM → master", 0)]


@pytest.mark.parametrize("bad", [
    {}, {"t": "x"}, {"t": float("nan"), "pid": ONE, "worker": 1, "event": "ready"},
    {"t": 10 ** 400, "pid": ONE, "worker": 1, "event": "ready"},
    says(ONE, 10.3, "exit", child=MASTER), says(ONE, 10.3, "send", peer=[1], type={"x": 1}),
    says(MASTER, 10.3, "spawn", child="x", peer=1), says(ONE, 10.3, "signal", signal=999),
    says(ONE, 10.3, "own", text="\ud800" * 100_000),
    says(ONE, 10.3, "recv", peer="master", type="never sent")])
def test_a_journal_is_not_trusted(log: EventLog, bad: dict[str, Any]) -> None:
    with_journal(log, bad)
    log.add("judged", t=11.0)
    found = picture(log)
    assert names(found) == [("master", MASTER), ("worker 1", ONE), ("worker 2", TWO)]
    assert states(found, ONE)[0] == (10.01, 10.1, "starting")
    assert len(json.dumps(found.as_json())) < 5000


def test_a_picture_is_bounded_and_says_what_is_left_out(log: EventLog) -> None:
    for number in range(3 * MOST):
        t = 10.3 + number / 10_000
        request(log, t, t + 0.00005, number, status=200 if number % 1000 else 500)
    for number in range(100):
        log.add("open", t=12.0, cluster=1, conn=100_000 + number)
        log.add("close", t=12.1, cluster=1, conn=100_000 + number)
    log.add("judged", t=13.0)
    found = picture(log)
    assert found.count() <= MOST + 10 and len(found.lanes) < 60
    assert sum(bar.outcome == "error" for bar in found.bars) == 15, "errors are what is looked for"
    drawn = len(found.bars)
    assert found.left_out["bars"] + drawn + found.left_out["connections"] >= 3 * MOST


def test_halving_keeps_what_broke() -> None:
    bars = [Bar(0, float(number), number + 0.5, "broken" if number == 7 else "ok", "GET /", "")
            for number in range(100)]
    said = Timeline(0.0, 100.0, bars=bars, spans=[Span(0, 0.0, 100.0, "ready")]).as_json()
    halve(said)
    kept = [dict(zip(said["bars"]["keys"], row)) for row in said["bars"]["rows"]]
    assert len(kept) == 50 and sum(bar["outcome"] == "broken" for bar in kept) == 1
    assert said["leftOut"] == {"bars": 50}
    assert len(said["spans"]["rows"]) == 1, "states are kept"
