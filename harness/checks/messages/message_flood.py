"""Steps of exercise 4 in which a stopped worker gets more messages than anybody can keep."""
from __future__ import annotations

import time

from harness.checks.messages import message_replies, messages
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

SENDERS = 1000


def need_open_files() -> None:
    if not processes.raise_own_limit(SENDERS + 300):
        raise Inconclusive("the harness itself may not open that many files here (ulimit -Hn)")


def flood(cluster: Cluster, fixture: Fixture, connections: dict[int, Connection],
          turns: int) -> None:
    """In each turn 1,000 messages to stopped worker 2 at the same time; each sender gets an error,
    and worker 3 is reached at once."""
    crowd = [cluster.client.connect() for _ in range(SENDERS)]  # a stopped worker takes none
    for turn in range(turns):
        path = messages.send_path(2, f"{turn} " + "z" * 1000)
        under_way = [one.send(path) for one in crowd if one.usable]
        connections[1].get("/", patience=5)  # now worker 1 has read its part of them
        expect_quick_reply(cluster, connections[1], f"quick {turn}")
        for exchange in under_way:
            answer = exchange.wait(message_replies.timeout(fixture) + 5)
            if answer.outcome != "answer" or answer.status < 500:
                raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                                  expected="an error of the 5xx kind")
        messages.expect_answered(cluster, connections[1], 3, f"after {turn}")


def expect_quick_reply(cluster: Cluster, sender: Connection, message: str) -> None:
    """Of worker 3, whatever waits for worker 2."""
    answer = sender.get(messages.send_path(3, message), patience=5)
    if message_replies.starved(cluster, answer):  # a thousand threads keep one another waiting
        return
    message_replies.expect_reply(cluster, answer, 3, message)
    cluster.expect_within(message_replies.QUICK, answer.started, answer.ended,
                          "a reply of worker 3 while worker 2 is flooded", due=answer.started)


def expect_reply_when_awake(cluster: Cluster, sender: Connection) -> None:
    """Worker 2 goes on: it replies when it has done with what had come before."""
    path, began = messages.send_path(2, "awake"), time.monotonic()
    while (answer := sender.get(path, patience=5)).status != 200:
        if time.monotonic() > began + 10:
            cluster.refuse_late(5.0, began, f"a reply of worker 2 after SIGCONT (last: {answer})")
    message_replies.expect_reply(cluster, answer, 2, "awake")
