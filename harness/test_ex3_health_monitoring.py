"""Exercise 3, health monitoring: one class an item of the checklist, one method a check."""
from __future__ import annotations

import time
from signal import SIGKILL

from harness.checks import connections
from harness.checks.common_ground.all_checks import AllChecks
from harness.checks.common_ground.http import expect_error
from harness.checks.health import health, health_report, heartbeats, vitals
from harness.checks.health.slow_successor import SuccessorChecks
from harness.checks.health.stopped_group import StoppedGroupChecks
from harness.clients import worker_slots
from harness.clients.load import Load
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check

EXERCISE = Exercise(
    number=3, name="health monitoring with heartbeats", folder="exercises/ex3_health_monitoring",
    probe="/health", endpoints="GET /|GET /health|GET /error|GET /leak",
    start_first="open exercises/ex3_health_monitoring/main.cpp at the first step that is still to "
                "do: start the workers (step 1), and let them send heartbeats (step 3). Nothing "
                "else can be tried before that works.",
    scaled={"HEARTBEAT_INTERVAL_MS": 400, "HEARTBEAT_TIMEOUT_MS": 5000, "REPORT_INTERVAL_MS": 700,
            "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"HEARTBEAT_INTERVAL_MS": 3000, "HEARTBEAT_TIMEOUT_MS": 10000,
          "REPORT_INTERVAL_MS": 15000, "SHUTDOWN_TIMEOUT_MS": 10000},
    bare=r"^(health report workers=|worker=\d+ pid=)",
    variables=("HEARTBEAT_INTERVAL_MS", "HEARTBEAT_TIMEOUT_MS", "MEMORY_LIMIT_MB",
               "ERROR_RATE_LIMIT", "ERROR_RATE_MIN_REQUESTS", "REPORT_INTERVAL_MS", "LEAK_MB"))
GATE = ("test_first_heartbeat_comes_at_once",)
NO_LIMIT_MB = 100_000


class TestItem1Heartbeats:
    """A heartbeat every interval"""

    item = 1
    needs = GATE

    @check(expected="three workers answer /health, and the master's journal has a `recv` of type "
                    "heartbeat from each within half a second of its `ready`",
           likely="no heartbeat is sent, or the first one comes only after an interval",
           hint="send one as soon as the worker is ready, then start the timer", seconds=0.1)
    def test_first_heartbeat_comes_at_once(self, fixture: Fixture) -> None:
        """Every worker sends its first heartbeat as soon as it is ready"""
        cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": 3000})  # longer than "at once"
        for slot, pid in worker_slots.find_workers(cluster).items():
            vitals.expect_all(cluster.client.get("/health", patience=3))
            heartbeats.expect_first_at_once(cluster, slot, pid)

    @check(expected="heartbeats of each worker one interval apart, within 10 % + 50 ms, while it "
                    "serves load", seconds=5.5, heavy=True,
           likely="only one is sent, or they come too rarely, or they are sent by the threads that "
                  "serve requests, or each wait starts only after the work",
           hint="send them from a timer of the main line's loop, which does nothing else")
    def test_interval_is_kept_under_load(self, fixture: Fixture) -> None:
        """Heartbeats come every interval, also while the worker serves load"""
        every = int(fixture.pace(500, 3000))
        silent = every * 10
        cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": every, "HEARTBEAT_TIMEOUT_MS": silent})
        began = time.monotonic()
        time.sleep(every / 1000 * fixture.pace(3.5, 2.5))  # heartbeats come without requests, too
        with Load(cluster, fresh=8, kept=8) as load:
            loaded = time.monotonic()
            time.sleep(every / 1000 * fixture.pace(4, 3))
        load.expect_enough(loaded, time.monotonic())
        heartbeats.expect_interval_kept(cluster, began)


class TestItem2Silence(StoppedGroupChecks):
    """Silence is noticed"""

    item = 2
    needs = GATE

    @check(expected="a stopped worker is replaced after HEARTBEAT_TIMEOUT_MS, counted from its "
                    "last heartbeat, not before and no later than an interval + 500 ms; the "
                    "stopped process is gone",
           likely="nobody looks whether heartbeats stay away, or too early, or the stopped process "
                  "is sent SIGTERM, which it cannot heed",
           hint="judge at least once an interval, by the age of the last heartbeat; end a silent "
                "worker with SIGKILL", seconds=2)
    def test_stopped_worker_is_replaced(self, fixture: Fixture) -> None:
        """A stopped worker is replaced after the timeout, and not before"""
        timeout = fixture.ample(1.5, 10.0)
        cluster = fixture.start({"HEARTBEAT_TIMEOUT_MS": int(timeout * 1000)})
        before = dict(worker_slots.find_workers(cluster))
        last = heartbeats.stop_worker(cluster, 1)
        left = last + timeout * 0.95 - time.monotonic()
        health.expect_left_alone(cluster, before, left, "the timeout is not over")
        health.expect_silent_replaced(cluster, 1, before[1], last, timeout)

    @check(expected="a worker that is stopped for half of the timeout and goes on then is left "
                    "alone", needs=("test_stopped_worker_is_replaced",), seconds=3,
           likely="silence is judged too early: the timeout is too short, or the time is counted "
                  "from something else than the last heartbeat",
           hint="each heartbeat starts the time anew")
    def test_short_silence_is_forgiven(self, fixture: Fixture) -> None:
        """A worker that is silent for less than the timeout is left alone"""
        timeout = fixture.ample(2.0, 10.0)
        cluster = fixture.start({"HEARTBEAT_TIMEOUT_MS": int(timeout * 1000)})
        before = dict(worker_slots.find_workers(cluster))
        health.stop_for(cluster, 1, timeout / 2)
        health.expect_left_alone(cluster, before, timeout, "worker 1 was silent too briefly")


class TestItem3Memory:
    """High memory is noticed"""

    item = 3
    needs = GATE

    @check(expected="`memoryBytes` is what /proc says of the process's resident set, and grows by "
                    "LEAK_MB with each /leak",
           likely="another figure is told: the virtual size, or KiB instead of bytes; or /leak "
                  "does not touch its memory",
           hint="the second number of /proc/self/statm, times the page size", seconds=0.2)
    def test_memory_bytes_is_the_resident_set(self, fixture: Fixture) -> None:
        """`memoryBytes` is the resident set, and `/leak` makes it grow"""
        cluster = fixture.start({"MEMORY_LIMIT_MB": NO_LIMIT_MB, "LEAK_MB": 20})
        connection = connections.to_one(cluster, 1)
        base = vitals.expect_resident(cluster, 1, connection)
        vitals.ask(connection, "/leak", 2, 200)
        vitals.expect_grown(base, vitals.expect_resident(cluster, 1, connection))

    @check(expected="when 200 half-sent requests have come and gone, `memoryBytes` is what /proc "
                    "says now", needs=("test_memory_bytes_is_the_resident_set",), seconds=0.4,
           likely="the peak is told (ru_maxrss, VmHWM), so that a worker that was large once is "
                  "taken for one that is",
           hint="the second number of /proc/self/statm, times the page size")
    def test_memory_bytes_goes_down_too(self, fixture: Fixture) -> None:
        """`memoryBytes` is the size now, not the largest that it ever was"""
        cluster = fixture.start({"WORKERS": 1, "MEMORY_LIMIT_MB": NO_LIMIT_MB})
        vitals.swell(cluster)
        vitals.await_resident(cluster, 1)

    @check(expected="under the limit a worker is left alone; over it, it is replaced within an "
                    "interval + 500 ms; its process ends",
           likely="the limit is compared with something else than MiB of resident memory, or "
                  "nobody looks", needs=("test_memory_bytes_is_the_resident_set",), seconds=4,
           hint="compare the heartbeat's memoryBytes with MEMORY_LIMIT_MB MiB")
    def test_over_the_limit_is_replaced(self, fixture: Fixture) -> None:
        """Under the limit a worker is left alone, over it it is replaced"""
        base = vitals.usual_size(fixture.start({"MEMORY_LIMIT_MB": NO_LIMIT_MB}))
        cluster = fixture.start({"MEMORY_LIMIT_MB": base + 60, "LEAK_MB": 20})
        before = dict(worker_slots.find_workers(cluster))
        connection = connections.to_one(cluster, 2)
        vitals.ask(connection, "/leak", 2, 200)
        health.expect_judged_healthy(cluster, before, 2,
                                     f"worker 2 has about {base + 40} MiB of {base + 60}")
        leaked = vitals.ask(connection, "/leak", 2, 200)
        health.expect_unhealthy_replaced(cluster, 2, before[2], leaked, "memory")


class TestItem4Errors:
    """High error rate is noticed"""

    item = 4
    needs = GATE

    @check(expected="/error answers 500 and counts as a request and an error, / as a request, "
                    "/health as none",
           likely="/health counts itself, or a 500 is not counted",
           hint="count where the answer's status is known", seconds=0.2)
    def test_requests_and_errors_are_counted(self, fixture: Fixture) -> None:
        """Requests and errors are counted, `/health` is not"""
        connection = connections.to_one(fixture.start(), 1)
        vitals.ask(connection, "/", 3, 200)
        expect_error(connection.get("/error", patience=3), 500)
        vitals.ask(connection, "/error", 1, 500)
        vitals.of(connection)
        vitals.expect_counts(connection, 5, 2, "after three / and two /error")

    @check(expected="30 errors on one worker: replaced within an interval + 500 ms; its counters "
                    "start afresh", seconds=3, needs=("test_requests_and_errors_are_counted",),
           likely="the rate is never judged, or counters live on in the master",
           hint="errors / requests over ERROR_RATE_LIMIT per cent, with more than "
                "ERROR_RATE_MIN_REQUESTS requests")
    def test_thirty_errors_are_too_many(self, fixture: Fixture) -> None:
        """After 30 errors a worker is replaced, and its counters start afresh"""
        cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": int(fixture.pace(400, 1000))})
        before = dict(worker_slots.find_workers(cluster))
        half = health.hold_old_worker(cluster, 3)
        failed = vitals.ask(connections.to_one(cluster, 3), "/error", 30, 500)
        new = health.await_successor(cluster, 3, before[3], failed, health.bound(cluster), "errors")
        health.expect_successor_left_alone(cluster, {**before, 3: new}, 3)
        half.more(b"\r\n")
        health.expect_gone(cluster, before[3], failed, "errors")
        vitals.expect_counts(connections.to_one(cluster, 3), 0, 0, "the successor tells")

    @check(expected="nine errors of nine requests, and ten of ten, are too few to judge: the "
                    "worker is left alone", seconds=2.5, needs=("test_thirty_errors_are_too_many",),
           likely="the rate is judged from the first request on: 1 of 1 is 100 %",
           hint="judge only with more than ERROR_RATE_MIN_REQUESTS requests")
    def test_few_requests_are_not_judged(self, fixture: Fixture) -> None:
        """9 errors of 9 requests, and 10 of 10, are left alone"""
        cluster = fixture.start()
        before = dict(worker_slots.find_workers(cluster))
        connection = connections.to_one(cluster, 1)
        for count, total in ((9, 9), (1, 10)):
            vitals.ask(connection, "/error", count, 500)
            health.expect_few_left_alone(cluster, before, 1, total)

    @check(expected="15 errors of 100 requests, spread evenly, with a limit of 20 %: left alone",
           likely="errors are counted instead of their share, or the share is that of too few "
                  "requests", needs=("test_thirty_errors_are_too_many",), seconds=1,
           hint="the rate is errors per request, over at least 50 requests")
    def test_fifteen_per_cent_is_left_alone(self, fixture: Fixture) -> None:
        """15 % errors are left alone"""
        cluster = fixture.start()
        before = dict(worker_slots.find_workers(cluster))
        vitals.ask_with_even_errors(connections.to_one(cluster, 2))
        health.expect_judged_healthy(cluster, before, 2, "worker 2 has 15 % errors")


class TestItem5Replacement(SuccessorChecks):
    """Unhealthy workers are replaced by themselves"""

    item = 5
    needs = GATE

    @check(expected="only the sick worker is replaced, its successor first: meanwhile every "
                    "request on a fresh connection gets 200",
           likely="the old worker is ended before its successor serves, or a healthy worker is "
                  "replaced with the sick one",
           hint="start the successor, wait until it is ready, then let the old one drain",
           seconds=4, needs=("test_thirty_errors_are_too_many",), heavy=True)
    def test_only_the_sick_one_and_service_goes_on(self, fixture: Fixture) -> None:
        """Only the sick one is replaced, and service is never interrupted"""
        cluster = fixture.start({"ERROR_RATE_MIN_REQUESTS": 60})
        before = dict(worker_slots.find_workers(cluster))
        with Load(cluster, fresh=12, kept=0) as load:
            began, new = health.fail_until_replaced(cluster, 2, before[2])
            judged = load.await_enough(began)
        load.expect_nothing_dropped(began, judged)
        health.expect_left_alone(cluster, {**before, 2: new}, 0.3, "only worker 2 was sick")

    @check(expected="every REPORT_INTERVAL_MS `health report workers=3 healthy=3` and a line for "
                    "each worker, with true values",
           likely="the report has another form, or tells what was at the start",
           hint="print it from a timer, bare, one line a worker in logfmt",
           needs=("test_requests_and_errors_are_counted",
                  "test_memory_bytes_is_the_resident_set"), seconds=3)
    def test_report_lines(self, fixture: Fixture) -> None:
        """The report comes every interval and tells the truth"""
        cluster = fixture.start()
        workers = dict(worker_slots.find_workers(cluster))
        connection = connections.to_one(cluster, 2)
        vitals.ask(connection, "/", 4, 200)
        failed = vitals.ask(connection, "/error", 1, 500)
        report = health_report.report_after(cluster, failed)
        health_report.expect_all_healthy(report)
        health_report.expect_true_rows(cluster, report, workers, asked=2)

    @check(expected="after a replacement for errors and a crash in another slot the report says "
                    "so: restarts=1, lastRestart=errors and lastRestart=crash, with the new pids",
           likely="restarts are counted for the process instead of the slot, or a crash is not "
                  "counted, or a healthy worker was replaced, too",
           hint="keep a history for each slot: how often, and why the last time",
           seconds=4, needs=("test_report_lines", "test_thirty_errors_are_too_many"))
    def test_report_counts_restarts(self, fixture: Fixture) -> None:
        """The report counts restarts, and tells the reason of the last"""
        cluster = fixture.start()
        workers = dict(worker_slots.find_workers(cluster))
        failed = vitals.ask(connections.to_one(cluster, 1), "/error", 30, 500)
        killed = cluster.signal_worker(3, SIGKILL)
        for slot, since, more, why in ((1, failed, 0.0, "errors"), (3, killed, 1.0, "crash")):
            within = health.bound(cluster) + more
            workers[slot] = health.await_successor(cluster, slot, workers[slot], since, within, why)
        health_report.expect_restarts(cluster, workers, {1: "errors", 3: "crash"})

    @check(expected="ten seconds of load on fresh and kept-alive connections: no worker is "
                    "replaced, nothing is dropped",
           likely="a busy worker is taken for a sick one: its heartbeats are late, or its memory "
                  "is compared with too little",
           hint="heartbeats must not wait for requests", seconds=11)
    def test_load_alone_replaces_nobody(self, fixture: Fixture) -> None:
        """Ten seconds of load replace nobody"""
        cluster = fixture.start({"MEMORY_LIMIT_MB": NO_LIMIT_MB, "HEARTBEAT_TIMEOUT_MS": 10000})
        before = dict(worker_slots.find_workers(cluster))
        with Load(cluster, fresh=8, kept=8) as load:
            began = time.monotonic()
            health.expect_left_alone(cluster, before, 10.0, "all workers are healthy")
        load.expect_nothing_dropped(began, began + 10)


class TestCommonGround(AllChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("HEARTBEAT_INTERVAL_MS", "0"), ("ERROR_RATE_LIMIT", "101"),
                   ("MEMORY_LIMIT_MB", "1000001"), ("LEAK_MB", ""))
    own_clashes = (("HEARTBEAT_TIMEOUT_MS", "2000", {"HEARTBEAT_INTERVAL_MS": 2000}),
                   ("HEARTBEAT_TIMEOUT_MS", "1999", {"HEARTBEAT_INTERVAL_MS": 2000}))
    own_edges: tuple[dict[str, int], ...] = (
        {"ERROR_RATE_LIMIT": 100, "ERROR_RATE_MIN_REQUESTS": 1000000, "MEMORY_LIMIT_MB": 1000000},
        {"HEARTBEAT_INTERVAL_MS": 3_599_999, "HEARTBEAT_TIMEOUT_MS": 3_600_000,
         "REPORT_INTERVAL_MS": 3_600_000})
