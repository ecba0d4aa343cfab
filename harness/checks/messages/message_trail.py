"""How far a call of exercise 4 has come, as the journal tells."""
from __future__ import annotations

from harness.clients.exchange import Answer
from harness.cluster.cluster import Cluster
from harness.judging.journal import Entry, entries, read_journal

LATE = 0.25
"""Seconds from the last reply to the master's answer, which otherwise follows at once."""
SEVERAL = ("the answer does not reach the caller that waits for it: there is room for one call "
           "only, ids collide, or answers are matched by something else than their id")


def seen_as(entry: Entry) -> tuple[str, str]:
    return entry.event, entry.text("type")


def why_lost(cluster: Cluster, answer: Answer) -> str:
    """The likely cause of a 504 although nobody is stopped."""
    messages = [entry for entry in entries(read_journal(cluster.journal), answer.started,
                                           answer.ended)
                if entry.event in ("send", "recv") and entry.text("id")]
    worker = (answer.json or {}).get("worker")
    calls = {entry.text("id") for entry in messages
             if entry.slot == worker and seen_as(entry) == ("send", "call")
             and answer.started <= entry.t <= answer.ended}
    if len(calls) != 1:
        return SEVERAL
    (one,) = calls
    return _why_it_ended([entry for entry in messages if entry.text("id") == one])


def _why_it_ended(trail: list[Entry]) -> str:
    seen = set(map(seen_as, trail))
    replies = [entry.t for entry in trail if seen_as(entry) == ("recv", "reply")]
    answers = [entry.t for entry in trail if seen_as(entry) == ("send", "answer")]
    if replies and answers and min(answers) - max(replies) > LATE:
        return ("the replies come to the master in time, and it answers only when its own time is "
                "over: it does not find who is awaited, or awaits somebody else")
    if ("recv", "answer") in seen:
        return ("the answer comes to the worker, and not to the caller that waits for it: the "
                "lock is held while the caller waits, the call is noted after the request was "
                "sent, or nobody is woken")
    if ("recv", "reply") in seen:
        return ("the replies come to the master, and it does not answer the caller: it awaits "
                "more of them than it has sent requests, or does not find the call of a reply")
    if ("send", "request") in seen:
        return "the master passes the call on, and no worker replies to the request"
    return "the call leaves the worker, and the master passes it on to nobody"
