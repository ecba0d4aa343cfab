"""Exercise 4, advanced IPC: one class an item of the checklist.

One method is one check. The item on timeouts takes its first checks from a class of
harness/checks/.
"""
from __future__ import annotations

from itertools import product
from signal import SIGCONT, SIGSTOP

from harness.checks import connections
from harness.checks.common_ground.http import HttpChecks
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks, SpreadChecks
from harness.checks.common_ground.start import StartChecks
from harness.checks.messages import (
    mailboxes, message_deaths, message_flood, message_replies, message_stats, messages,
    stopped_workers,
)
from harness.clients import worker_slots
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check

EXERCISE = Exercise(
    number=4,
    name="advanced IPC",
    folder="exercises/ex4_advanced_ipc",
    start_first="open exercises/ex4_advanced_ipc/main.cpp at the first step that is still to do. "
                "With steps 1 to 5 GET /stats answers with all workers. Nothing else can be tried "
                "before that works.",
    endpoints="GET /|GET /stats|GET /broadcast|GET /messages",
    scaled={"REQUEST_TIMEOUT_MS": 1500, "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"REQUEST_TIMEOUT_MS": 5000, "SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("REQUEST_TIMEOUT_MS", "MESSAGE_LIMIT"),
)
GATE = ("test_stats_list_all_workers",)
SENDS = "test_the_receiver_replies"


class TestItem1Stats:
    """Stats cover all workers"""

    item = 1
    needs = GATE

    @check(expected="200 with an entry for each of the three workers, sorted, right sums in "
                    "`total`, `missing` empty",
           likely="only the worker's own numbers are told, or the others' do not arrive",
           hint="ask the master; the master asks every worker, collects, and answers when it has "
                "all", seconds=0.1)
    def test_stats_list_all_workers(self, fixture: Fixture) -> None:
        """`/stats` lists all workers, with sums"""
        cluster = fixture.start()
        workers = worker_slots.find_workers(cluster)
        for _ in range(8):
            message_stats.expect_all_workers(cluster, workers)

    @check(expected="after five requests to worker 2 its `requests` is five higher, that of worker "
                    "3 is not; seven broadcasts move `received` by seven, also with "
                    "MESSAGE_LIMIT=5, and nothing is pending",
           likely="the numbers are those of another worker, or are read once and kept",
           hint="each worker counts for itself, and is asked anew for every /stats", seconds=0.2)
    def test_counts_move(self, fixture: Fixture) -> None:
        """Counts move as requests and messages are made"""
        cluster = fixture.start({"MESSAGE_LIMIT": 5})
        message_stats.expect_counts_move(cluster, requests=5, broadcasts=7)
        message_stats.await_nothing_pending(cluster, 1.0)

    @check(expected="100 /stats at the same time are all answered in full",
           likely="there is room for one request in flight only: a later one overwrites the "
                  "pending entry of an earlier", hint="a table of pending requests, by id",
           seconds=0.3)
    def test_a_hundred_at_once(self, fixture: Fixture) -> None:
        """100 `/stats` at once all succeed"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 5000})
        message_stats.expect_all_at_once(cluster, 100)
        message_stats.await_nothing_pending(cluster, 1.0)


class TestItem2Broadcast:
    """A broadcast reaches every worker"""

    item = 2
    needs = GATE

    @check(expected="200 with delivered [1,2,3] and missing []; the message is in everyone's "
                    "/messages, the sender's too, just once",
           likely="the sender is left out, or gets it twice, or the answer does not wait for the "
                  "receivers",
           hint="the master passes it on to every slot, the sender's too; `delivered` are those "
                "that have confirmed", seconds=0.2)
    def test_broadcast_is_seen_by_everyone_once(self, fixture: Fixture) -> None:
        """A broadcast is in everyone's `/messages`, once each"""
        workers = connections.to_each(fixture.start())
        for sender in workers:
            mailboxes.expect_seen_by_everyone_once(workers, sender)

    @check(expected="empty messages, quotes, NUL, line ends, emoji and 1,024 bytes arrive as they "
                    "were sent; `hello` without a message; 1,025 bytes and what is not UTF-8 get "
                    "400",
           likely="the text is put into JSON by hand, or its length is counted before it is "
                  "decoded",
           hint="let the JSON library write it; count the bytes of the decoded text", seconds=0.2)
    def test_any_text_arrives_as_it_was_sent(self, fixture: Fixture) -> None:
        """Any text of up to 1,024 bytes arrives as it was sent, other is refused"""
        cluster = fixture.start()
        mailboxes.expect_texts_arrive(cluster)
        mailboxes.expect_bad_texts_refused(cluster)


class TestItem3Send:
    """Worker to worker by way of the master"""

    item = 3
    needs = GATE

    @check(expected="from every worker to every worker, itself too: a reply with the receiver's "
                    "number and pid, and the message; it is in the receiver's /messages and in no "
                    "other's", likely="the sender answers itself, or the message goes to everybody",
           hint="the receiver writes the reply; the master passes it back to who has asked",
           seconds=0.2)
    def test_the_receiver_replies(self, fixture: Fixture) -> None:
        """The right receiver gets it, only it, and replies itself"""
        cluster = fixture.start()
        workers = connections.to_each(cluster)
        for sender, receiver in product(workers, repeat=2):
            mailboxes.expect_seen_by_receiver_only(cluster, workers, sender, receiver)

    @check(expected="a whole number that is no slot (0, 4, -1, a huge one) gets 404; anything "
                    "else, and nothing, 400",
           likely="the number is taken from the text without looking at the rest, or out of range "
                  "is not looked at",
           hint="all of the text must be the number; then compare it with the number of slots",
           seconds=0.1)
    def test_bad_receivers_are_refused(self, fixture: Fixture) -> None:
        """Receivers that do not exist get 404, what is no number 400"""
        cluster = fixture.start()
        huge = "99999999999999999999999"
        messages.expect_receivers_refused(cluster, ("0", "4", "-1", "65", huge), 404)
        words = ("x", "2x", "1.5", "", "two", "0x1", "%20")
        messages.expect_receivers_refused(cluster, words, 400)

    @check(expected="after a worker was killed and replaced its slot is reachable: the reply has "
                    "the new pid", likely="messages are still sent to the old process",
           hint="look up the slot's process for every message", needs=(SENDS,), seconds=0.2)
    def test_the_slot_stays_reachable(self, fixture: Fixture) -> None:
        """A slot is reachable again when its worker was killed and replaced"""
        cluster = fixture.start()
        sender = connections.to_one(cluster, 1)
        messages.replace_worker(cluster, 2)
        messages.expect_answered(cluster, sender, 2, "are you there")
        messages.broadcast(cluster.client, "all there")

    @check(expected="with MESSAGE_LIMIT=5, of eight messages the last five are told, in their "
                    "order", likely="the first ones are kept, or all",
           hint="a queue: add at the end, drop from the front", needs=(SENDS,), seconds=1)
    def test_the_last_messages_are_kept(self, fixture: Fixture) -> None:
        """`/messages` tells the last MESSAGE_LIMIT"""
        cluster = fixture.start({"MESSAGE_LIMIT": 5})
        sender, reader = connections.to_one(cluster, 1), connections.to_one(cluster, 2)
        messages.send_each(sender, 2, "number", 8)
        mailboxes.expect_last(reader, "number", range(3, 8))


class TestItem4Timeouts(stopped_workers.StoppedWorkerChecks):
    """Timeouts hold"""

    item = 4
    needs = (*GATE, SENDS)

    @check(expected="with the master stopped each /send is 504 between half of REQUEST_TIMEOUT_MS "
                    "and the whole; when it goes on nothing stays pending, and everything works as "
                    "before",
           likely="a caller waits for as long as the master takes, or its entry is erased when the "
                  "answer comes, and not when the caller gives up",
           hint="the caller's wait has a deadline of its own; however it ends, its entry is erased",
           needs=(SENDS,), seconds=2)
    def test_callers_of_a_stopped_master_give_up(self, fixture: Fixture) -> None:
        """Callers of a stopped master give up in time, and nothing stays pending"""
        cluster = fixture.start()
        senders = worker_slots.connections_to(cluster, 4)[1]
        if stopped_workers.expect_callers_give_up(cluster, fixture, senders[:3]):
            stopped_workers.expect_nothing_kept(cluster, fixture, senders[3])
            message_stats.await_nothing_pending(cluster, message_replies.QUICK)
            messages.expect_answered(cluster, senders[3], 2, "as before")

    @check(expected="the receiver is killed while three /send to it are pending: each is 502 at "
                    "once, long before the timeout; nothing stays pending",
           likely="a death does not end what waits for the dead, or only the first of it",
           hint="when a worker dies, look through the whole table for what waits for it",
           seconds=0.5)
    def test_a_killed_receiver_is_502(self, fixture: Fixture) -> None:
        """The death of the receiver is 502 at once"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        senders = worker_slots.connections_to(cluster, 3)[1]
        messages.stop(cluster, 2)
        message_deaths.expect_502_at_death(cluster, 2, messages.begin_each(senders, 2, "farewell"))
        message_stats.await_nothing_pending(cluster, 1.0)

    @check(expected="as long as slot 2 has no process, since its workers died young and the next "
                    "one has to wait: 502 at once",
           likely="a message to a slot that has no process is noted as passed on, and its answer "
                  "waited for until the deadline",
           hint="look whether the slot has a process before you note that its answer is awaited",
           needs=(SENDS,), seconds=1)
    def test_a_slot_without_a_process_is_502(self, fixture: Fixture) -> None:
        """`/send` to a slot that has no process now is 502 at once"""
        cluster = fixture.start()
        sender, asker = connections.to_one(cluster, 1), connections.to_one(cluster, 3)
        emptied = message_deaths.empty_slot(cluster, 2)
        message_deaths.expect_502_of_empty_slot(cluster, fixture, sender, asker, 2, emptied)

    @check(expected="worker 1 is killed while it waits for worker 2; the answer that comes for it "
                    "afterwards is not taken for the answer to a request of its successor",
           likely="ids begin at 1 in every process, and the answer goes to whoever has the slot "
                  "now", hint="an id must be unique over the life of a worker and its successors",
           needs=(SENDS,), seconds=1.5)
    def test_answers_to_the_dead_reach_nobody(self, fixture: Fixture) -> None:
        """A successor does not get the answer to its predecessor"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        message_deaths.kill_sender_that_waits(cluster)
        held = messages.begin_surely(cluster, connections.to_one(cluster, 1), 3, "of the successor")
        cluster.signal_worker(2, SIGCONT)
        message_deaths.expect_no_answer(held, 0.3)
        cluster.signal_worker(3, SIGCONT)
        messages.expect_replies(cluster, [held])


class TestItem5AllEndpoints:
    """All endpoints work"""

    item = 5
    needs = (*GATE, SENDS)

    @check(expected="200 /send at the same time, distinct messages, to all workers mixed: each "
                    "gets the reply to its own message",
           likely="there is room for one call at a time, or ids collide between workers, or "
                  "replies are matched by something else",
           hint="an id is unique in the whole cluster: the worker's number and a counter, for "
                "instance", seconds=0.3, heavy=True)
    def test_two_hundred_sends_at_once(self, fixture: Fixture) -> None:
        """200 concurrent sends each get their own reply"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 5000})
        worker_slots.find_workers(cluster)
        messages.expect_replies_at_once(cluster, 200, few=30)

    @check(expected="`GET /` tells worker, pid and requests; `GET /messages` the worker and its "
                    "messages; all with the right form", likely="an endpoint is missing",
           hint="the table in the exercise's README", seconds=0.1)
    def test_the_simple_endpoints(self, fixture: Fixture) -> None:
        """`/` and `/messages` answer in their form"""
        connection = connections.to_one(fixture.start(), 1)
        message_stats.expect_requests_counted(connection)
        mailboxes.expect_form_of_messages(connection)

    @check(expected="10,000 messages: the last 100 are kept, in order, and no process grows with "
                    "every 5,000 messages more",
           likely="messages, pending entries or buffers pile up, or one message too few is kept",
           hint="bound everything that a client can make grow", seconds=6, heavy=True)
    def test_ten_thousand_messages(self, fixture: Fixture) -> None:
        """10,000 messages leave memory bounded, and the last 100 are kept"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        workers = worker_slots.connections_to(cluster, 4)
        reader = connections.to_one(cluster, 1)
        messages.broadcast_each(workers[1][0], "warm", 300, patience=10)
        senders = [one for found in workers.values() for one in found]
        messages.expect_memory_at_rest(cluster, senders)
        messages.send_each(workers[2][0], 1, "last", 100, patience=10)
        mailboxes.expect_last(reader, "last", range(100))

    @check(expected="5,000 messages of 1 KiB to a stopped worker: each sender gets an error (504, "
                    "or an earlier one that says so), others are served at once meanwhile, and "
                    "when it is woken everything works as before",
           likely="a write to the stopped worker blocks the master, or its queue grows without a "
                  "limit",
           hint="a queue for each worker, with a limit, and writes that never block", seconds=6.5,
           heavy=True)
    def test_five_thousand_messages_to_a_stopped_worker(self, fixture: Fixture) -> None:
        """5,000 messages to a stopped worker block nobody"""
        message_flood.need_open_files()
        timeout = int(fixture.pace(1000, 5000))  # it is waited for again and again
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": timeout})
        workers = connections.to_each(cluster)
        cluster.signal_worker(2, SIGSTOP)
        message_flood.flood(cluster, fixture, workers, turns=5)
        cluster.signal_worker(2, SIGCONT)
        message_flood.expect_reply_when_awake(cluster, workers[3])


class TestCommonGround(StartChecks, HttpChecks, LoadChecks, SpreadChecks, ProcessChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("REQUEST_TIMEOUT_MS", "0"), ("MESSAGE_LIMIT", "0"),
                   ("MESSAGE_LIMIT", "1000001"), ("REQUEST_TIMEOUT_MS", ""))
    own_edges: tuple[dict[str, int], ...] = (
        {"REQUEST_TIMEOUT_MS": 1, "MESSAGE_LIMIT": 1},
        {"REQUEST_TIMEOUT_MS": 3600000, "MESSAGE_LIMIT": 1000000})
