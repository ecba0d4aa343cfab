"""The picture of a check becomes a trace that Perfetto shows as it is meant."""
from __future__ import annotations

import itertools
import json
from typing import Any

from harness.judging.events import EventLog
from harness.picture.timeline import MOST, picture
from harness.telling.perfetto_trace import trace
from harness.tests.picture.cluster_events import (
    MASTER, ONE, log_of_cluster, request, says, signal, with_journal,
)

Events = list[dict[str, Any]]


def names(events: Events, kind: str, number: str) -> dict[int, str]:
    return {event[number]: event["args"]["name"] for event in events if event["name"] == kind}


def only(events: Events, category: str) -> dict[str, Any]:
    (found,) = (event for event in events if event.get("cat") == category)
    return found


def two_checks(log: EventLog) -> Events:
    """The trace of two checks with a picture, and of one without."""
    check = {"title": "It ends", "timeline": picture(log).as_json()}
    again = {"title": "It ends again", "timeline": picture(log).as_json()}
    none = {"title": "It was skipped", "timeline": None}
    report = {"items": [{"checks": [check, none]}], "common": {"checks": [again]}}
    events: Events = trace(report)["traceEvents"]
    return events


def test_the_trace() -> None:
    log = log_of_cluster()
    with_journal(log, says(MASTER, 10.4, "send", type="drain", peer=1, id="x"),
                 says(ONE, 10.41, "recv", type="drain", peer="master", id="x"),
                 says(MASTER, 10.5, "send", type="lost", peer=1))
    request(log, 10.3, 10.4, 1)
    signal(log, 10.35, "SIGTERM", MASTER, "master")
    log.add("judged", t=11.0)
    events = two_checks(log)
    assert names(events, "process_name", "pid") == {1: "It ends", 5: "It ends again"}
    mine = [event for event in events if event["pid"] == 1]
    assert names(mine, "thread_name", "tid") == {
        1: "master (pid 100)", 2: "worker 1 (pid 101)", 3: "worker 2 (pid 102)", 4: "client 1"}
    asked, sent = only(mine, "request"), only(mine, "signal")
    assert (asked["ph"], asked["ts"], asked["dur"]) == ("X", 10_300_000, 100_000)
    assert (asked["tid"], asked["name"]) == (4, "GET /slow: 200")
    assert (sent["ph"], sent["ts"], sent["tid"]) == ("i", 10_350_000, 1)
    begin, end = (event for event in mine if event.get("cat") == "message")
    assert (begin["ph"], begin["ts"], begin["tid"]) == ("s", 10_400_000, 1)
    assert (end["ph"], end["ts"], end["tid"]) == ("f", 10_410_000, 2)
    assert begin["id"] == end["id"] and begin["args"] == {"id": "x"}
    messages = {event["id"] for event in events if "id" in event}
    assert len(messages) == 2, "the checks' messages are different ones"
    json.dumps(events)


def test_the_trace_keeps_the_rules_of_perfetto() -> None:
    """Perfetto drops a slice that begins within another and ends behind it, and an end of a
    message that lies in no slice."""
    log = log_of_cluster()
    with_journal(log, says(ONE, 10.005, "send", type="ready", peer="master"),
                 says(MASTER, 10.02, "recv", type="ready", peer=1))
    for number in range(2 * MOST):
        request(log, 10.3 + number / 10_000, 10.3 + number / 10_000 + 0.00003, number % 3)
    signal(log, 10.35, "SIGSTOP", ONE, "worker 1")
    events = two_checks(log)
    lanes = {(event["pid"], event["tid"]) for event in events}
    tids = {tid for _, tid in lanes}
    assert len(tids) == len(lanes) and {pid for pid, _ in lanes} <= tids
    for lane in lanes:
        mine = [event for event in events if (event["pid"], event["tid"]) == lane]
        slices = [event for event in mine if event["ph"] == "X"]
        assert slices, "states are never left out"
        assert all(one["ts"] + one["dur"] <= two["ts"] for one, two in itertools.pairwise(slices))
        ends = [event["ts"] for event in mine if event["ph"] in "sf"]
        assert all(any(one["ts"] <= t <= one["ts"] + one["dur"] for one in slices) for t in ends)
