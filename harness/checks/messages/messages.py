"""Steps of exercise 4: messages between workers, which are sent by way of the master."""
from __future__ import annotations

import time
from dataclasses import dataclass
from signal import SIGKILL, SIGSTOP
from typing import Any, Iterable, Sequence
from urllib.parse import quote

from harness.checks import memory, replacement
from harness.checks.common_ground.http import expect_error
from harness.checks.messages import message_replies
from harness.clients import worker_slots
from harness.clients.exchange import Exchange
from harness.clients.http_client import Client, Connection
from harness.cluster.cluster import Cluster
from harness.judging.journal import read_journal
from harness.judging.verdict import Inconclusive

PASSED_ON_WITHIN = 0.3
"""Seconds within which a program passes a message on that it has read."""
BROADCASTS, LONG_MESSAGE = 1668, 1000
"""Broadcasts in a phase, and the bytes of each (the contract allows 1,024)."""
PATIENCE = 5.0
"""Seconds for an answer that should come at once."""


@dataclass(frozen=True)
class Sent:
    """A message under way: the sender's request, the receiver's slot and the text."""

    exchange: Exchange
    receiver: int
    message: str


def send_path(slot: int | str, message: str | bytes | None = None) -> str:
    return f"/send/{slot}" + ("" if message is None else f"?message={quote(message, safe='')}")


def broadcast_path(message: str | bytes) -> str:
    return f"/broadcast?message={quote(message, safe='')}"


def stop(cluster: Cluster, *slots: int) -> None:
    """Stop these workers, when the pids of all are known: later a stopped one cannot be asked."""
    worker_slots.find_workers(cluster)
    for slot in slots:
        cluster.signal_worker(slot, SIGSTOP)


def replace_worker(cluster: Cluster, slot: int) -> None:
    """Kill the worker, and wait for the first answer of its successor."""
    old = worker_slots.pid_of(cluster, slot)
    killed = cluster.signal_worker(slot, SIGKILL)
    replacement.expect_replaced(cluster, slot, old, since=killed, within=1.0)


# ----- from one worker to another


def send_each(sender: Connection, receiver: int, what: str, count: int,
              patience: float = PATIENCE) -> None:
    """So many messages one after another, `what 0`, `what 1` …: each is answered with 200."""
    for number in range(count):
        answer = sender.get(send_path(receiver, f"{what} {number}"), patience)
        message_replies.expect_json(answer, 200)


def expect_answered(cluster: Cluster, sender: Connection, receiver: int, message: str) -> None:
    """Send the message: the receiver's own reply comes back."""
    answer = sender.get(send_path(receiver, message), patience=PATIENCE)
    message_replies.expect_reply(cluster, answer, receiver, message)


def expect_each_answered(cluster: Cluster, sender: Connection, receiver: int, what: str,
                         count: int) -> None:
    for number in range(count):
        expect_answered(cluster, sender, receiver, f"{what} {number}")


def begin(sender: Connection, receiver: int, message: str) -> Sent:
    """Send the message, and do not wait."""
    return Sent(sender.send(send_path(receiver, message)), receiver, message)


def begin_each(senders: Iterable[Connection], receiver: int, what: str) -> list[Sent]:
    """From each of the connections one message, `what 0`, `what 1` …, not waited for."""
    return [begin(one, receiver, f"{what} {number}") for number, one in enumerate(senders)]


def begin_surely(cluster: Cluster, sender: Connection, receiver: int, message: str) -> Sent:
    """Send the message, and wait only until the request was surely read."""
    sent = begin(sender, receiver, message)
    cluster.settle(sent.exchange.path)
    return sent


def await_passed_on(cluster: Cluster, slot: int, sent: Sequence[Exchange]) -> None:
    """Wait until the master has passed all of the requests on to that slot, as its journal says; or
    until a while has passed, because not every program passes each on by itself."""
    for exchange in sent:
        cluster.settle(exchange.path)
    end = time.monotonic() + PASSED_ON_WITHIN
    while time.monotonic() < end and passed_on(cluster, slot, sent[0].started) < len(sent):
        time.sleep(0.01)


def passed_on(cluster: Cluster, slot: int, since: float) -> int:
    """How many messages the master has sent to that slot."""
    return sum(entry.get("role") == "master" and entry.get("event") == "send"
               and entry.get("peer") == slot and entry["t"] >= since
               for entry in read_journal(cluster.journal)
               if isinstance(entry.get("t"), (int, float)))


def expect_replies(cluster: Cluster, sent: Iterable[Sent], patience: float = PATIENCE) -> None:
    """Each of the messages under way gets the reply to itself."""
    for one in sent:
        answer = one.exchange.wait(patience)
        message_replies.expect_reply(cluster, answer, one.receiver, one.message)


def expect_replies_at_once(cluster: Cluster, count: int, few: int) -> None:
    """`count` distinct messages at the same time: each gets the reply to its own.

    If the machine is too slow to judge `count`, try `few`: a program that loses one of those fails.
    """
    try:
        send_at_once(cluster, count)
    except Inconclusive:
        send_at_once(cluster, few)
        raise


def send_at_once(cluster: Cluster, count: int) -> None:
    """To all workers in turn, each on a fresh connection."""
    receivers = [number % cluster.workers + 1 for number in range(count)]
    texts = [f"{number} of {count}" for number in range(count)]
    sent = [Sent(cluster.client.start(send_path(receiver, text)), receiver, text)
            for receiver, text in zip(receivers, texts)]
    answers = [one.exchange.wait(10) for one in sent]
    for answer, one in zip(answers, sent):
        message_replies.expect_reply(cluster, answer, one.receiver, one.message)


def expect_receivers_refused(cluster: Cluster, receivers: Sequence[str], status: int) -> None:
    for receiver in receivers:
        expect_error(cluster.client.get(send_path(receiver, "hi"), patience=PATIENCE), status)


# ----- from one worker to all


def broadcast(asked: Client | Connection, message: str, patience: float = PATIENCE
              ) -> dict[str, Any]:
    """The body of the answer, which is 200."""
    return message_replies.expect_json(asked.get(broadcast_path(message), patience), 200)


def broadcast_each(sender: Connection, what: str, count: int, patience: float = PATIENCE) -> None:
    """So many broadcasts one after another, `what 0`, `what 1` …"""
    for number in range(count):
        broadcast(sender, f"{what} {number}", patience)


def expect_memory_at_rest(cluster: Cluster, senders: list[Connection]) -> None:
    """No process grows with every 5,000 messages more: each of the 3 workers gets a third of
    them."""
    memory.expect_rest([cluster.pid, *cluster.slots.values()],
                       lambda phase: broadcast_often(senders, BROADCASTS, phase), 2,
                       "5,000 messages")


def broadcast_often(senders: list[Connection], times: int, phase: int) -> None:
    """So many broadcasts, one from each of the senders at a time, each of LONG_MESSAGE bytes and
    unlike all others."""
    for number in range(0, times, len(senders)):
        texts = [f"{phase} {number} {place} ".ljust(LONG_MESSAGE, "y")
                 for place in range(len(senders))]
        under_way = [one.send(broadcast_path(text)) for one, text in zip(senders, texts)]
        for exchange in under_way:
            message_replies.expect_json(exchange.wait(10), 200)
