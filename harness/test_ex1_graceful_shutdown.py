"""Exercise 1, graceful shutdown: one class an item of the checklist, one method a check."""
from __future__ import annotations

from signal import SIGINT, SIGSTOP, SIGTERM

from harness.checks import connections, process_end, replacement
from harness.checks.common_ground.all_checks import AllChecks
from harness.checks.drain import drain, forced_end, giving_way, gone_clients, health_endpoint
from harness.checks.drain import stopped_in_drain, turned_away
from harness.checks.workers import expect_children
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check

EXERCISE = Exercise(
    number=1, name="graceful shutdown with timeout", folder="exercises/ex1_graceful_shutdown",
    probe="/fast", endpoints="GET /|GET /fast|GET /slow|GET /health",
    start_first="open exercises/ex1_graceful_shutdown/main.cpp at the first step that is still to "
                "do: start the workers (step 1) and let GET /fast answer 200 with `worker` and "
                "`pid` (step 2). Nothing else can be tried before that works.",
    scaled={"DEFAULT_MS": 400, "SLOW_MS": 1200, "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"DEFAULT_MS": 1000, "SLOW_MS": 5000, "SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("DEFAULT_MS", "SLOW_MS", "SIGINT_TIMEOUT_MS"))
GATE = ("test_two_workers_answer",)
FINISHES = "test_eight_in_flight_get_answers"
CUTS = "test_long_requests_are_cut"
KILLS = "test_stopped_worker_is_killed"
REPLACES = "test_killed_worker_is_replaced"


class TestItem1Start(health_endpoint.CountChecks):
    """Workers start and accept connections"""

    item = 1
    needs = GATE

    @check(expected="a ready line with workers=2; fresh connections to /fast get 200 from workers "
                    "1 and 2, each a direct child of the master with a pid of its own",
           likely="the master does not start its workers, or they do not accept on the shared "
                  "listening socket, or the answer lacks `worker` and `pid`",
           hint="let the master start WORKERS workers, give each the same listening socket, and "
                "answer /fast from the worker", seconds=0.1)
    def test_two_workers_answer(self, fixture: Fixture) -> None:
        """Two workers start as children of the master, and both answer"""
        expect_children(fixture.start(), 2)

    @check(expected="GET /fast at once, GET / after DEFAULT_MS, GET /slow after SLOW_MS, all 200",
           likely="the simulated work is missing, or a slow request keeps a fast one waiting",
           hint="wait for DEFAULT_MS or SLOW_MS in the handler, and let several requests run at "
                "the same time", seconds=1.5)
    def test_answers_in_time(self, fixture: Fixture) -> None:
        """`/fast` answers at once, `/` after DEFAULT_MS, `/slow` after SLOW_MS"""
        slow, usual = fixture.figure("SLOW_MS"), fixture.figure("DEFAULT_MS")
        drain.expect_answers_in_time(fixture.start(), {"/slow": slow, "/": usual, "/fast": 0.0})

    @check(expected="within 1 s a new process answers in the slot of the killed one; the other "
                    "worker serves meanwhile",
           likely="the master does not notice that a child has died, or starts no successor, or "
                  "takes one death for the end of all",
           hint="when a worker exits and no shutdown is under way, start a new one with the same "
                "number", seconds=0.2)
    def test_killed_worker_is_replaced(self, fixture: Fixture) -> None:
        """A killed worker is replaced within a second, in its slot, while the other one serves"""
        replacement.expect_replaced_when_killed(fixture.start(), 1, within=1.0, serving=2)


class TestItem2NewRequests(health_endpoint.DrainChecks):
    """Shutdown turns new requests away"""

    item = 2
    needs = GATE

    @check(expected="503 with Connection: close and Retry-After within 100 ms on every new "
                    "connection while a slow request is still being worked on",
           likely="draining workers answer as before, or stop accepting, or close their listening "
                  "socket at once",
           hint="keep accepting while you drain, and look at the draining flag before each request "
                "is handled", seconds=2)
    def test_new_connections_get_503(self, fixture: Fixture) -> None:
        """New connections get 503 with `Connection: close` and `Retry-After` within 100 ms"""
        turned_away.expect_on_new_connections(drain.begin_busy(fixture.start(), [1, 2]))

    @check(expected="503 with Connection: close and Retry-After on connections that were open "
                    "before the signal, never a 200",
           likely="only the listening socket knows about the shutdown: a kept-alive connection "
                  "goes on being served, or is closed because its own worker has nothing left to "
                  "do", seconds=0.6,
           hint="the draining flag has to be looked at for each request, not for each connection")
    def test_kept_alive_connections_get_503(self, fixture: Fixture) -> None:
        """Connections that were open before get the same 503, never a 200"""
        cluster = fixture.start()
        idle = connections.to_all(cluster, 4)
        turned_away.expect_on_open_connections(drain.begin_busy(cluster, [2]), idle)

    @check(expected="503 within 100 ms on new and kept-alive connections although 40 slow requests "
                    "are in flight",
           likely="all threads are busy with slow requests, so that nobody is left to say 503",
           hint="the 503 must not wait in the queue behind slow requests", seconds=0.3, heavy=True)
    def test_503_with_40_slow_requests(self, fixture: Fixture) -> None:
        """503 within 100 ms also when 40 slow requests are in flight"""
        cluster = fixture.start({"SLOW_MS": int(fixture.pace(1800, 5000))})
        idle = connections.to_all(cluster, 3)
        draining = drain.begin(cluster, drain.hold_anywhere(cluster, 40))
        turned_away.expect_on_all_connections(draining, idle)

    @check(expected="503 on new connections, never refused, until the one slow request is "
                    "answered; then connection refused",
           likely="each worker closes the socket or leaves as soon as it is itself done; the other "
                  "one's request still runs",
           hint="the workers tell the master when they are done; the master lets all go when the "
                "last one is", seconds=1.5)
    def test_open_until_last_answer_then_refused(self, fixture: Fixture) -> None:
        """The socket stays open until the last active request of the cluster is answered, then
        refuses"""
        turned_away.expect_until_last_answer(drain.begin_busy(fixture.start(), [2]))

    @check(expected="with ten idle connections and no active request everything is gone within 500 "
                    "ms, exit 0",
           likely="the program waits for every connection to end instead of for active requests "
                  "only",
           hint="do not wait for idle connections: when no request is under way, the workers end, "
                "and their connections with them", seconds=0.1)
    def test_idle_connections_do_not_delay(self, fixture: Fixture) -> None:
        """Ten idle connections do not delay the end: gone within 500 ms"""
        cluster = fixture.start()
        connections.leave_idle(cluster, used=3, unused=4)
        process_end.expect_end(cluster, 0, cluster.signal(SIGTERM), within=0.5)


class TestItem3ActiveRequests(gone_clients.GoneClientChecks):
    """Active requests finish"""

    item = 3
    needs = GATE

    @check(expected="eight requests in flight on both workers at the signal all get their whole "
                    "200",
           likely="the workers end at the signal, or close connections while their requests are "
                  "still being worked on",
           hint="count requests from the moment they are read until their answer is written; leave "
                "when the count is 0", seconds=1)
    def test_eight_in_flight_get_answers(self, fixture: Fixture) -> None:
        """Eight requests in flight over both workers get their whole answers"""
        work = fixture.pace(0.8, 5.0)
        cluster = fixture.start({"SLOW_MS": int(work * 1000)})
        held = drain.hold(cluster, 4, [1, 2])
        cluster.signal(SIGTERM)
        drain.expect_finished(held, work)

    @check(expected="short and long requests are answered; within a second the end, exit code 0",
           likely="the end does not follow from the last answer, or a normal end is taken for a "
                  "forced one",
           hint="exit 0 when nothing was cut; the master ends when its last worker has", seconds=2)
    def test_then_exit_0(self, fixture: Fixture) -> None:
        """Then the cluster ends with exit code 0"""
        cluster = fixture.start()
        held = drain.hold(cluster, 1, [1, 2], "/slow") + drain.hold(cluster, 1, [1, 2], "/")
        drain.expect_answers_and_end(cluster, held, cluster.signal(SIGTERM))


class TestItem4Timeout:
    """The timeout forces the end"""

    item = 4
    needs = (*GATE, FINISHES)

    @check(expected="requests longer than SHUTDOWN_TIMEOUT_MS are cut at it (within 10 % + 200 "
                    "ms), the log says so, exit 1",
           likely="there is no timer, or it does not reach the connections, or the exit code does "
                  "not tell a forced end",
           hint="start a timer when the drain starts; when it fires, close what is left and "
                "remember that something was cut", seconds=2.5)
    def test_long_requests_are_cut(self, fixture: Fixture) -> None:
        """Requests longer than the timeout are cut at the timeout, and the exit code is 1"""
        cluster, timeout = forced_end.start_with_short_timeout(fixture)
        held = drain.hold(cluster, 2, [1, 2])
        signalled = cluster.signal(SIGTERM)
        forced_end.expect_cut_and_end(cluster, held, signalled, timeout)
        forced_end.expect_log_at(cluster, signalled, timeout)

    @check(expected="half a head and half a body, sent before the signal, are cut at the timeout; "
                    "exit 1",
           likely="a connection whose request is not complete counts as idle, or as one to wait "
                  "for without end", seconds=2.5,
           hint="wait for half-sent requests, too, and cut them when the time is up")
    def test_half_requests_are_cut(self, fixture: Fixture) -> None:
        """Half-sent requests are cut at the timeout too, exit code 1"""
        cluster, timeout = forced_end.start_with_short_timeout(fixture, real=3000)
        _, half = forced_end.send_halves(cluster)
        forced_end.expect_cut_and_end(cluster, half, cluster.signal(SIGTERM), timeout)

    @check(expected="with a timeout that is far away, a half-sent request is cut 5 s after its "
                    "first byte; then exit 1",
           likely="half-sent requests are only cut by the timeout, or not counted among what was "
                  "cut",
           hint="the 5 s for a complete request go on during the drain", seconds=5.6)
    def test_half_request_is_cut_by_its_5_seconds(self, fixture: Fixture) -> None:
        """A half-sent request holds up the end for at most its 5 s, exit code 1"""
        cluster = fixture.start({"SHUTDOWN_TIMEOUT_MS": 20000})
        began, half = forced_end.send_halves(cluster)
        cluster.signal(SIGTERM)
        forced_end.expect_cut_and_end(cluster, half, began, forced_end.HALF_SECONDS)

    @check(expected="a SIGSTOPped worker with a request in flight is killed at the timeout; exit "
                    "1, nothing left",
           likely="the master asks the worker to go and waits for ever; a stopped process heeds "
                  "no signal but SIGKILL", seconds=2.5,
           hint="after the timeout do not ask: SIGKILL whoever is still there")
    def test_stopped_worker_is_killed(self, fixture: Fixture) -> None:
        """A stopped worker with a request in flight is killed at the timeout, exit code 1"""
        cluster, timeout = forced_end.start_with_short_timeout(fixture)
        drain.hold(cluster, 1, [1])
        cluster.signal_worker(1, SIGSTOP)
        forced_end.expect_forced_end(cluster, cluster.signal(SIGTERM), timeout)


class TestItem5Together(giving_way.GivingWayChecks, stopped_in_drain.StoppedInDrainChecks):
    """All workers act together"""

    item = 5
    needs = GATE

    @check(expected="one SIGTERM to the master drains both workers: both finish what they have, "
                    "neither serves on, all gone, exit 0", needs=(FINISHES,), seconds=2,
           hint="the master passes the shutdown on to every worker and waits for all of them",
           likely="the signal reaches one worker only, or only the master")
    def test_sigterm_drains_both(self, fixture: Fixture) -> None:
        """One SIGTERM to the master drains both workers"""
        drain.expect_drained_together(fixture.start(), lambda one: one.signal(SIGTERM))

    @check(expected="SIGINT to the whole process group (Ctrl+C): requests in flight are answered, "
                    "all gone, exit 0",
           likely="the workers get the terminal's SIGINT themselves and die of it, or take it for "
                  "a second signal", needs=(FINISHES,), seconds=2,
           hint="let the workers ignore SIGINT; the master tells them what to do")
    def test_ctrl_c_drains_both(self, fixture: Fixture) -> None:
        """Ctrl+C, a SIGINT to the whole group, does the same"""
        drain.expect_drained_together(fixture.start(), lambda one: one.signal_group(SIGINT))

    @check(expected="a second SIGTERM or SIGINT during the drain ends everything now, exit 1",
           likely="the second signal is ignored, or starts the drain and its time anew",
           hint="when a signal comes while draining, do at once what the timeout would do",
           needs=(CUTS,), seconds=0.7)
    def test_second_signal_forces(self, fixture: Fixture) -> None:
        """A second signal forces the end now, exit code 1"""
        for first, second in ((SIGTERM, SIGTERM), (SIGINT, SIGTERM), (SIGTERM, SIGINT)):
            cluster = fixture.start({"SLOW_MS": 20000, "SHUTDOWN_TIMEOUT_MS": 20000})
            drain.begin_noticed(cluster, drain.hold(cluster, 1, [1, 2]), first)
            process_end.expect_end(cluster, 1, cluster.signal(second), within=1.0)

    @check(expected="an idle SIGSTOPped worker is killed at the timeout, the other one's request "
                    "is answered before, exit 1",
           likely="the master waits for the stopped worker for ever, or kills all because of one",
           hint="one timer for the shutdown as a whole; SIGKILL for whoever is left",
           needs=(FINISHES, KILLS), seconds=4)
    def test_stopped_worker_does_not_hold_the_rest(self, fixture: Fixture) -> None:
        """A stopped worker is killed at the timeout; the other one's request is answered"""
        work = int(fixture.pace(700, 5000))
        cluster, timeout = forced_end.start_with_short_timeout(fixture, SLOW_MS=work)
        held = drain.hold(cluster, 1, [2])[0]
        cluster.signal_worker(1, SIGSTOP)
        signalled = cluster.signal(SIGTERM)
        drain.expect_whole(held.wait(timeout + 1))
        forced_end.expect_forced_end(cluster, signalled, timeout)

    @check(expected="after a SIGKILL of the master all workers are gone within 1 s, a stopped one "
                    "when it is continued",
           likely="the workers do not notice that the master is gone, and live on as orphans",
           hint="the workers' end of the channel reads end of file when the master dies; "
                "PR_SET_PDEATHSIG helps too", seconds=0.2)
    def test_no_orphan_after_sigkill(self, fixture: Fixture) -> None:
        """No orphan is left after SIGKILL of the master"""
        cluster = fixture.start({"SLOW_MS": 20000, "WORKERS": 3})
        drain.hold(cluster, 1, [1, 2, 3])
        process_end.expect_no_orphan(cluster, stopped=1, others=[2, 3])

    @check(expected="a worker that dies during the shutdown gets no successor; its request is "
                    "lost, so exit 1; the other's is answered", needs=(FINISHES, CUTS), seconds=1.5,
           likely="the code that replaces dead workers does not know that a shutdown is under way",
           hint="replace a dead worker only while the cluster is not draining")
    def test_no_replacement_during_shutdown(self, fixture: Fixture) -> None:
        """No worker is replaced during the shutdown"""
        drain.expect_no_replacement(fixture.start(), lost=1, kept=2)

    @check(expected="a worker that is itself sent SIGTERM finishes its request, takes nothing new, "
                    "ends, and is replaced; later than 250 ms after the signal nobody gets a 503",
           likely="the worker behaves as if the whole cluster was draining, or dies with its "
                  "request, or is not replaced", needs=(REPLACES,), seconds=2.5,
           hint="a worker's own SIGTERM is not the cluster's drain: stop accepting, finish, exit")
    def test_own_sigterm_of_one_worker(self, fixture: Fixture) -> None:
        """SIGTERM to one worker alone: it finishes, ends and is replaced; the others serve"""
        replacement.expect_one_worker_leaves(fixture.start(), 1)


class TestCommonGround(turned_away.BodyOf503, AllChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("DEFAULT_MS", "-1"), ("SLOW_MS", "3600001"), ("SLOW_MS", ""))
    own_edges = ({"DEFAULT_MS": 0, "SLOW_MS": 0}, {"DEFAULT_MS": 3600000, "SLOW_MS": 3600000})
