"""What /messages of exercise 4 tells: who has got which message, how often, and in what form."""
from __future__ import annotations

import time
from typing import Any, Sequence

from harness.checks import connections
from harness.checks.common_ground.http import expect_error, expect_form
from harness.checks.messages import message_replies, messages
from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed

Entries = list[dict[str, Any]]
TEXTS = ("plain", "", "a b+c&d=e%20", 'quotes " and \\ and </script>', "line\nand\ttab",
         "nul \0 inside", "grün, 日本語, 🦀", "x" * 1024)
"""Texts that must arrive as they were sent."""
BAD_TEXTS: tuple[str | bytes, ...] = ("x" * 1025, "ü" * 513, b"\xff", b"cut \xe2\x82")
"""Over 1,024 bytes, or not UTF-8."""


def entries(reader: Connection) -> Entries:
    """The messages of the worker at the other end, each whole."""
    body = message_replies.expect_json(reader.get("/messages", patience=5), 200)
    found = body.get("messages")
    if not isinstance(found, list):
        raise CheckFailed(f"/messages: {body}", expected="`messages`, a list")
    for one in found:
        stamp = one.get("timestamp")
        if one.get("type") not in ("direct", "broadcast") or not isinstance(one.get("from"), int) \
                or not isinstance(one.get("message"), str) or not isinstance(stamp, (int, float)) \
                or abs(stamp / 1000 - time.time()) > 3600:
            raise CheckFailed(f"an entry of /messages is {one}",
                              expected="from, type direct or broadcast, message, timestamp in Unix "
                                       "milliseconds",
                              likely="an entry lacks one of these four, or one of them has another "
                                     "form")
    return found


def having(reader: Connection, message: str) -> Entries:
    return [one for one in entries(reader) if one["message"] == message]


def newest(reader: Connection) -> str:
    """The text of the last message."""
    found = entries(reader)
    if not found:
        raise CheckFailed("/messages has nothing, although a message was sent to this worker",
                          expected="the message",
                          likely="the message does not get into the mailbox, or the sender is "
                                 "left out")
    return str(found[-1]["message"])


def expect_form_of_messages(reader: Connection) -> None:
    answer = reader.get("/messages", patience=5)
    expect_form(answer)
    message_replies.expect_json(answer, 200)


def expect_last(reader: Connection, what: str, numbers: Sequence[int]) -> None:
    """Just these messages are kept, in this order: `what 3`, `what 4` …"""
    kept = [one["message"] for one in entries(reader)]
    wanted = [f"{what} {number}" for number in numbers]
    if kept != wanted:
        shown = kept if len(kept) <= 10 else f"{len(kept)} messages, from {kept[0]} to {kept[-1]}"
        raise CheckFailed(f"/messages has {shown}",
                          expected=f"{len(wanted)}, from {wanted[0]} to {wanted[-1]}")


# ----- who has got it


def expect_seen_by_everyone_once(workers: dict[int, Connection], sender: int) -> None:
    """A broadcast of this worker is confirmed by all, and is once in each mailbox."""
    message = f"to all from {sender}"
    body = messages.broadcast(workers[sender], message)
    wanted = {"from": sender, "message": message, "delivered": [1, 2, 3], "missing": []}
    if {key: body.get(key) for key in wanted} != wanted:
        raise CheckFailed(f"the answer to a broadcast is {body}", expected=str(wanted))
    for slot, reader in workers.items():
        found = having(reader, message)
        if len(found) != 1 or (found[0]["from"], found[0]["type"]) != (sender, "broadcast"):
            raise CheckFailed(f"worker {slot} has {found}",
                              expected=f"once, from {sender}, type broadcast")


def expect_seen_by_receiver_only(cluster: Cluster, workers: dict[int, Connection],
                                 sender: int, receiver: int) -> None:
    """The receiver replies, and the message is in its mailbox once and in no other."""
    message = f"{sender} to {receiver}"
    messages.expect_answered(cluster, workers[sender], receiver, message)
    for slot, reader in workers.items():
        found = having(reader, message)
        seen = [(one["from"], one["type"]) for one in found]
        if seen != ([(sender, "direct")] if slot == receiver else []):
            raise CheckFailed(f"{message!r}: worker {slot} has {found}",
                              expected=f"only worker {receiver} has it, once")


def expect_broadcast_in_time(cluster: Cluster, fixture: Fixture, asked: Connection,
                             stopped: int) -> None:
    """With this worker stopped a broadcast is answered in time, and only that one is missing."""
    whole = message_replies.timeout(fixture)
    answer = asked.get(messages.broadcast_path("who is there"), patience=whole + 3)
    cluster.expect_within(whole, answer.started, answer.ended,
                          f"the answer to /broadcast with worker {stopped} stopped")
    expect_missing(answer, stopped)


def expect_missing(answer: Answer, missing: int) -> None:
    """The answer to a broadcast of worker 1: delivered to all but that worker."""
    body = message_replies.expect_json(answer, 200)
    delivered = body.get("delivered", [])
    if 3 not in delivered or missing in delivered or body.get("missing") != [missing]:
        raise CheckFailed(f"{answer}: {body}",
                          expected="delivered [1,3], missing [2]: the workers that have confirmed "
                                   "it, and the one that has not")


# ----- texts


def expect_texts_arrive(cluster: Cluster) -> None:
    """Each text arrives as it was sent, and `hello` where none was given."""
    reader = connections.to_one(cluster, 3)
    for text in TEXTS:
        messages.broadcast(cluster.client, text)
        if (last := newest(reader)) != text:
            raise CheckFailed(f"{text[:60]!r} was sent, {last[:60]!r} arrived")
    message_replies.expect_json(cluster.client.get("/broadcast", patience=5), 200)
    if (last := newest(reader)) != "hello":
        raise CheckFailed(f"without a message {last!r} arrived", expected="hello")


def expect_bad_texts_refused(cluster: Cluster) -> None:
    for bad in BAD_TEXTS:
        for path in (messages.broadcast_path(bad), messages.send_path(1, bad)):
            expect_error(cluster.client.get(path, patience=5), 400)
