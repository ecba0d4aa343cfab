"""What /stats of exercise 4 tells of all workers."""
from __future__ import annotations

import time
from typing import Any

from harness.checks import connections
from harness.checks.common_ground.http import expect_form
from harness.checks.messages import message_replies, messages
from harness.clients import worker_slots
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed

Rows = dict[int, dict[str, Any]]
"""Slot → its entry in `workers`."""
COUNTS = ("requests", "received", "pending")
SURELY_OWN = 20
"""Answers, of more than one worker. If in all of them only the worker that answers has something
pending, that is no chance."""


def expect_stats(cluster: Cluster, answer: Answer, missing: list[int]) -> Rows:
    """All workers but the missing ones, sorted."""
    message_replies.doubt_starved(cluster, answer, missing)
    message_replies.expect_not_lost(cluster, answer)
    rows = rows_of(answer)
    wanted = [slot for slot in range(1, cluster.workers + 1) if slot not in missing]
    listed, told = [row.get("worker") for row in rows], answer.json.get("missing")
    if listed != wanted or told != missing:
        slots = all(number in range(1, cluster.workers + 1) for number in told or [])
        raise CheckFailed(f"{answer}: workers {listed}, missing {told}",
                          expected=f"workers {wanted}, missing {missing}",
                          likely="" if slots else "`missing` has other numbers than those of "
                                                  "slots: pids, perhaps")
    for row in rows:
        bad = [key for key in ("pid", "uptime", *COUNTS) if not is_number(row.get(key))]
        if bad:
            raise CheckFailed(f"{answer}: worker {row['worker']} has no number in "
                              f"{', '.join(bad)}: {row}")
    return {row["worker"]: row for row in rows}


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """The entries of the workers; all parts of the answer have the right form."""
    body = message_replies.expect_json(answer, 200)
    rows, total, missing = body.get("workers"), body.get("total"), body.get("missing")
    if not isinstance(missing, list) or not all(map(is_number, missing)):
        raise CheckFailed(f"{answer}: missing {missing}",
                          expected="`missing`, a list of slots' numbers",
                          likely="`missing` holds something else than numbers")
    if not (isinstance(rows, list) and isinstance(total, dict)
            and all(isinstance(row, dict) for row in rows)):
        raise CheckFailed(f"{answer}: body {body}",
                          expected="`workers`, a list of objects, and `total`, an object")
    return rows


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def expect_sums(answer: Answer, rows: Rows) -> None:
    total = answer.json["total"]
    sums = {"workers": len(rows),
            **{key: sum(row[key] for row in rows.values()) for key in COUNTS}}
    if {key: total.get(key) for key in sums} != sums:
        raise CheckFailed(f"{answer}: total {total}",
                          expected=f"the sums of what is listed: {sums}",
                          likely="`total` is not the sum of all numbers of all workers that are "
                                 "listed",
                          hint="add up what was collected")


def expect_all_workers(cluster: Cluster, workers: dict[int, int]) -> None:
    """/stats lists each slot with its pid, and the sums are right."""
    answer = cluster.client.get("/stats", patience=5)
    rows = expect_stats(cluster, answer, [])
    expect_sums(answer, rows)
    pids = {slot: row["pid"] for slot, row in rows.items()}
    if pids != workers:
        raise CheckFailed(f"pids {pids}", expected=f"the workers' own: {workers}")


def expect_counts_move(cluster: Cluster, requests: int, broadcasts: int) -> None:
    """After so many requests to worker 2, and so many broadcasts of worker 1."""
    workers = connections.to_each(cluster)
    before = expect_stats(cluster, workers[1].get("/stats", patience=5), [])
    for _ in range(requests):
        message_replies.expect_json(workers[2].get("/", patience=5), 200)
    messages.broadcast_each(workers[1], "count me", broadcasts)
    answer = workers[1].get("/stats", patience=5)
    after = expect_stats(cluster, answer, [])
    expect_sums(answer, after)
    moved, received = ({slot: after[slot][key] - before[slot][key] for slot in (2, 3)}
                       for key in ("requests", "received"))
    if moved != {2: requests, 3: 0} or set(received.values()) != {broadcasts}:
        former, latter = ({slot: row["received"] for slot, row in rows.items()}
                          for rows in (before, after))
        kept = set(received.values()) == {int(cluster.settings["MESSAGE_LIMIT"])}
        raise CheckFailed(f"requests moved by {moved}; received went from {former} to {latter}",
                          expected=f"requests by {requests} (worker 2) and 0 (worker 3), "
                                   f"received by {broadcasts} (both)",
                          likely="`received` is how many messages are kept, not how many have come"
                                 if kept else "")


def expect_all_at_once(cluster: Cluster, count: int) -> None:
    """So many /stats at the same time are all answered in full."""
    worker_slots.find_workers(cluster)
    exchanges = [cluster.client.start("/stats") for _ in range(count)]
    for exchange in exchanges:
        expect_stats(cluster, exchange.wait(10), [])


def expect_in_time(cluster: Cluster, fixture: Fixture, asked: Connection, stopped: int) -> None:
    """With this worker stopped /stats is answered in time, without it."""
    whole = message_replies.timeout(fixture)
    answer = asked.get("/stats", patience=whole + 3)
    cluster.expect_within(whole, answer.started, answer.ended,
                          f"the answer to /stats with worker {stopped} stopped")
    if answer.status in (502, 503, 504):
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                          expected="200 with what there is",
                          likely="that somebody is missing is taken for a failure of the whole, or "
                                 "the master waits for all until the caller's time is over",
                          hint="it is a failure only if nobody has answered; and the master's "
                               "deadline is shorter than the caller's")
    expect_stats(cluster, answer, [stopped])


def expect_requests_counted(asked: Connection) -> None:
    """Two answers to / and one to /stats, one after another: `requests` is one more each time."""
    answers = [asked.get("/", patience=5) for _ in range(2)]
    for answer in answers:
        expect_form(answer)
        message_replies.expect_json(answer, 200)
    told = [answer.json.get("requests") for answer in answers]
    told += [row.get("requests") for row in rows_of(asked.get("/stats", patience=5))
             if row.get("worker") == answers[0].worker]
    if not isinstance(told[0], int) or told != [told[0], told[0] + 1, told[0] + 2]:
        raise CheckFailed("`requests` of one worker, asked by GET /, GET / and GET /stats: "
                          f"{told}", expected="one more each time",
                          likely="`requests` is counted twice, or not for every path, or it is "
                                 "told before this request has counted at one path only")


def await_nothing_pending(cluster: Cluster, within: float,
                          missing: list[int] | None = None) -> None:
    """No worker waits for anything any more; the missing ones, which are stopped, do not count."""
    began = time.monotonic()
    # The workers that gave the last answers, as long as each alone had something pending then.
    own: list[int | None] = []
    while True:
        answer = cluster.client.get("/stats", patience=5)
        rows = expect_stats(cluster, answer, missing or [])
        left = [row["pending"] for row in rows.values()]
        if not any(left):
            return
        waiting = {slot for slot, row in rows.items() if row["pending"]}
        own = [*own, answer.worker] if waiting == {answer.worker} else []
        if len(own) >= SURELY_OWN and len(set(own)) > 1:
            raise CheckFailed(f"in {len(own)} answers to /stats one after another only the worker "
                              f"that was asked has something pending (pending: {left})",
                              expected="0 everywhere",
                              likely="`pending` counts the very /stats that is being answered",
                              hint="leave that one out: the worker that was asked waits for the "
                                   "master's answer, too")
        if overdue(began, within):
            cluster.refuse_late(within, began, f"pending is {left} on the workers {list(rows)}, "
                                               "not 0 everywhere")
        time.sleep(0.02)
