"""Steps and expectations of a drain, in the words of the contract."""
from __future__ import annotations

import time
from contextlib import contextmanager
from signal import SIGTERM, Signals
from typing import Callable, Iterator

from harness.clients import worker_search
from harness.clients.exchange import Answer, Exchange
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import BoundBroken, CheckFailed, Inconclusive

STRADDLE = 0.15
"""A request within so many seconds of a signal is judged neither by the rules before nor by those after it."""
NOTICED_WITHIN = 5.0
"""Seconds after which a program is signalled again although nobody is turned away."""
HELD_AT_LEAST = 0.15
READ_WITHIN = 0.15
"""Seconds within which the harness has read an answer that was sent."""
LONG_MS = 30000


def hold(cluster: Cluster, each: int, slots: list[int], path: str = "/slow") -> list[Exchange]:
    """Have that many requests in flight on each of these workers, surely read."""
    connections = worker_search.connections_to(cluster, each, slots)
    held = [connection.send(path) for slot in slots for connection in connections[slot]]
    cluster.settle(path)
    for exchange in held:
        if exchange.ended.is_set():
            answer = exchange.wait(0)
            if answer.status == 200 and answer.took > HELD_AT_LEAST:
                raise Inconclusive(f"the harness was too slow: {answer} before the signal could be sent")
            raise CheckFailed(f"{answer}, it should still be under way", expected=f"{path} takes its simulated time")
    return held


def begin(cluster: Cluster, signal: Signals) -> float:
    """Signal the master, and wait until the moment is past at which a request could straddle the signal."""
    signalled = cluster.signal(signal)
    time.sleep(STRADDLE)
    return signalled


def await_noticed(cluster: Cluster) -> None:
    """Until a new request is turned away, or for a while: whether it is, is judged elsewhere. A signal that comes before the program has
    noticed the last one of its number is merged with it, by the kernel (signal(7): they do not queue) or by a language's runtime."""
    deadline = time.monotonic() + NOTICED_WITHIN
    while time.monotonic() < deadline:
        answer = cluster.client.get("/fast", patience=1)
        if answer.outcome != "waiting" and answer.status != 200:
            return
        time.sleep(0.02)


def straddles(cluster: Cluster, started: float, signalled: float) -> bool:
    """Whether it began so soon after the signal that the worker need not have heard of it."""
    return started - signalled < window(cluster, signalled, STRADDLE)


def window(cluster: Cluster, signalled: float, seconds: float) -> float:
    """So many seconds after a signal as the program saw them: the machine's delay in that time added."""
    wide = seconds
    while True:
        wider = seconds + cluster.meter.allowance(signalled, signalled + wide)
        if wider <= wide + 0.01 or wider > 5:
            return wider
        wide = wider


@contextmanager
def over_when_all_is_answered(cluster: Cluster, signalled: float) -> Iterator[None]:
    """Everything is answered, and yet the master is still there: who tells whom that it is over is the mistake, whatever the check is about."""
    try:
        yield
    except BoundBroken as late:
        if cluster.watcher.newcomers(signalled):
            late.likely = "the code that replaces dead workers does not know that a shutdown is under way: there are new processes"
            late.hint = "replace a dead worker only while the cluster is not draining"
            raise
        late.likely = ("all requests are answered, but the cluster does not end then: a worker does not tell the master that it has drained (or "
                       "still counts a request, one that it turned away, for instance, or waits for idle connections: only active requests "
                       "count), or the master waits for one that is dead, or does not let the workers go")
        late.hint = "follow the log from the last answer on: does each worker say that it has drained, and does the master then tell all to end?"
        raise


LEFT_EARLY = "the workers end at the signal instead of draining, or the master ends them before they have drained"


def expect_whole(answer: Answer) -> None:
    """A full 200, written by a worker."""
    if answer.outcome != "answer" or answer.status != 200 or answer.worker is None:
        raise CheckFailed(str(answer) + (f", body {answer.body[:200]!r}" if answer.body else ""), expected="a whole 200 with JSON")


def expect_whole_while_draining(answer: Answer) -> None:
    try:
        expect_whole(answer)
    except CheckFailed as failure:
        if answer.outcome in ("closed", "reset", "cut"):
            failure.likely = LEFT_EARLY
        raise


def expect_finished(exchange: Exchange, work: float) -> None:
    """A request that takes so many seconds, and was in flight at the signal, is answered in full."""
    answer = exchange.wait(work + 4)
    if answer.outcome in ("closed", "reset", "cut") and answer.took >= work:
        raise CheckFailed(f"{answer}, its work being done after {work * 1000:.0f} ms", expected="a whole 200 with JSON",
                          likely="the request counts as finished when its work is done: the worker ended before its answer was written",
                          hint="count a request until its answer was sent, not until its handler returns")
    expect_whole_while_draining(answer)


def any_ended(held: list[Exchange]) -> bool:
    return any(one.ended.is_set() for one in held)


def expect_turned_away(cluster: Cluster, answer: Answer, within: float, signalled: float, held: list[Exchange], kept: bool = False) -> bool:
    """503 with Connection: close and Retry-After, in time, as long as the held requests are under way.

    Once they are not, only their own end is judged (expect_held_to_the_end()), and that nobody was left without an answer before.
    `kept`: asked on a connection that was open before. Returns whether it was judged.
    """
    when = f"{answer.started - signalled:.2f} s after the signal"
    if answer.outcome != "answer" or answer.status != 503:
        for exchange in held:
            exchange.ended.wait(0.1 / len(held))
        if answer.outcome != "answer":
            expect_not_in_vain(cluster, answer, within, when, held, kept)
        if any_ended(held) or straddles(cluster, answer.started, signalled):
            return False
        raise CheckFailed(f"{answer}, {when}, while {held[0].method} {held[0].path} was still being worked on", **why_not_503(answer, kept))
    missing = [] if answer.says_close() else ["Connection: close"]
    missing += [] if "retry-after" in answer.headers else ["Retry-After"]
    if missing:
        raise CheckFailed(f"{answer}, {when}, without {' and '.join(missing)}; its headers: {answer.headers}",
                          likely="the 503 is written without these headers", hint="set them where the 503 is written")
    try:
        cluster.expect_within(within, answer.started, answer.ended, f"the 503 to {answer.method} {answer.path}, {when}")
    except BoundBroken as late:
        late.likely = "the 503 waits: for a thread that slow requests keep busy, or as if it were work itself"
        late.hint = "say 503 where the request was read, before anything that takes time"
        raise
    return True


def expect_not_in_vain(cluster: Cluster, answer: Answer, within: float, when: str, held: list[Exchange], kept: bool) -> None:
    """No answer came. Whether the worker had heard of the signal or not, there should have been one before the first held request ended."""
    until = min([answer.ended, *(exchange.answer.ended for exchange in held if exchange.answer is not None)])
    try:
        cluster.expect_within(within, answer.started, until, f"the 503 to {answer.method} {answer.path}, {when} (none came: {answer})")
    except BoundBroken as late:
        busy = "all threads of the worker are busy with slow requests"
        late.likely = busy if kept else f"the workers stopped accepting when the drain began, so that it waited in the listening socket's queue; or {busy}"
        late.hint = ("read every connection while you drain" if kept else
                     "go on accepting while you drain, until the master says that the whole cluster has drained")
        raise


def why_not_503(answer: Answer, kept: bool) -> dict[str, str]:
    if answer.outcome == "answer" and answer.status == 200 and kept:
        return {"likely": "the request was served: only new connections are turned away, and a kept-alive one goes on being served",
                "hint": "ask for each request, not for each connection, whether the worker drains"}
    if answer.outcome == "answer" and answer.status == 200:
        return {"likely": "the request was served: nobody has looked whether the worker drains before it was handled",
                "hint": "ask for each request, when its last byte was read, whether the worker drains"}
    if answer.outcome in ("closed", "reset") and kept:
        return {"likely": "idle connections are closed at the signal, or the connection's own worker has ended: it had nothing left to do, "
                          "but another one had",
                "hint": "a worker that has drained stays and answers 503, until the master says that the whole cluster has drained"}
    if answer.outcome == "refused":
        return {"likely": "the listening socket was closed, or all workers have ended, before the last active request was answered",
                "hint": "go on accepting until the master says that the whole cluster has drained"}
    return {}


def expect_held_to_the_end(held: list[Exchange], judged: bool = True) -> None:
    """What kept the drain open was answered in full: else there was no drain in which anybody could be turned away."""
    answers = [exchange.wait(0) for exchange in held if exchange.ended.is_set()]
    for answer in answers:
        # 503: it had not been read at the signal, on a busy machine, and was rightly turned away.
        if answer.outcome != "answer" or answer.status not in (200, 503):
            raise CheckFailed(f"{answer}, although it was in flight at the signal: there was no drain",
                              expected="while a request is being worked on, it is finished and new ones get 503",
                              likely=LEFT_EARLY,
                              hint="at the signal only turn new requests away; end when none is in flight any more")
    if len(answers) == len(held) and not any(answer.status == 200 for answer in answers):
        raise Inconclusive("none of the requests that were to be in flight at the signal had been read by then")
    if not judged:
        raise Inconclusive("the machine was so far behind that no request can be said to have come after the signal")


def expect_all_answered_at(cluster: Cluster, refused: Answer, held: Exchange, signalled: float) -> None:
    """`refused` came when the last answer, to `held`, had been sent; the harness may read that answer later than the refusal."""
    ended = held.wait(2).ended
    late = ended - refused.started
    if late > READ_WITHIN and late > READ_WITHIN + cluster.meter.allowance(refused.started, ended):
        raise CheckFailed(f"{refused}, {refused.started - signalled:.2f} s after the signal, while {held.method} {held.path} was still "
                          f"being worked on: for {late:.2f} s more")


def expect_gone(cluster: Cluster, signalled: float, since: float, within: float) -> None:
    """Master and workers are gone in time, whatever the exit code."""
    with over_when_all_is_answered(cluster, signalled):
        expect_processes_gone(cluster, [cluster.pid], since, within, "after the last answer")
    expect_processes_gone(cluster, list(cluster.watcher.seen), since, within, "after the last answer")


def expect_processes_gone(cluster: Cluster, pids: list[int], since: float, within: float, when: str) -> None:
    left = cluster.watcher.wait_gone(pids, since + within * 1.5 + 2 - time.monotonic())
    if left:
        cluster.refuse_late(within, since, f"the end of process {left[0]} {when} (still there)")
    for pid in pids:
        cluster.expect_within(within, since, cluster.watcher.gone_at(pid) or since, f"the end of process {pid} {when}")


def start_with_short_timeout(fixture: Fixture, real: int = 10000, **settings: int) -> tuple[Cluster, float]:
    """A cluster whose slow requests outlast its shutdown timeout; with the timeout in seconds."""
    timeout = int(fixture.pace(1500, real))
    cluster = fixture.start({"SLOW_MS": LONG_MS, "SHUTDOWN_TIMEOUT_MS": timeout, **settings})
    return cluster, timeout / 1000


def send_halves(cluster: Cluster) -> list[Exchange]:
    """Half a head on a connection to worker 1, half a body on one to worker 2."""
    connections = worker_search.connections_to(cluster, 1, [1, 2])
    head = f"GET /fast HTTP/1.1\r\nHost: {cluster.client.host}\r\nX-Half: ye".encode()
    body = f"POST /fast HTTP/1.1\r\nHost: {cluster.client.host}\r\nContent-Length: 1000\r\n\r\n{{".encode()
    return [connections[1][0].send_raw(head, "GET", "/fast"), connections[2][0].send_raw(body, "POST", "/fast")]


def expect_cut(cluster: Cluster, exchange: Exchange, since: float, timeout: float) -> None:
    """No 200; the connection is closed at the timeout within 10 % + 200 ms."""
    latest = timeout * 1.1 + 0.2
    exchange.ended.wait(max(0.0, since + latest + 2 - time.monotonic()))
    answer = exchange.wait(0)
    what = f"the end of {exchange.method} {exchange.path} after {'the signal' if timeout != 5.0 else 'its first byte'}"
    if answer.status == 200:
        raise CheckFailed(f"{answer}, although it should have been cut")
    if answer.outcome == "waiting":
        cluster.refuse_late(latest, since, what + " (still open)")
    cluster.expect_within(latest, since, answer.ended, what)
    expect_not_before(timeout * 0.9 - 0.2, since, answer.ended, what)


def expect_forced_end(cluster: Cluster, signalled: float, timeout: float) -> None:
    """The cluster ends at the timeout with exit code 1, and nothing is left."""
    latest = timeout * 1.1 + 0.2
    at = cluster.expect_exit(1, signalled, latest + 0.5)
    expect_not_before(timeout * 0.9 - 0.2, signalled, at, "the end of the master")
    cluster.expect_nothing_left(signalled, latest + 0.5)


def expect_log_after(cluster: Cluster, moment: float) -> None:
    """The master logged something about the cut."""
    cluster.output()
    tag = f"master[{cluster.pid}]"
    if not any(line.t >= moment and tag in line.text for line in cluster.lines):
        raise CheckFailed(f"no line with {tag} on standard output at the timeout" + cluster.said(),
                          expected="the master logs what it cut")


def expect_drained_together(cluster: Cluster, fixture: Fixture, send: Callable[[], float]) -> None:
    """Both finish what they have; it is not so that one drains and the other serves on; all end; exit code 0."""
    slots = [1, 2]
    held = hold(cluster, 1, slots)
    signalled = send()
    time.sleep(STRADDLE)
    answers: list[Answer] = []
    while not any_ended(held) and len(answers) < 24:
        answers.append(cluster.client.get("/fast", patience=1))
        time.sleep(0.02)
    for exchange in held:
        expect_whole(exchange.wait(fixture.figure("SLOW_MS") + 4))
    last = max(exchange.wait(0).ended for exchange in held)
    serving = {one.worker for one in answers if one.status == 200 and not straddles(cluster, one.started, signalled)}
    draining = {one.worker for one in answers if one.status == 503}
    if serving and draining:
        said, served = ("worker " + ", ".join(sorted(map(str, some))) for some in (draining, serving))
        raise CheckFailed(f"after the signal {said} answered 503, but {served} still 200")
    with over_when_all_is_answered(cluster, signalled):
        cluster.expect_exit(0, last, 1.0)
    cluster.expect_nothing_left(last, 1.0)


def expect_replaced(cluster: Cluster, slot: int, old: int, since: float, within: float, other: Connection | None = None) -> int:
    """A new process answers in the slot in time; a kept-alive connection to another worker is served meanwhile."""
    while True:
        answer = worker_search.ask_successor(cluster, slot, old)
        if answer is not None and answer.pid is not None:
            cluster.expect_within(within, since, answer.ended, f"the first answer of the new worker {slot}")
            cluster.slots[slot] = answer.pid
            return answer.pid
        if other is not None:
            expect_whole(other.get(cluster.exercise.probe, patience=2))
        now = time.monotonic()
        if now > since + within + 2:
            cluster.refuse_late(within, since, f"an answer of a new worker {slot} (none came)")
        time.sleep(0.01)


def expect_one_worker_leaves(cluster: Cluster, fixture: Fixture, slot: int) -> None:
    """SIGTERM to one worker: it finishes, nobody gets a 503 later than 250 ms, a successor comes."""
    idle = worker_search.connections_to(cluster, 1, [slot])[slot][0]
    held = hold(cluster, 1, [slot])[0]
    old = worker_search.pid_of(cluster, slot)
    signalled = cluster.signal_worker(slot, SIGTERM)
    time.sleep(0.25)
    asked = [idle.get("/fast", patience=2)]
    while not held.ended.is_set() and time.monotonic() < signalled + fixture.figure("SLOW_MS") + 2:
        asked.append(cluster.client.get("/fast", patience=2))
        time.sleep(0.03)
    expect_whole(held.wait(1))
    unjudged = window(cluster, signalled, 0.25)
    refused = next((answer for answer in asked if answer.outcome == "refused"), None)
    if refused is not None:
        raise CheckFailed(f"{refused}, {refused.started - signalled:.2f} s after SIGTERM to worker {slot}", expected="the others serve",
                          likely="the worker that leaves has called shutdown() on the listening socket, or the server's stop() has: that ends "
                                 "it for all processes that share it",
                          hint="close() the worker's own descriptor, or stop polling it; the socket itself belongs to all")
    for index, answer in enumerate(asked):
        after = answer.started - signalled
        if after < unjudged:
            continue
        if answer.status == 503 or (index and (answer.status != 200 or answer.pid == old)):
            raise CheckFailed(f"{answer} (pid {answer.pid}), {after:.2f} s after SIGTERM to worker {slot} (pid {old})")
    expect_processes_gone(cluster, [old], held.wait(0).ended, 2.0, f"(worker {slot}, sent SIGTERM) after its last answer")
    expect_replaced(cluster, slot, old, since=time.monotonic(), within=2.0)
