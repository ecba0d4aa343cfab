"""Exercise 4, advanced IPC: one class an item of the checklist, one method a check."""
from __future__ import annotations

import time
from signal import SIGCONT, SIGKILL, SIGSTOP

from harness.checks import drain, memory, messages, replacement
from harness.checks.common_ground.http import HttpChecks, expect_error, expect_form
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks, SpreadChecks
from harness.checks.common_ground.start import StartChecks
from harness.clients import worker_search
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

EXERCISE = Exercise(
    number=4,
    name="advanced IPC",
    folder="exercises/ex4_advanced_ipc",
    start_first="in exercises/ex4_advanced_ipc/main.cpp do what is still to do of step 1 (start the workers) and of steps 3, 4, 5 and 7, "
                "until GET /stats answers with all workers. Nothing else can be tried before that works.",
    endpoints="GET /|GET /stats|GET /broadcast|GET /messages",
    scaled={"REQUEST_TIMEOUT_MS": 1500, "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"REQUEST_TIMEOUT_MS": 5000, "SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("REQUEST_TIMEOUT_MS", "MESSAGE_LIMIT"),
)
GATE = ("test_stats_list_all_workers",)
SENDS = "test_the_receiver_replies"
BROADCASTS = 7
TEXTS = ("plain", "", "a b+c&d=e%20", 'quotes " and \\ and </script>', "line\nand\ttab", "nul \0 inside", "grün, 日本語, 🦀", "x" * 1024)


class TestItem1Stats:
    """Stats cover all workers"""

    item = 1
    needs = GATE

    @check(expected="200 with an entry for each of the three workers, sorted, right sums in `total`, `missing` empty",
           likely="only the worker's own numbers are told, or the others' do not arrive",
           hint="ask the master; the master asks every worker, collects, and answers when it has all", seconds=0.1)
    def test_stats_list_all_workers(self, fixture: Fixture) -> None:
        """`/stats` lists all workers, with sums"""
        cluster = fixture.start()
        workers = worker_search.find_workers(cluster)
        for answer in (cluster.client.get("/stats", patience=5) for _ in range(8)):
            rows = messages.expect_stats(cluster, answer, [])
            messages.expect_sums(answer, rows)
            if {slot: row["pid"] for slot, row in rows.items()} != workers:
                raise CheckFailed(f"pids {({slot: row['pid'] for slot, row in rows.items()})}", expected=f"the workers' own: {workers}")

    @check(expected="after five requests to worker 2 its `requests` is five higher, that of worker 3 is not; seven broadcasts move "
                    "`received` by seven, also with MESSAGE_LIMIT=5, and nothing is pending",
           likely="the numbers are those of another worker, or are read once and kept",
           hint="each worker counts for itself, and is asked anew for every /stats", seconds=0.2)
    def test_counts_move(self, fixture: Fixture) -> None:
        """Counts move as requests and messages are made"""
        cluster = fixture.start({"MESSAGE_LIMIT": 5})
        connections = {slot: found[0] for slot, found in worker_search.connections_to(cluster, 1).items()}
        before = messages.expect_stats(cluster, connections[1].get("/stats", patience=5), [])
        for _ in range(5):
            messages.expect_json(connections[2].get("/", patience=5), 200)
        for number in range(BROADCASTS):
            messages.expect_json(connections[1].get(messages.broadcast_path(f"count me {number}"), patience=5), 200)
        answer = connections[1].get("/stats", patience=5)
        after = messages.expect_stats(cluster, answer, [])
        messages.expect_sums(answer, after)
        moved, received = ({slot: after[slot][key] - before[slot][key] for slot in (2, 3)} for key in ("requests", "received"))
        if moved != {2: 5, 3: 0} or set(received.values()) != {BROADCASTS}:
            raise CheckFailed(f"requests moved by {moved}; received went from {({slot: row['received'] for slot, row in before.items()})} "
                              f"to {({slot: row['received'] for slot, row in after.items()})}",
                              expected=f"requests by 5 (worker 2) and 0 (worker 3), received by {BROADCASTS} (both)",
                              likely="`received` is how many messages are kept, not how many have come" if set(received.values()) == {5} else "")
        messages.await_nothing_pending(cluster, 1.0)

    @check(expected="100 /stats at the same time are all answered in full",
           likely="there is room for one request in flight only: a later one overwrites the pending entry of an earlier",
           hint="a table of pending requests, by id", seconds=0.3)
    def test_a_hundred_at_once(self, fixture: Fixture) -> None:
        """100 `/stats` at once all succeed"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 5000})
        worker_search.find_workers(cluster)
        exchanges = [cluster.client.start("/stats") for _ in range(100)]
        for exchange in exchanges:
            messages.expect_stats(cluster, exchange.wait(10), [])
        messages.await_nothing_pending(cluster, 1.0)


class TestItem2Broadcast:
    """A broadcast reaches every worker"""

    item = 2
    needs = GATE

    @check(expected="200 with delivered [1,2,3] and missing []; the message is in everyone's /messages, the sender's too, just once",
           likely="the sender is left out, or gets it twice, or the answer does not wait for the receivers",
           hint="the master passes it on to every slot, the sender's too; `delivered` are those that have confirmed", seconds=0.2)
    def test_broadcast_is_seen_by_everyone_once(self, fixture: Fixture) -> None:
        """A broadcast is in everyone's `/messages`, once each"""
        cluster = fixture.start()
        connections = {slot: found[0] for slot, found in worker_search.connections_to(cluster, 1).items()}
        for sender, connection in connections.items():
            message = f"to all from {sender}"
            body = messages.expect_json(connection.get(messages.broadcast_path(message), patience=5), 200)
            wanted = {"from": sender, "message": message, "delivered": [1, 2, 3], "missing": []}
            if {key: body.get(key) for key in wanted} != wanted:
                raise CheckFailed(f"the answer to a broadcast is {body}", expected=str(wanted))
            for slot, reader in connections.items():
                found = messages.having(messages.mailbox(reader), message)
                if len(found) != 1 or (found[0]["from"], found[0]["type"]) != (sender, "broadcast"):
                    raise CheckFailed(f"worker {slot} has {found}", expected=f"once, from {sender}, type broadcast")

    @check(expected="empty messages, quotes, NUL, line ends, emoji and 1,024 bytes arrive as they were sent; `hello` without a message; "
                    "1,025 bytes and what is not UTF-8 get 400",
           likely="the text is put into JSON by hand, or its length is counted before it is decoded",
           hint="let the JSON library write it; count the bytes of the decoded text", seconds=0.2)
    def test_any_text_arrives_as_it_was_sent(self, fixture: Fixture) -> None:
        """Any text of up to 1,024 bytes arrives as it was sent, other is refused"""
        cluster = fixture.start()
        reader = messages.pinned(cluster, 3)
        for text in TEXTS:
            messages.expect_json(cluster.client.get(messages.broadcast_path(text), patience=5), 200)
            if (last := messages.newest(reader)) != text:
                raise CheckFailed(f"{text[:60]!r} was sent, {last[:60]!r} arrived")
        messages.expect_json(cluster.client.get("/broadcast", patience=5), 200)
        if (last := messages.newest(reader)) != "hello":
            raise CheckFailed(f"without a message {last!r} arrived", expected="hello")
        refused: tuple[str | bytes, ...] = ("x" * 1025, "ü" * 513, b"\xff", b"cut \xe2\x82")
        for bad in refused:
            for path in (messages.broadcast_path(bad), messages.send_path(1, bad)):
                expect_error(cluster.client.get(path, patience=5), 400)


class TestItem3Send:
    """Worker to worker by way of the master"""

    item = 3
    needs = GATE

    @check(expected="from every worker to every worker, itself too: a reply with the receiver's number and pid, and the message; it is in "
                    "the receiver's /messages and in no other's",
           likely="the sender answers itself, or the message goes to everybody",
           hint="the receiver writes the reply; the master passes it back to who has asked", seconds=0.2)
    def test_the_receiver_replies(self, fixture: Fixture) -> None:
        """The right receiver gets it, only it, and replies itself"""
        cluster = fixture.start()
        connections = {slot: found[0] for slot, found in worker_search.connections_to(cluster, 1).items()}
        for sender, connection in connections.items():
            for receiver in connections:
                message = f"{sender} to {receiver}"
                messages.expect_reply(cluster, connection.get(messages.send_path(receiver, message), patience=5), receiver, message)
                for slot, reader in connections.items():
                    found = messages.having(messages.mailbox(reader), message)
                    seen = [(one["from"], one["type"]) for one in found]
                    if seen != ([(sender, "direct")] if slot == receiver else []):
                        raise CheckFailed(f"{message!r}: worker {slot} has {found}", expected=f"only worker {receiver} has it, once")

    @check(expected="a whole number that is no slot (0, 4, -1, a huge one) gets 404; anything else, and nothing, 400",
           likely="the number is taken from the text without looking at the rest, or out of range is not looked at",
           hint="all of the text must be the number; then compare it with the number of slots", seconds=0.1)
    def test_bad_receivers_are_refused(self, fixture: Fixture) -> None:
        """Receivers that do not exist get 404, what is no number 400"""
        cluster = fixture.start()
        for receiver in ("0", "4", "-1", "65", "99999999999999999999999"):
            expect_error(cluster.client.get(messages.send_path(receiver, "hi"), patience=5), 404)
        for receiver in ("x", "2x", "1.5", "", "two", "0x1", "%20"):
            expect_error(cluster.client.get(messages.send_path(receiver, "hi"), patience=5), 400)

    @check(expected="after a worker was killed and replaced its slot is reachable: the reply has the new pid",
           likely="messages are still sent to the old process", hint="look up the slot's process for every message",
           needs=(SENDS,), seconds=0.2)
    def test_the_slot_stays_reachable(self, fixture: Fixture) -> None:
        """A slot is reachable again when its worker was killed and replaced"""
        cluster = fixture.start()
        sender = messages.pinned(cluster, 1)
        old = worker_search.pid_of(cluster, 2)
        killed = cluster.signal_worker(2, SIGKILL)
        replacement.expect_replaced(cluster, 2, old, since=killed, within=1.0)
        messages.expect_reply(cluster, sender.get(messages.send_path(2, "are you there"), patience=5), 2, "are you there")
        messages.expect_json(cluster.client.get(messages.broadcast_path("all there"), patience=5), 200)

    @check(expected="with MESSAGE_LIMIT=5, of eight messages the last five are told, in their order", seconds=1,
           likely="the first ones are kept, or all", hint="a queue: add at the end, drop from the front", needs=(SENDS,))
    def test_the_last_messages_are_kept(self, fixture: Fixture) -> None:
        """`/messages` tells the last MESSAGE_LIMIT"""
        cluster = fixture.start({"MESSAGE_LIMIT": 5})
        sender, reader = messages.pinned(cluster, 1), messages.pinned(cluster, 2)
        for number in range(8):
            messages.expect_json(sender.get(messages.send_path(2, f"number {number}"), patience=5), 200)
        seen = [one["message"] for one in messages.mailbox(reader)]
        if seen != [f"number {number}" for number in range(3, 8)]:
            raise CheckFailed(f"/messages has {seen}", expected="number 3 to number 7")


class TestItem4Timeouts:
    """Timeouts hold"""

    item = 4
    needs = (*GATE, SENDS)

    @check(expected="with worker 2 stopped /stats is 200 within REQUEST_TIMEOUT_MS, with the others and missing [2]",
           likely="the answer waits for all, and the caller's time is over first",
           hint="the master's deadline is shorter than the caller's: then it answers with what there is", seconds=2.5)
    def test_stats_without_a_stopped_worker(self, fixture: Fixture) -> None:
        """With a worker stopped, `/stats` is answered in time with what there is"""
        cluster = fixture.start()
        asked = messages.pinned(cluster, 1)
        worker_search.find_workers(cluster)
        cluster.signal_worker(2, SIGSTOP)
        answer = asked.get("/stats", patience=messages.timeout(fixture) + 3)
        cluster.expect_within(messages.timeout(fixture), answer.started, answer.ended, "the answer to /stats with worker 2 stopped")
        messages.expect_stats(cluster, answer, [2])
        answer = asked.get(messages.broadcast_path("who is there"), patience=messages.timeout(fixture) + 3)
        cluster.expect_within(messages.timeout(fixture), answer.started, answer.ended, "the answer to /broadcast with worker 2 stopped")
        body = messages.expect_json(answer, 200)
        if 3 not in body.get("delivered", []) or 2 in body["delivered"] or body.get("missing") != [2]:
            raise CheckFailed(f"{answer}: {body}", expected="delivered [1,3], missing [2]: those who have confirmed it, and who has not")

    @check(expected="a /send to a stopped worker is 504 between half of REQUEST_TIMEOUT_MS and the whole; sends to others are answered "
                    "at once meanwhile, each with its own reply",
           likely="the master or the sender waits for the stopped worker and does nothing else, or gives up too early",
           hint="nobody waits in the master: it notes what it has passed on, and goes on", seconds=1.5)
    def test_send_to_a_stopped_worker(self, fixture: Fixture) -> None:
        """`/send` to a stopped worker is 504 in time, and disturbs nobody"""
        cluster = fixture.start()
        connections = {slot: found for slot, found in worker_search.connections_to(cluster, 2).items()}
        cluster.signal_worker(2, SIGSTOP)
        held = connections[1][0].send(messages.send_path(2, "for later"))
        number = 0
        while not held.ended.is_set() and number < 200:
            number += 1
            for sender, receiver in ((1, 3), (3, 1), (3, 3)):
                message = f"{number} from {sender}"
                answer = connections[sender][1].get(messages.send_path(receiver, message), patience=3)
                cluster.expect_within(messages.QUICK, answer.started, answer.ended, f"a reply of worker {receiver} with worker 2 stopped")
                messages.expect_reply(cluster, answer, receiver, message)
            time.sleep(0.01)
        messages.expect_in_time(cluster, held, fixture, (504,))

    @check(expected="a reply that comes late but in time reaches just the caller who waits for it, whatever was answered meanwhile",
           likely="replies are matched in the order in which they come",
           hint="each reply bears the id of its request", seconds=0.2)
    def test_replies_out_of_order(self, fixture: Fixture) -> None:
        """Replies that come out of order reach just their callers"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        connections = worker_search.connections_to(cluster, 6)
        cluster.signal_worker(2, SIGSTOP)
        held = [(one.send(messages.send_path(2, f"first {number}")), f"first {number}") for number, one in enumerate(connections[1][:3])]
        cluster.settle("/send/2")
        for number in range(3):
            message = f"second {number}"
            messages.expect_reply(cluster, connections[1][4].get(messages.send_path(3, message), patience=5), 3, message)
        if drain.any_ended([exchange for exchange, _ in held]):
            raise CheckFailed(f"{held[0][0].wait(0)}, although worker 2 is stopped", expected="it waits for worker 2's own reply")
        cluster.signal_worker(2, SIGCONT)
        for exchange, message in held:
            messages.expect_reply(cluster, exchange.wait(5), 2, message)

    @check(expected="after the 504s the worker goes on: its late answers reach nobody, later messages get their own replies, and "
                    "`pending` is 0 everywhere",
           likely="a late answer is taken for that to a later request, pending entries are never erased, or /stats waits for the stopped worker",
           hint="the entry is gone when its time is over; an answer whose id is not in the table is dropped", seconds=3.5)
    def test_late_answers_do_no_harm(self, fixture: Fixture) -> None:
        """Late answers do no harm, and nothing stays pending"""
        cluster = fixture.start()
        connections = worker_search.connections_to(cluster, 5)
        cluster.signal_worker(2, SIGSTOP)
        held = [one.send(messages.send_path(2, f"late {number}")) for number, one in enumerate(connections[1][:4])]
        for exchange in held:
            messages.expect_in_time(cluster, exchange, fixture, (504,))
        messages.await_nothing_pending(cluster, messages.QUICK, missing=[2])
        again = [(one.send(messages.send_path(2, f"again {number}")), f"again {number}") for number, one in enumerate(connections[1][:4])]
        cluster.settle(messages.send_path(2, "again 3"))
        cluster.signal_worker(2, SIGCONT)
        for exchange, message in again:
            messages.expect_reply(cluster, exchange.wait(5), 2, message)
        for number in range(10):
            message = f"new {number}"
            messages.expect_reply(cluster, connections[1][4].get(messages.send_path(2, message), patience=5), 2, message)
        messages.await_nothing_pending(cluster, 1.0)

    @check(expected="with the master stopped each /send is 504 between half of REQUEST_TIMEOUT_MS and the whole; when it goes on nothing stays pending, "
                    "and everything works as before",
           likely="a caller waits for as long as the master takes, or its entry is erased when the answer comes, and not when the caller gives up",
           hint="the caller's wait has a deadline of its own; however it ends, its entry is erased", needs=(SENDS,), seconds=2)
    def test_callers_of_a_stopped_master_give_up(self, fixture: Fixture) -> None:
        """Callers of a stopped master give up in time, and nothing stays pending"""
        cluster = fixture.start()
        connections = worker_search.connections_to(cluster, 4)
        workers = set(cluster.slots.values())
        messages.stop_master(cluster)
        held = [one.send(messages.send_path(receiver, "nobody passes it on")) for one, receiver in zip(connections[1], (1, 2, 3))]
        for exchange in held:
            exchange.ended.wait(messages.timeout(fixture) * 1.5 + 2)
        if not any(map(processes.alive, workers)):
            return  # they take a stopped master for a dead one, which nobody forbids
        for exchange in held:
            messages.expect_in_time(cluster, exchange, fixture, (504,))
        cluster.signal(SIGCONT)
        messages.await_nothing_pending(cluster, messages.QUICK)
        messages.expect_reply(cluster, connections[1][3].get(messages.send_path(2, "as before"), patience=5), 2, "as before")

    @check(expected="the receiver is killed while a /send to it is pending: 502 at once, long before the timeout; nothing stays pending",
           likely="a death does not end what waits for the dead", hint="when a worker dies, look through the table for what waits for it",
           seconds=0.5)
    def test_a_killed_receiver_is_502(self, fixture: Fixture) -> None:
        """The death of the receiver is 502 at once"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        sender = messages.pinned(cluster, 1)
        worker_search.find_workers(cluster)
        cluster.signal_worker(2, SIGSTOP)
        held = sender.send(messages.send_path(2, "farewell"))
        cluster.settle("/send/2")
        time.sleep(0.1)
        killed = cluster.signal_worker(2, SIGKILL)
        answer = held.wait(6)
        if answer.outcome == "waiting":
            cluster.refuse_late(messages.QUICK, killed, "the answer to the sender after the receiver's death")
        expect_error(answer, 502)
        cluster.expect_within(messages.QUICK, killed, answer.ended, "the 502 after the receiver's death")
        replacement.expect_replaced(cluster, 2, worker_search.pid_of(cluster, 2), since=killed, within=1.0)
        messages.await_nothing_pending(cluster, 1.0)

    @check(expected="as long as slot 2 has no process, since its workers died young and the next one has to wait: 502 at once",
           likely="a message to a slot that has no process is noted as passed on, and its answer waited for until the deadline",
           hint="look whether the slot has a process before you note that its answer is awaited", needs=(SENDS,), seconds=1)
    def test_a_slot_without_a_process_is_502(self, fixture: Fixture) -> None:
        """`/send` to a slot that has no process now is 502 at once"""
        cluster = fixture.start()
        sender = messages.pinned(cluster, 1)
        emptied = messages.empty_slot(cluster, 2)
        answer = sender.get(messages.send_path(2, "nobody there"), patience=messages.timeout(fixture) + 3)
        if answer.status != 502 and messages.may_be_filled(cluster, emptied, answer):
            raise Inconclusive("slot 2 may have had a process again before the request was surely read")
        expect_error(answer, 502)
        cluster.expect_within(messages.QUICK, answer.started, answer.ended, "the 502 of a slot without a process")

    @check(expected="worker 1 is killed while it waits for worker 2; the answer that comes for it afterwards is not taken for the answer to a request "
                    "of its successor",
           likely="ids begin at 1 in every process, and the answer goes to whoever has the slot now",
           hint="an id must be unique over the life of a worker and its successors", needs=(SENDS,), seconds=1.5)
    def test_answers_to_the_dead_reach_nobody(self, fixture: Fixture) -> None:
        """A successor does not get the answer to its predecessor"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        sender = messages.pinned(cluster, 1)
        worker_search.find_workers(cluster)
        for slot in (2, 3):
            cluster.signal_worker(slot, SIGSTOP)
        sender.send(messages.send_path(2, "of the dead"))
        cluster.settle(messages.send_path(2, "of the dead"))
        old = worker_search.pid_of(cluster, 1)
        killed = cluster.signal_worker(1, SIGKILL)
        replacement.expect_replaced(cluster, 1, old, since=killed, within=1.0)
        held = messages.pinned(cluster, 1).send(messages.send_path(3, "of the successor"))
        cluster.settle(messages.send_path(3, "of the successor"))
        cluster.signal_worker(2, SIGCONT)
        if held.ended.wait(0.3):
            raise CheckFailed(f"{held.wait(0)}, body {held.wait(0).body[:200]!r}, although worker 3 is stopped",
                              expected="no answer before worker 3 has replied")
        cluster.signal_worker(3, SIGCONT)
        messages.expect_reply(cluster, held.wait(5), 3, "of the successor")


class TestItem5AllEndpoints:
    """All endpoints work"""

    item = 5
    needs = (*GATE, SENDS)

    @check(expected="200 /send at the same time, distinct messages, to all workers mixed: each gets the reply to its own message",
           likely="there is room for one call at a time, or ids collide between workers, or replies are matched by something else",
           hint="an id is unique in the whole cluster: the worker's number and a counter, for instance", seconds=0.3, heavy=True)
    def test_two_hundred_sends_at_once(self, fixture: Fixture) -> None:
        """200 concurrent sends each get their own reply"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 5000})
        worker_search.find_workers(cluster)
        try:
            messages.expect_replies_at_once(cluster, 200)
        except Inconclusive:
            messages.expect_replies_at_once(cluster, 30)  # what few of them lose is not lost for want of a processor
            raise

    @check(expected="`GET /` tells worker, pid and requests; `GET /messages` the worker and its messages; all with the right form",
           likely="an endpoint is missing", hint="the table in the exercise's README", seconds=0.1)
    def test_the_simple_endpoints(self, fixture: Fixture) -> None:
        """`/` and `/messages` answer in their form"""
        cluster = fixture.start()
        connection = messages.pinned(cluster, 1)
        first = connection.get("/", patience=5)
        second = connection.get("/", patience=5)
        for answer in (first, second, connection.get("/messages", patience=5)):
            expect_form(answer)
            messages.expect_json(answer, 200)
        counts = [answer.json.get("requests") for answer in (first, second)]
        if not isinstance(counts[0], int) or counts[1] != counts[0] + 1:
            raise CheckFailed(f"`requests` in two answers to / one after another: {counts}", expected="one more each time")

    @check(expected="10,000 messages: the last 100 are kept, in order, and no process grows with every 5,000 messages more",
           likely="messages, pending entries or buffers pile up, or one message too few is kept", hint="bound everything that a client can make grow", seconds=6,
           heavy=True)
    def test_ten_thousand_messages(self, fixture: Fixture) -> None:
        """10,000 messages leave memory bounded, and the last 100 are kept"""
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": 10000})
        connections = worker_search.connections_to(cluster, 4)
        reader = messages.pinned(cluster, 1)
        for number in range(300):
            messages.expect_json(connections[1][0].get(messages.broadcast_path(f"warm {number}"), patience=10), 200)
        senders = [one for found in connections.values() for one in found]
        memory.expect_rest([cluster.pid, *cluster.slots.values()], lambda _: messages.broadcast_often(senders, 1668), 2, "5,000 messages")
        for number in range(100):
            messages.expect_json(connections[2][0].get(messages.send_path(1, f"last {number}"), patience=10), 200)
        kept = [one["message"] for one in messages.mailbox(reader)]
        if kept != [f"last {number}" for number in range(100)]:
            raise CheckFailed(f"/messages has {len(kept)} messages, from {kept[:1]} to {kept[-1:]}", expected="last 0 to last 99")

    @check(expected="5,000 messages of 1 KiB to a stopped worker: each sender gets an error (504, or an earlier one that says so), others "
                    "are served at once meanwhile, and when it is woken everything works as before",
           likely="a write to the stopped worker blocks the master, or its queue grows without a limit",
           hint="a queue for each worker, with a limit, and writes that never block", seconds=6.5, heavy=True)
    def test_five_thousand_messages_to_a_stopped_worker(self, fixture: Fixture) -> None:
        """5,000 messages to a stopped worker block nobody"""
        if not processes.raise_own_limit(1300):
            raise Inconclusive("the harness itself may not open that many files here (ulimit -Hn)")
        cluster = fixture.start({"REQUEST_TIMEOUT_MS": int(fixture.pace(1000, 5000))})  # it is waited for again and again
        connections = worker_search.connections_to(cluster, 1)
        cluster.signal_worker(2, SIGSTOP)
        crowd = [cluster.client.connect() for _ in range(1000)]  # a stopped worker takes none of them
        for turn in range(5):
            path = messages.send_path(2, f"{turn} " + "z" * 1000)
            under_way = [one.send(path) for one in crowd if one.usable]
            connections[1][0].get("/", patience=5)  # now worker 1 has read its part of them
            quick = connections[1][0].get(messages.send_path(3, f"quick {turn}"), patience=5)
            if not messages.starved(cluster, quick):  # a thousand threads keep one another waiting
                messages.expect_reply(cluster, quick, 3, f"quick {turn}")
                cluster.expect_within(messages.QUICK, quick.started, quick.ended, "a reply of worker 3 while worker 2 is flooded", due=quick.started)
            for exchange in under_way:
                answer = exchange.wait(messages.timeout(fixture) + 5)
                if answer.outcome != "answer" or answer.status < 500:
                    raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected="an error of the 5xx kind")
            messages.expect_reply(cluster, connections[1][0].get(messages.send_path(3, f"after {turn}"), patience=5), 3, f"after {turn}")
        cluster.signal_worker(2, SIGCONT)
        began = time.monotonic()
        while (answer := connections[3][0].get(messages.send_path(2, "awake"), patience=5)).status != 200:
            if time.monotonic() > began + 10:
                cluster.refuse_late(5.0, began, f"a reply of worker 2 after SIGCONT (last: {answer})")
        messages.expect_reply(cluster, answer, 2, "awake")


class TestCommonGround(StartChecks, HttpChecks, LoadChecks, SpreadChecks, ProcessChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("REQUEST_TIMEOUT_MS", "0"), ("MESSAGE_LIMIT", "0"), ("MESSAGE_LIMIT", "1000001"), ("REQUEST_TIMEOUT_MS", ""))
    own_edges: tuple[dict[str, int], ...] = ({"REQUEST_TIMEOUT_MS": 1, "MESSAGE_LIMIT": 1},
                                             {"REQUEST_TIMEOUT_MS": 3600000, "MESSAGE_LIMIT": 1000000})
