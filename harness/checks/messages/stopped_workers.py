"""Checks of exercise 4 with a stopped worker: its messages wait or time out, all others do not."""
from __future__ import annotations

import time
from signal import SIGCONT, SIGSTOP

from harness.checks import connections
from harness.checks.drain import drain
from harness.checks.messages import (
    mailboxes, message_deaths, message_replies, message_stats, messages,
)
from harness.clients import worker_slots
from harness.clients.exchange import Exchange
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.time_bounds import await_true
from harness.judging.verdict import CheckFailed
from harness.system import processes


FORGETS_WITHIN = 0.5
"""Seconds after a 504. Only /stats could tell whether it is done, and the master is stopped."""


class StoppedWorkerChecks:
    """Mixed into the item on timeouts, as its first checks."""

    @check(expected="with worker 2 stopped /stats is 200 within REQUEST_TIMEOUT_MS, with the "
                    "others and missing [2]",
           likely="the answer waits for all, and the caller's time is over first",
           hint="the master's deadline is shorter than the caller's: then it answers with what "
                "there is", seconds=2.5)
    def test_stats_without_a_stopped_worker(self, fixture: Fixture) -> None:
        """With a worker stopped, `/stats` is answered in time with what there is"""
        cluster = fixture.start()
        asked = connections.to_one(cluster, 1)
        messages.stop(cluster, 2)
        message_stats.expect_in_time(cluster, fixture, asked, stopped=2)
        mailboxes.expect_broadcast_in_time(cluster, fixture, asked, stopped=2)

    @check(expected="a /send to a stopped worker is 504 between half of REQUEST_TIMEOUT_MS and the "
                    "whole; sends to others are answered at once meanwhile, each with its "
                    "own reply",
           likely="the master or the sender waits for the stopped worker and does nothing else, or "
                  "gives up too early",
           hint="nobody waits in the master: it notes what it has passed on, and goes on",
           seconds=1.5)
    def test_send_to_a_stopped_worker(self, fixture: Fixture) -> None:
        """`/send` to a stopped worker is 504 in time, and disturbs nobody"""
        cluster = fixture.start()
        workers = worker_slots.connections_to(cluster, 2)
        cluster.signal_worker(2, SIGSTOP)
        held = workers[1][0].send(messages.send_path(2, "for later"))
        expect_others_answered(cluster, {slot: second for slot, (_, second) in workers.items()},
                               until=held)
        message_replies.expect_504_in_time(cluster, held, fixture)

    @check(expected="a reply that comes late but in time reaches just the caller who waits for it, "
                    "whatever was answered meanwhile",
           likely="replies are matched in the order in which they come",
           hint="each reply bears the id of its request", seconds=0.2)
    def test_replies_out_of_order(self, fixture: Fixture) -> None:
        """Replies that come out of order reach just their callers"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        senders = worker_slots.connections_to(cluster, 6)[1]
        cluster.signal_worker(2, SIGSTOP)
        held = messages.begin_each(senders[:3], 2, "first")
        cluster.settle(messages.send_path(2))
        messages.expect_each_answered(cluster, senders[4], 3, "second", 3)
        expect_waiting(held)
        cluster.signal_worker(2, SIGCONT)
        messages.expect_replies(cluster, held)

    @check(expected="after the 504s the worker goes on: its late answers reach nobody, later "
                    "messages get their own replies, and `pending` is 0 everywhere",
           likely="a late answer is taken for that to a later request, pending entries are never "
                  "erased, or /stats waits for the stopped worker",
           hint="the entry is gone when its time is over; an answer whose id is not in the table "
                "is dropped", seconds=3.5)
    def test_late_answers_do_no_harm(self, fixture: Fixture) -> None:
        """Late answers do no harm, and nothing stays pending"""
        cluster = fixture.start()
        senders = worker_slots.connections_to(cluster, 5)[1]
        cluster.signal_worker(2, SIGSTOP)
        expect_all_504(cluster, fixture, senders[:4])
        again = messages.begin_each(senders[:4], 2, "again")
        cluster.settle(again[-1].exchange.path)
        cluster.signal_worker(2, SIGCONT)
        messages.expect_replies(cluster, again)
        messages.expect_each_answered(cluster, senders[4], 2, "new", 10)
        message_stats.await_nothing_pending(cluster, 1.0)

    @check(expected="worker 2 dies while /stats and /broadcast wait for it: it is in `missing`, "
                    "and the others are listed",
           likely="when a worker dies, its reply is no longer awaited, but nobody notes that its "
                  "slot is missing",
           hint="who has died, and who was too late, is missing in the answer", seconds=0.5)
    def test_a_death_during_stats(self, fixture: Fixture) -> None:
        """A worker that dies while `/stats` and `/broadcast` wait for it is missing there"""
        cluster = fixture.start()
        asked = worker_slots.connections_to(cluster, 2)[1]
        message_deaths.expect_missing_at_death(cluster, fixture, asked, 2)

    @check(expected="worker 1 is killed while it waits for worker 2; when the time of its message "
                    "is over, nothing stays pending, and everything works as before",
           likely="the deadline of a message whose sender has died finds nothing that it could end",
           hint="when a sender dies, what waits for its answer is forgotten, with the deadline",
           seconds=2.5)
    def test_the_deadline_of_a_dead_sender(self, fixture: Fixture) -> None:
        """The deadline of a sender that has died does no harm"""
        cluster = fixture.start()
        message_deaths.kill_sender_that_waits(cluster)
        cluster.wait_exit(message_replies.timeout(fixture))
        for slot in (2, 3):
            cluster.signal_worker(slot, SIGCONT)
        messages.expect_answered(cluster, connections.to_one(cluster, 1), 2, "as before")
        message_stats.await_nothing_pending(cluster, message_replies.QUICK)


def expect_others_answered(cluster: Cluster, workers: dict[int, Connection], until: Exchange
                           ) -> None:
    """As long as this request waits for stopped worker 2, the others reply at once."""
    number = 0
    while not until.ended.is_set() and number < 200:
        number += 1
        for sender, receiver in ((1, 3), (3, 1), (3, 3)):
            message = f"{number} from {sender}"
            answer = workers[sender].get(messages.send_path(receiver, message), patience=3)
            cluster.expect_within(message_replies.QUICK, answer.started, answer.ended,
                                  f"a reply of worker {receiver} with worker 2 stopped")
            message_replies.expect_reply(cluster, answer, receiver, message)
        time.sleep(0.01)


def expect_waiting(held: list[messages.Sent]) -> None:
    exchanges = [one.exchange for one in held]
    if drain.any_ended(exchanges):
        raise CheckFailed(f"{exchanges[0].wait(0)}, although worker 2 is stopped",
                          expected="it waits for worker 2's own reply")


def expect_all_504(cluster: Cluster, fixture: Fixture, senders: list[Connection]) -> None:
    """Messages to stopped worker 2 end with 504 in time, and nothing of them stays pending."""
    for one in messages.begin_each(senders, 2, "late"):
        message_replies.expect_504_in_time(cluster, one.exchange, fixture)
    message_stats.await_nothing_pending(cluster, message_replies.QUICK, missing=[2])


def expect_callers_give_up(cluster: Cluster, fixture: Fixture, senders: list[Connection]) -> bool:
    """With the master stopped each sender gets 504 in time.

    False if the workers take a stopped master for a dead one and end, which nobody forbids.
    """
    workers = set(cluster.slots.values())
    cluster.signal(SIGSTOP)
    await_true(lambda: processes.stopped(cluster.pid), 5, "the master did not stop")
    held = [one.send(messages.send_path(receiver, "nobody passes it on"))
            for receiver, one in enumerate(senders, 1)]
    for exchange in held:
        exchange.ended.wait(message_replies.timeout(fixture) * 1.5 + 2)
    if not any(map(processes.alive, workers)):
        return False
    for exchange in held:
        message_replies.expect_504_in_time(cluster, exchange, fixture)
    return True


def expect_nothing_kept(cluster: Cluster, fixture: Fixture, asked: Connection) -> None:
    """The stopped master goes on. Worker 1 keeps nothing of the calls that it has given up.

    Worker 2 is stopped meanwhile: so its late answer cannot take away what was kept. A worker has a
    moment from the 504 until it forgets the call.
    """
    cluster.signal_worker(2, SIGSTOP)
    time.sleep(FORGETS_WITHIN)
    cluster.signal(SIGCONT)
    answer = asked.get("/stats", patience=message_replies.timeout(fixture) * 1.5 + 2)
    pending = message_stats.expect_stats(cluster, answer, [2])[1]["pending"]
    if pending != 0:
        raise CheckFailed(f"{answer}: worker 1 has {pending} pending, before any late answer",
                          expected="pending 0: its callers have given up")
    cluster.signal_worker(2, SIGCONT)
