"""Steps and expectations of exercise 4: messages between workers by way of the master."""
from __future__ import annotations

import time
from signal import SIGKILL, SIGSTOP
from typing import Any
from urllib.parse import quote

from harness.checks import newcomers
from harness.clients import worker_search
from harness.clients.exchange import Answer, Exchange
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.time_bounds import await_true, expect_not_before, overdue
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

COUNTS = ("requests", "received", "pending")
YOUNG_DEATHS = 3
STAYS_EMPTY = 0.4
"""After so many deaths the next process of a slot comes no sooner than after so many seconds."""
SURELY_READ = 0.2
SURELY_OWN = 20
"""In so many answers, by more than one worker, it is no chance that always the one who answers has something pending."""
QUICK = 1.0
"""Seconds within which what does not involve a stopped worker is answered."""


def send_path(slot: int | str, message: str | bytes | None = None) -> str:
    return f"/send/{slot}" + ("" if message is None else f"?message={quote(message, safe='')}")


def broadcast_path(message: str | bytes) -> str:
    return f"/broadcast?message={quote(message, safe='')}"


def timeout(fixture: Fixture) -> float:
    return fixture.figure("REQUEST_TIMEOUT_MS")


def pinned(cluster: Cluster, slot: int) -> Connection:
    return worker_search.connections_to(cluster, 1, [slot])[slot][0]


def empty_slot(cluster: Cluster, slot: int) -> float:
    """Kill the slot's worker and its successors, until the next one has to wait; when the last of them was killed."""
    known = set(processes.children(cluster.pid))
    killed = cluster.signal_worker(slot, SIGKILL)
    for _ in range(YOUNG_DEATHS):
        _, successor = newcomers.next_newcomer(cluster, known, 1.0)
        killed = newcomers.send(cluster, successor, SIGKILL)
        processes.await_reaped(successor)
        known.add(successor)
    return killed


def may_be_filled(cluster: Cluster, emptied: float, answer: Answer) -> bool:
    """Whether the emptied slot may have had a process again when the request was read: the watcher may have been as late as all else."""
    filled = emptied + STAYS_EMPTY
    read = answer.started + SURELY_READ
    cluster.watcher.scan()
    return (read + cluster.meter.allowance(answer.started, filled) > filled
            or any(one.first < min(answer.ended, read) for one in cluster.watcher.newcomers(emptied)))


def stop_master(cluster: Cluster) -> None:
    cluster.signal(SIGSTOP)
    await_true(lambda: processes.stopped(cluster.pid), 5, "the master did not stop")


def expect_json(answer: Answer, status: int) -> dict[str, Any]:
    if answer.outcome != "answer" or answer.status != status or not answer.json:
        raise CheckFailed(f"{answer}, body {answer.body[:300]!r}", expected=f"{status} to {answer.path}")
    return answer.json


# ----- statistics


def expect_stats(cluster: Cluster, answer: Answer, missing: list[int]) -> dict[int, dict[str, Any]]:
    """All workers but the missing ones, sorted; slot → its entry."""
    doubt_starved(cluster, answer, missing)
    expect_not_lost(cluster, answer)
    body = expect_json(answer, 200)
    rows, total = body.get("workers"), body.get("total")
    if not isinstance(body.get("missing"), list) or not all(isinstance(slot, (int, float)) and not isinstance(slot, bool) for slot in body["missing"]):
        raise CheckFailed(f"{answer}: missing {body.get('missing')}", expected="`missing`, a list of slots' numbers",
                          likely="`missing` holds something else than numbers")
    if not isinstance(rows, list) or not isinstance(total, dict) or not all(isinstance(row, dict) for row in rows):
        raise CheckFailed(f"{answer}: body {body}", expected="`workers`, a list of objects, and `total`, an object")
    wanted = [slot for slot in range(1, cluster.workers + 1) if slot not in missing]
    if [row.get("worker") for row in rows] != wanted or body.get("missing") != missing:
        raise CheckFailed(f"{answer}: workers {[row.get('worker') for row in rows]}, missing {body.get('missing')}",
                          expected=f"workers {wanted}, missing {missing}")
    for row in rows:
        bad = [key for key in ("pid", "uptime", *COUNTS) if not isinstance(row.get(key), (int, float)) or isinstance(row.get(key), bool)]
        if bad:
            raise CheckFailed(f"{answer}: worker {row['worker']} has no number in {', '.join(bad)}: {row}")
    return {row["worker"]: row for row in rows}


def expect_sums(answer: Answer, rows: dict[int, dict[str, Any]]) -> None:
    total = answer.json["total"]
    sums = {"workers": len(rows), **{key: sum(row[key] for row in rows.values()) for key in COUNTS}}
    if {key: total.get(key) for key in sums} != sums:
        raise CheckFailed(f"{answer}: total {total}", expected=f"the sums of what is listed: {sums}",
                          likely="`total` is not the sum of all numbers of all workers that are listed", hint="add up what was collected")


def await_nothing_pending(cluster: Cluster, within: float, missing: list[int] | None = None) -> None:
    """No worker waits for anything any more, but for the missing ones, which are stopped."""
    began = time.monotonic()
    own: list[int | None] = []  # who has answered last, if only he had something pending
    while True:
        answer = cluster.client.get("/stats", patience=5)
        rows = expect_stats(cluster, answer, missing or [])
        left = [row["pending"] for row in rows.values()]
        if not any(left):
            return
        own = [*own, answer.worker] if {slot for slot, row in rows.items() if row["pending"]} == {answer.worker} else []
        if len(own) >= SURELY_OWN and len(set(own)) > 1:
            raise CheckFailed(f"in {len(own)} answers to /stats one after another only the worker that was asked has something pending (pending: {left})",
                              expected="0 everywhere", likely="`pending` counts the very /stats that is being answered",
                              hint="leave that one out: the worker that is asked by way of the master is itself one of those who wait")
        if overdue(began, within):
            cluster.refuse_late(within, began, f"pending is {left} on the workers {list(rows)}, not 0 everywhere")
        time.sleep(0.02)


# ----- messages


def broadcast_often(senders: list[Connection], times: int) -> None:
    """That many broadcasts, one from each of the senders at a time."""
    for number in range(0, times, len(senders)):
        under_way = [one.send(broadcast_path(f"{number} x" + "y" * 200)) for one in senders]
        for exchange in under_way:
            expect_json(exchange.wait(10), 200)


def mailbox(connection: Connection) -> list[dict[str, Any]]:
    body = expect_json(connection.get("/messages", patience=5), 200)
    found = body.get("messages")
    if not isinstance(found, list):
        raise CheckFailed(f"/messages: {body}", expected="`messages`, a list")
    for one in found:
        stamp = one.get("timestamp")
        if one.get("type") not in ("direct", "broadcast") or not isinstance(one.get("from"), int) \
                or not isinstance(one.get("message"), str) or not isinstance(stamp, (int, float)) \
                or abs(stamp / 1000 - time.time()) > 3600:
            raise CheckFailed(f"an entry of /messages is {one}",
                              expected="from, type direct or broadcast, message, timestamp in Unix milliseconds",
                              likely="an entry lacks one of these four, or one of them has another form")
    return found


def newest(connection: Connection) -> str:
    """The text of the last message."""
    found = mailbox(connection)
    if not found:
        raise CheckFailed("/messages has nothing, although a message was sent to this worker", expected="the message",
                          likely="the message does not get into the mailbox, or the sender is left out")
    return str(found[-1]["message"])


def having(found: list[dict[str, Any]], message: str) -> list[dict[str, Any]]:
    return [one for one in found if one["message"] == message]


def starved(cluster: Cluster, answer: Answer, missing: list[int] | None = None) -> float:
    """Seconds that the machine was behind, if that may be why no reply came, or not all (`missing`: whose should not); else 0.

    A sender may give up at half of REQUEST_TIMEOUT_MS: a machine that was behind for a quarter of the wait can have used that up.
    """
    lacking = answer.status == 504 or (answer.json or {}).get("missing", missing or []) != (missing or [])
    behind = cluster.meter.allowance(answer.started, answer.ended) if lacking else 0.0
    return behind if behind > answer.took / 4 else 0.0


def doubt_starved(cluster: Cluster, answer: Answer, missing: list[int] | None = None) -> None:
    if behind := starved(cluster, answer, missing):
        raise Inconclusive(f"{answer}, but the machine was {behind:.2f} s behind then: the receiver may have had no processor")


def expect_not_lost(cluster: Cluster, answer: Answer) -> None:
    """A 504 although nobody is stopped has causes of its own."""
    if answer.status != 504:
        return
    if not any(event.kind == "signal" and event.text == SIGSTOP.name and event.cluster == cluster.number for event in cluster.log.all()):
        raise CheckFailed(f"{answer}, body {answer.body[:300]!r}, although nobody is stopped", expected=f"200 to {answer.path}",
                          likely="the answer does not reach who waits for it: the wait is noted after the request was sent, nobody is woken, there is "
                                 "room for one call only, ids collide, or answers are matched by something else than their id",
                          hint="follow one id through the journal: call, request, reply, answer")


def expect_reply(cluster: Cluster, answer: Answer, to: int, message: str) -> None:
    """The receiver's own reply to just this message."""
    doubt_starved(cluster, answer)
    expect_not_lost(cluster, answer)
    if answer.status == 404:
        raise CheckFailed(str(answer), expected=f"200 to {answer.path}", hint="write the handler; slots count from 1 to WORKERS",
                          likely=f"nothing is there to answer GET /send/{to}, or a slot that exists is taken for none")
    body = expect_json(answer, 200)
    reply = body.get("reply")
    wanted = {"worker": to, "pid": cluster.slots.get(to), "message": message}
    if not isinstance(reply, dict) or {key: reply.get(key) for key in wanted} != wanted:
        raise CheckFailed(f"{answer}: reply {reply}", expected=f"the reply of the receiver to this message: {wanted}")
    if (body.get("from"), body.get("to"), body.get("message")) != (body.get("worker"), to, message):
        raise CheckFailed(f"{answer}: {body}", expected=f"from the worker that was asked, to {to}, message {message!r}")


def expect_replies_at_once(cluster: Cluster, count: int) -> None:
    """So many distinct messages at the same time, to all workers in turn: each gets the reply to its own."""
    sent = [(number % cluster.workers + 1, f"{number} of {count}") for number in range(count)]
    under_way = [cluster.client.start(send_path(receiver, message)) for receiver, message in sent]
    answers = [exchange.wait(10) for exchange in under_way]
    for answer, (receiver, message) in zip(answers, sent):
        expect_reply(cluster, answer, receiver, message)


def expect_in_time(cluster: Cluster, exchange: Exchange, fixture: Fixture, statuses: tuple[int, ...]) -> Answer:
    """One of these statuses, between half of REQUEST_TIMEOUT_MS and the whole."""
    whole = timeout(fixture)
    answer = exchange.wait(exchange.started + whole * 1.5 + 2 - time.monotonic())
    what = f"the answer to {exchange.path}"
    if answer.outcome == "waiting":
        cluster.refuse_late(whole, exchange.started, what)
    if answer.outcome != "answer" or answer.status not in statuses:
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected=" or ".join(map(str, statuses)))
    cluster.expect_within(whole, answer.started, answer.ended, what)
    expect_not_before(whole * 0.5 * 0.98, answer.started, answer.ended, what)
    return answer
