"""A drain: the signal, the requests that are in flight then, their answers, and the end."""
from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGKILL, SIGTERM, Signals
from typing import Callable, Iterator

from harness.checks.process_end import expect_processes_gone
from harness.checks.settings import seconds
from harness.clients import worker_slots
from harness.clients.exchange import Answer, Exchange
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import BoundBroken, CheckFailed, Inconclusive

STRADDLE = 0.15
"""Seconds after a signal in which a request may begin before the worker has heard of the signal.
Such a request is judged neither by the rules before the signal nor by those after it."""
NOTICED_WITHIN = 5.0
"""Seconds to wait until a new request is turned away. Then the next signal is sent anyway."""
HELD_AT_LEAST = 0.15
AFTER_LAST_ANSWER = 1.0
"""Seconds after the last answer within which the cluster has to end."""
MOST_ASKED = 24
"""Requests after the signal that show whether all workers drain."""
LEFT_EARLY = ("the workers end at the signal instead of draining, or the master ends them before "
              "they have drained")


@dataclass(frozen=True)
class Drain:
    """A drain under way."""

    cluster: Cluster
    signalled: float
    """The moment of the signal."""
    held: list[Exchange]
    """The requests in flight at the signal. They keep the drain open."""


# ----- its beginning


def hold(cluster: Cluster, each: int, slots: list[int], path: str = "/slow") -> list[Exchange]:
    """Send `each` requests to each of these workers; wait until the program has read them."""
    connections = worker_slots.connections_to(cluster, each, slots)
    held = [connection.send(path) for slot in slots for connection in connections[slot]]
    cluster.settle(path)
    for exchange in held:
        if exchange.ended.is_set():
            answer = exchange.wait(0)
            if answer.status == 200 and answer.took > HELD_AT_LEAST:
                raise Inconclusive(f"the harness was too slow: {answer} before the signal could "
                                   "be sent")
            raise CheckFailed(f"{answer}, it should still be under way",
                              expected=f"{path} takes its simulated time")
    return held


def hold_anywhere(cluster: Cluster, count: int) -> list[Exchange]:
    """Have that many slow requests in flight on fresh connections, surely read."""
    held = [cluster.client.start("/slow") for _ in range(count)]
    cluster.settle("/slow")
    return held


def begin(cluster: Cluster, held: list[Exchange], number: Signals = SIGTERM) -> Drain:
    """Signal the master, and wait until no request can straddle the signal any more."""
    signalled = cluster.signal(number)
    time.sleep(STRADDLE)
    return Drain(cluster, signalled, held)


def begin_busy(cluster: Cluster, slots: list[int]) -> Drain:
    """Begin a drain that a slow request on each of these workers keeps open."""
    return begin(cluster, hold(cluster, 1, slots))


def begin_noticed(cluster: Cluster, held: list[Exchange], number: Signals) -> Drain:
    """As begin(), and wait until a new request is turned away, but not for ever.

    Whether it is turned away is judged by other checks. Without the wait the next signal may be
    merged with this one: by the kernel, if it has the same number (signal(7): standard signals do
    not queue), or by a language's runtime.
    """
    draining = begin(cluster, held, number)
    deadline = time.monotonic() + NOTICED_WITHIN
    while time.monotonic() < deadline:
        answer = cluster.client.get("/fast", patience=1)
        if answer.outcome != "waiting" and answer.status != 200:
            break
        time.sleep(0.02)
    return draining


def straddles(cluster: Cluster, started: float, signalled: float) -> bool:
    """Whether a request began so soon after the signal that the worker need not have heard it."""
    return started - signalled < window(cluster, signalled, STRADDLE)


def window(cluster: Cluster, signalled: float, wanted: float) -> float:
    """That many seconds after a signal, and as many more as the machine was behind in that time."""
    wide = wanted
    while True:
        wider = wanted + cluster.meter.allowance(signalled, signalled + wide)
        if wider <= wide + 0.01 or wider > 5:
            return wider
        wide = wider


# ----- answers


def expect_answers_in_time(cluster: Cluster, delays: dict[str, float]) -> None:
    """A request to each path, all at once: each is answered after that many seconds."""
    under_way = {path: cluster.client.start(path) for path in delays}
    for path, delay in sorted(delays.items(), key=lambda one: one[1]):
        answer = under_way[path].wait(delay + 5)
        expect_whole(answer)
        expect_not_before(delay * 0.98, answer.started, answer.ended, f"the answer to {path}")
        cluster.expect_within(delay + 0.5, answer.started, answer.ended, f"the answer to {path}")


def expect_whole(answer: Answer) -> None:
    """A full 200, written by a worker."""
    if answer.outcome != "answer" or answer.status != 200 or answer.worker is None:
        raise CheckFailed(str(answer) + (f", body {answer.body[:200]!r}" if answer.body else ""),
                          expected="a whole 200 with JSON")


def expect_whole_while_draining(answer: Answer) -> None:
    try:
        expect_whole(answer)
    except CheckFailed as failure:
        if answer.outcome in ("closed", "reset", "cut"):
            failure.likely = LEFT_EARLY
        raise


def expect_finished(held: list[Exchange], work: float) -> None:
    """Requests in flight at the signal, which take so many seconds, are answered in full."""
    for exchange in held:
        expect_answered_after(work, exchange.wait(work + 4))


def expect_answered_after(work: float, answer: Answer) -> None:
    if answer.outcome in ("closed", "reset", "cut") and answer.took >= work:
        raise CheckFailed(f"{answer}, its work being done after {work * 1000:.0f} ms",
                          expected="a whole 200 with JSON",
                          likely="the request counts as finished when its work is done: the worker "
                                 "ended before its answer was written",
                          hint="count a request until its answer was sent, not until its handler "
                               "returns")
    expect_whole_while_draining(answer)


def any_ended(held: list[Exchange]) -> bool:
    return any(one.ended.is_set() for one in held)


def expect_held_to_the_end(held: list[Exchange], judged: bool = True) -> None:
    """The requests that kept the drain open were answered in full.

    Otherwise there was no drain in which anybody could be turned away. `judged`: whether any other
    request came surely after the signal.
    """
    answers = [exchange.wait(0) for exchange in held if exchange.ended.is_set()]
    for answer in answers:
        # 503: on a busy machine it was read only after the signal, and rightly turned away.
        if answer.outcome != "answer" or answer.status not in (200, 503):
            raise CheckFailed(f"{answer}, although it was in flight at the signal: there was no "
                              "drain",
                              expected="while a request is being worked on, it is finished and "
                                       "new ones get 503",
                              likely=LEFT_EARLY,
                              hint="at the signal only turn new requests away; end when none is "
                                   "in flight any more")
    if len(answers) == len(held) and not any(answer.status == 200 for answer in answers):
        raise Inconclusive("none of the requests that were to be in flight at the signal had been "
                           "read by then")
    if not judged:
        raise Inconclusive("the machine was so far behind that no request can be said to have come "
                           "after the signal")


# ----- its end


@contextmanager
def over_when_all_is_answered(cluster: Cluster, signalled: float) -> Iterator[None]:
    """If the master is still there although all requests are answered, say why that may be.

    Whatever the check is about, the mistake is then in how the processes tell each other that the
    drain is over.
    """
    try:
        yield
    except BoundBroken as late:
        if cluster.watcher.newcomers(signalled):
            late.likely = ("the code that replaces dead workers does not know that a shutdown is "
                           "under way: there are new processes")
            late.hint = "replace a dead worker only while the cluster is not draining"
            raise
        late.likely = ("all requests are answered, but the cluster does not end then: a worker "
                       "does not tell the master that it has drained (or its count is wrong, since "
                       "it goes up or down for one that was turned away, or it waits for idle "
                       "connections: only active requests count; or nothing wakes its wait: with "
                       "the kit's library close_after_answer() does, called before it), or the "
                       "master waits for one that is dead, or does not let the workers go")
        late.hint = ("follow the log from the last answer on: does each worker say that it has "
                     "drained, and does the master then tell all to end?")
        raise


def expect_exit_after_answers(cluster: Cluster, code: int, signalled: float, last: float) -> None:
    """The master ends in time after the last answer with that exit code."""
    with over_when_all_is_answered(cluster, signalled):
        cluster.expect_exit(code, last, AFTER_LAST_ANSWER)


def expect_answers_and_end(cluster: Cluster, held: list[Exchange], signalled: float) -> None:
    """The requests in flight are answered in full; then the cluster ends with exit code 0."""
    answers = [exchange.wait(seconds(cluster, "SLOW_MS") + 4) for exchange in held]
    for answer in answers:
        expect_whole_while_draining(answer)
    last = max(answer.ended for answer in answers)
    expect_exit_after_answers(cluster, 0, signalled, last)
    cluster.expect_nothing_left(last, AFTER_LAST_ANSWER)


def expect_gone_after_answers(cluster: Cluster, signalled: float, last: float) -> None:
    """Master and workers are gone in time after the last answer, whatever the exit code."""
    when = "after the last answer"
    with over_when_all_is_answered(cluster, signalled):
        expect_processes_gone(cluster, [cluster.pid], last, AFTER_LAST_ANSWER, when)
    expect_processes_gone(cluster, list(cluster.watcher.seen), last, AFTER_LAST_ANSWER, when)


def expect_drained_together(cluster: Cluster, send: Callable[[Cluster], float]) -> None:
    """After one signal both workers finish their requests, neither serves on, and all end.

    `send` sends the signal to the cluster and returns its moment.
    """
    held = hold(cluster, 1, [1, 2])
    signalled = send(cluster)
    time.sleep(STRADDLE)
    asked: list[Answer] = []
    while not any_ended(held) and len(asked) < MOST_ASKED:
        asked.append(cluster.client.get("/fast", patience=1))
        time.sleep(0.02)
    for exchange in held:
        expect_whole(exchange.wait(seconds(cluster, "SLOW_MS") + 4))
    last = max(exchange.wait(0).ended for exchange in held)
    serving = {one.worker for one in asked
               if one.status == 200 and not straddles(cluster, one.started, signalled)}
    draining = {one.worker for one in asked if one.status == 503}
    if serving and draining:
        said, served = ("worker " + ", ".join(sorted(map(str, some)))
                        for some in (draining, serving))
        raise CheckFailed(f"after the signal {said} answered 503, but {served} still 200")
    expect_exit_after_answers(cluster, 0, signalled, last)
    cluster.expect_nothing_left(last, AFTER_LAST_ANSWER)


def expect_no_replacement(cluster: Cluster, lost: int, kept: int) -> None:
    """A worker that is killed during the drain gets no successor; the other's request is answered.

    The request of the killed worker is lost, so the exit code is 1.
    """
    on_lost, on_kept = hold(cluster, 1, [lost])[0], hold(cluster, 1, [kept])[0]
    begin(cluster, [on_lost, on_kept])
    killed = cluster.signal_worker(lost, SIGKILL)
    answer = on_kept.wait(seconds(cluster, "SLOW_MS") + 4)
    expect_whole(answer)
    last = max(answer.ended, on_lost.wait(1).ended)
    expect_exit_after_answers(cluster, 1, killed, last)
    newcomers = cluster.watcher.newcomers(killed)
    if newcomers:
        raise CheckFailed(f"new processes during the shutdown: {[one.pid for one in newcomers]}")
