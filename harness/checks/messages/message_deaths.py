"""Steps of exercise 4 in which a receiver or a sender dies while its message is under way."""
from __future__ import annotations

from signal import SIGKILL

from harness.checks import connections, replacement
from harness.checks.common_ground.http import expect_error
from harness.checks.messages import mailboxes, message_replies, message_stats, messages
from harness.checks.restart import newcomers
from harness.clients import worker_slots
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

YOUNG_DEATHS = 3
STAYS_EMPTY = 0.4
"""After so many deaths the next process of a slot comes no sooner than after so many seconds."""
SURELY_READ = 0.2
"""Seconds within which a program has read a request, if the machine is not behind."""
QUICK = message_replies.QUICK


# ----- the receiver dies


def expect_502_at_death(cluster: Cluster, slot: int, held: list[messages.Sent]) -> None:
    """The stopped receiver is killed while messages wait: 502 to each at once, then a successor."""
    messages.await_passed_on(cluster, slot, [one.exchange for one in held])
    killed = cluster.signal_worker(slot, SIGKILL)
    for one in held:
        answer = one.exchange.wait(6)
        if answer.outcome == "waiting":
            cluster.refuse_late(QUICK, killed, "the answer to a sender after the receiver's death")
        expect_error(answer, 502)
        cluster.expect_within(QUICK, killed, answer.ended, "the 502 after the receiver's death")
    old = worker_slots.pid_of(cluster, slot)
    replacement.expect_replaced(cluster, slot, old, since=killed, within=1.0)


def empty_slot(cluster: Cluster, slot: int) -> float:
    """Kill the slot's worker and its successors, until the next one has to wait; returns when the
    last of them was killed."""
    known = set(processes.children(cluster.pid))
    killed = cluster.signal_worker(slot, SIGKILL)
    for _ in range(YOUNG_DEATHS):
        _, successor = newcomers.next_newcomer(cluster, known, 1.0)
        killed = newcomers.send(cluster, successor, SIGKILL)
        processes.await_reaped(successor)
        known.add(successor)
    return killed


def expect_502_of_empty_slot(cluster: Cluster, fixture: Fixture, sender: Connection,
                             asker: Connection, slot: int, emptied: float) -> None:
    """Both ask at once, so that both are read before the slot has a process again."""
    sent = sender.send(messages.send_path(slot, "nobody there"))
    asked = asker.send("/stats")
    answer = sent.wait(message_replies.timeout(fixture) + 3)
    if answer.status != 502 and may_be_filled(cluster, emptied, answer):
        raise Inconclusive(f"slot {slot} may have had a process again before the request was "
                           "surely read")
    expect_error(answer, 502)
    cluster.expect_within(QUICK, answer.started, answer.ended,
                          "the 502 of a slot without a process")
    expect_missing_when_empty(cluster, asked.wait(message_replies.timeout(fixture) + 3), slot,
                              emptied)


def expect_missing_when_empty(cluster: Cluster, answer: Answer, slot: int, emptied: float) -> None:
    """Nothing is said if the slot has a process again meanwhile."""
    cluster.watcher.scan()
    came = any(one.first < answer.ended for one in cluster.watcher.newcomers(emptied))
    if came or may_be_filled(cluster, emptied, answer):
        return
    message_replies.doubt_starved(cluster, answer, [slot])
    missing = message_replies.expect_json(answer, 200).get("missing")
    if missing != [slot]:
        raise CheckFailed(f"`missing` in /stats is {missing!r} while slot {slot} has no process",
                          expected=f"[{slot}]",
                          likely="a slot without a process is neither awaited nor noted as missing",
                          hint="note what send() returns for each slot")


def may_be_filled(cluster: Cluster, emptied: float, answer: Answer) -> bool:
    """Whether the emptied slot may have had a process again when the request was read.

    The watcher may have been as late as everything else.
    """
    filled = emptied + STAYS_EMPTY
    read = answer.started + SURELY_READ
    cluster.watcher.scan()
    return (read + cluster.meter.allowance(answer.started, filled) > filled
            or any(one.first < min(answer.ended, read)
                   for one in cluster.watcher.newcomers(emptied)))


def expect_missing_at_death(cluster: Cluster, fixture: Fixture, asked: list[Connection],
                            slot: int) -> None:
    """The stopped worker is killed while /stats and /broadcast wait for it: it is missing then."""
    messages.stop(cluster, slot)
    held = [one.send(path) for one, path in zip(asked, ("/stats", messages.broadcast_path("hi")))]
    messages.await_passed_on(cluster, slot, held)
    cluster.signal_worker(slot, SIGKILL)
    whole = message_replies.timeout(fixture)
    stats, broadcast = (exchange.wait(whole + 3) for exchange in held)
    for answer in (stats, broadcast):
        cluster.expect_within(whole, answer.started, answer.ended,
                              f"the answer to {answer.path}, worker {slot} having died")
    rows = message_stats.rows_of(stats)
    if slot in stats.json["missing"]:
        message_replies.doubt_starved(cluster, stats, [slot])
    if slot in [row.get("worker") for row in rows] or stats.json["missing"] != [slot]:
        raise CheckFailed(f"{stats}: workers {[row.get('worker') for row in rows]}, missing "
                          f"{stats.json['missing']}",
                          expected=f"missing [{slot}]: worker {slot} has died, and did not answer")
    mailboxes.expect_missing(broadcast, slot)


# ----- the sender dies


def kill_sender_that_waits(cluster: Cluster) -> None:
    """Worker 1 is killed and replaced while it waits for worker 2; workers 2 and 3 are stopped."""
    sender = connections.to_one(cluster, 1)
    messages.stop(cluster, 2, 3)
    held = messages.begin(sender, 2, "of the dead")
    messages.await_passed_on(cluster, 2, [held.exchange])
    messages.replace_worker(cluster, 1)


def expect_no_answer(held: messages.Sent, seconds: float) -> None:
    """No answer comes within `seconds`: the receiver, worker 3, is stopped."""
    if held.exchange.ended.wait(seconds):
        answer = held.exchange.wait(0)
        raise CheckFailed(f"{answer}, body {answer.body[:200]!r}, although worker 3 is stopped",
                          expected="no answer before worker 3 has replied")
