"""Exercise 3, health monitoring with heartbeats: one class an item of the checklist, one method a check."""
from __future__ import annotations

import time
from signal import SIGCONT, SIGKILL, SIGSTOP

from harness.checks import health
from harness.checks.common_ground.http import HttpChecks, expect_error
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks, SpreadChecks
from harness.checks.common_ground.start import StartChecks
from harness.clients import worker_search
from harness.clients.load import Load
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

EXERCISE = Exercise(
    number=3,
    name="health monitoring with heartbeats",
    folder="exercises/ex3_health_monitoring",
    probe="/health",
    start_first="open exercises/ex3_health_monitoring/main.cpp at the first step that is still to do: start the workers (step 1), and let "
                "GET /health answer 200 with its numbers (step 2). Nothing else can be tried before that works.",
    endpoints="GET /|GET /health|GET /error|GET /leak",
    scaled={"HEARTBEAT_INTERVAL_MS": 400, "HEARTBEAT_TIMEOUT_MS": 5000, "REPORT_INTERVAL_MS": 700, "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"HEARTBEAT_INTERVAL_MS": 3000, "HEARTBEAT_TIMEOUT_MS": 10000, "REPORT_INTERVAL_MS": 15000, "SHUTDOWN_TIMEOUT_MS": 10000},
    bare=r"^(health report workers=|worker=\d+ pid=)",
    variables=("HEARTBEAT_INTERVAL_MS", "HEARTBEAT_TIMEOUT_MS", "MEMORY_LIMIT_MB", "ERROR_RATE_LIMIT", "ERROR_RATE_MIN_REQUESTS",
               "REPORT_INTERVAL_MS", "LEAK_MB"),
)
GATE = ("test_first_heartbeat_comes_at_once",)
NO_LIMIT_MB = 100_000
MIB = health.MIB


class TestItem1Heartbeats:
    """A heartbeat every interval"""

    item = 1
    needs = GATE

    @check(expected="three workers answer /health, and the master's journal has a `recv` of type heartbeat from each within half a "
                    "second of its `ready`",
           likely="no heartbeat is sent, or the first one comes only after an interval",
           hint="send one as soon as the worker is ready, then start the timer", seconds=0.1)
    def test_first_heartbeat_comes_at_once(self, fixture: Fixture) -> None:
        """Every worker sends its first heartbeat as soon as it is ready"""
        cluster = fixture.start()
        for slot, pid in worker_search.find_workers(cluster).items():
            health.expect_vitals(cluster.client.get("/health", patience=3))
            first = health.await_heartbeats(cluster, slot, 1, 2.0)[0]
            ready = health.ready_at(cluster, pid)
            cluster.expect_within(0.5, ready or cluster.started, first, f"the first heartbeat of worker {slot} after its ready")

    @check(expected="heartbeats of each worker one interval apart, within 10 % + 50 ms, while it serves load",
           likely="only one is sent, or they come too rarely, or they are sent by the threads that serve requests, or each wait starts only after the work",
           hint="send them from a timer of the main line's loop, which does nothing else", seconds=5.5, heavy=True)
    def test_interval_is_kept_under_load(self, fixture: Fixture) -> None:
        """Heartbeats come every interval, also while the worker serves load"""
        interval = int(fixture.pace(500, 3000))
        cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": interval, "HEARTBEAT_TIMEOUT_MS": interval * 10})
        began = time.monotonic() + interval / 1000
        time.sleep(interval / 1000 * fixture.pace(3.5, 2.5))  # idle: heartbeats must not hang on requests either
        with Load(cluster, fresh=8, kept=8) as load:
            loaded = time.monotonic()
            time.sleep(interval / 1000 * fixture.pace(4, 3))
        load.expect_enough(loaded, time.monotonic())
        for slot in (1, 2, 3):
            moments = health.heartbeats(cluster, slot)
            inside = [moment for moment in moments if moment >= began - interval / 1000]
            if len(inside) < 3:
                cluster.refuse_late(interval / 1000 * 1.1, began, f"three heartbeats of worker {slot} (there were {len(inside)})")
            health.expect_spacing(cluster, slot, inside, interval / 1000)


class TestItem2Silence:
    """Silence is noticed"""

    item = 2
    needs = GATE

    @check(expected="a stopped worker is replaced after HEARTBEAT_TIMEOUT_MS, counted from its last heartbeat, not before and no "
                    "later than an interval + 500 ms; the stopped process is gone",
           likely="nobody looks whether heartbeats stay away, or too early, or the stopped process is sent SIGTERM, which it cannot heed",
           hint="judge at least once an interval, by the age of the last heartbeat; end a silent worker with SIGKILL", seconds=2)
    def test_stopped_worker_is_replaced(self, fixture: Fixture) -> None:
        """A stopped worker is replaced after the timeout, and not before"""
        cluster = fixture.start({"HEARTBEAT_TIMEOUT_MS": int(fixture.pace(1500, 10000))})
        before = dict(worker_search.find_workers(cluster))
        health.await_heartbeats(cluster, 1, 1, 3)
        cluster.signal_worker(1, SIGSTOP)
        time.sleep(0.05)  # what was sent just before is noted by then
        last = health.heartbeats(cluster, 1)[-1]
        timeout = fixture.pace(1.5, 10.0)
        latest = timeout + health.bound(fixture, cluster)
        health.expect_left_alone(cluster, before, last + timeout * 0.95 - time.monotonic(), "the timeout is not over")
        health.await_successor(cluster, 1, before[1], last, latest, "silent")
        health.expect_gone(cluster, before[1], last, latest, "silent")
        health.expect_not_gone_before(cluster, before[1], last, timeout)
        health.expect_reason(cluster, "silent")

    @check(expected="a worker that is stopped for half of the timeout and goes on then is left alone",
           likely="silence is judged too early: the timeout is too short, or the time is counted from something else than the last heartbeat",
           hint="each heartbeat starts the time anew", needs=("test_stopped_worker_is_replaced",), seconds=3)
    def test_short_silence_is_forgiven(self, fixture: Fixture) -> None:
        """A worker that is silent for less than the timeout is left alone"""
        timeout = fixture.pace(2.0, 10.0)
        cluster = fixture.start({"HEARTBEAT_TIMEOUT_MS": int(timeout * 1000)})
        before = dict(worker_search.find_workers(cluster))
        stopped = cluster.signal_worker(1, SIGSTOP)
        time.sleep(max(0.0, stopped + timeout / 2 - time.monotonic()))
        cluster.signal_worker(1, SIGCONT)
        health.expect_left_alone(cluster, before, timeout, f"worker 1 was silent for {timeout / 2:.1f} s only")


class TestItem3Memory:
    """High memory is noticed"""

    item = 3
    needs = GATE

    @check(expected="`memoryBytes` is what /proc says of the process's resident set, and grows by LEAK_MB with each /leak",
           likely="another figure is told: the virtual size, or KiB instead of bytes; or /leak does not touch its memory",
           hint="the second number of /proc/self/statm, times the page size", seconds=0.2)
    def test_memory_bytes_is_the_resident_set(self, fixture: Fixture) -> None:
        """`memoryBytes` is the resident set, and `/leak` makes it grow"""
        cluster = fixture.start({"MEMORY_LIMIT_MB": NO_LIMIT_MB, "LEAK_MB": 20})
        connection = health.pinned(cluster, 1)
        base = health.vitals(connection)["memoryBytes"]
        expect_close(base, processes.resident(worker_search.pid_of(cluster, 1)), 4 * MIB)
        health.ask(connection, "/leak", 2, 200)
        grown = health.vitals(connection)["memoryBytes"]
        expect_close(grown, processes.resident(worker_search.pid_of(cluster, 1)), 4 * MIB)
        if not 36 * MIB <= grown - base <= 60 * MIB:
            raise CheckFailed(f"memoryBytes was {base / MIB:.1f} MiB, and {grown / MIB:.1f} MiB after two /leak with LEAK_MB=20",
                              expected="40 MiB more")

    @check(expected="when 200 half-sent requests have come and gone, `memoryBytes` is what /proc says now",
           likely="the peak is told (ru_maxrss, VmHWM), so that a worker that was large once is taken for one that is",
           hint="the second number of /proc/self/statm, times the page size", needs=("test_memory_bytes_is_the_resident_set",), seconds=0.4)
    def test_memory_bytes_goes_down_too(self, fixture: Fixture) -> None:
        """`memoryBytes` is the size now, not the largest that it ever was"""
        cluster = fixture.start({"WORKERS": 1, "MEMORY_LIMIT_MB": NO_LIMIT_MB})
        pid = worker_search.pid_of(cluster, 1)
        health.swell(cluster)
        began = time.monotonic()
        while True:
            told = health.vitals(health.pinned(cluster, 1))["memoryBytes"]
            try:
                return expect_close(told, processes.resident(pid), 4 * MIB)
            except CheckFailed:
                if overdue(began, 2.0):
                    raise
            time.sleep(0.05)

    @check(expected="under the limit a worker is left alone; over it, it is replaced within an interval + 500 ms; its process ends",
           likely="the limit is compared with something else than MiB of resident memory, or nobody looks",
           hint="compare the heartbeat's memoryBytes with MEMORY_LIMIT_MB MiB", needs=("test_memory_bytes_is_the_resident_set",),
           seconds=4)
    def test_over_the_limit_is_replaced(self, fixture: Fixture) -> None:
        """Under the limit a worker is left alone, over it it is replaced"""
        first = fixture.start({"MEMORY_LIMIT_MB": NO_LIMIT_MB})
        base = max(int(health.vitals(health.pinned(first, slot))["memoryBytes"]) for slot in (1, 2, 3)) // MIB
        cluster = fixture.start({"MEMORY_LIMIT_MB": base + 60, "LEAK_MB": 20})
        before = dict(worker_search.find_workers(cluster))
        connection = health.pinned(cluster, 2)
        health.ask(connection, "/leak", 2, 200)
        health.expect_left_alone(cluster, before, health.interval_of(fixture, cluster) * 2.2,
                                 f"worker 2 has about {base + 40} MiB of {base + 60}")
        leaked = health.ask(connection, "/leak", 2, 200)
        health.await_successor(cluster, 2, before[2], leaked, health.bound(fixture, cluster), "memory")
        health.expect_gone(cluster, before[2], leaked, health.bound(fixture, cluster) + health.LEAVES_WITHIN, "memory")
        health.expect_reason(cluster, "memory")


class TestItem4Errors:
    """High error rate is noticed"""

    item = 4
    needs = GATE

    @check(expected="/error answers 500 and counts as a request and an error, / as a request, /health as none",
           likely="/health counts itself, or a 500 is not counted", hint="count where the answer's status is known", seconds=0.2)
    def test_requests_and_errors_are_counted(self, fixture: Fixture) -> None:
        """Requests and errors are counted, `/health` is not"""
        cluster = fixture.start()
        connection = health.pinned(cluster, 1)
        health.ask(connection, "/", 3, 200)
        failed = connection.get("/error", patience=3)
        expect_error(failed, 500)
        health.ask(connection, "/error", 1, 500)
        health.vitals(connection)
        seen = health.vitals(connection)
        if (seen["requests"], seen["errors"]) != (5, 2):
            raise CheckFailed(f"after three / and two /error: requests {seen['requests']}, errors {seen['errors']}", expected="5 and 2")

    @check(expected="30 errors on one worker: replaced within an interval + 500 ms; its counters start afresh",
           likely="the rate is never judged, or counters live on in the master", seconds=3,
           hint="errors / requests over ERROR_RATE_LIMIT per cent, with more than ERROR_RATE_MIN_REQUESTS requests",
           needs=("test_requests_and_errors_are_counted",))
    def test_thirty_errors_are_too_many(self, fixture: Fixture) -> None:
        """After 30 errors a worker is replaced, and its counters start afresh"""
        cluster = fixture.start({"HEARTBEAT_INTERVAL_MS": int(fixture.pace(400, 1000))})
        before = dict(worker_search.find_workers(cluster))
        holder = health.pinned(cluster, 3)  # so that the old worker is there for a while, and goes on sending heartbeats
        holder.send_raw(f"GET / HTTP/1.1\r\nHost: {cluster.client.host}\r\n".encode())
        failed = health.ask(health.pinned(cluster, 3), "/error", 30, 500)
        new = health.await_successor(cluster, 3, before[3], failed, health.bound(fixture, cluster), "errors")
        health.expect_left_alone(cluster, {**before, 3: new}, health.interval_of(fixture, cluster) * 1.5, "all are healthy again",
                                 likely="the heartbeats of the process that was replaced are taken for those of its successor",
                                 hint="note heartbeats by pid, not by slot; ignore those of who was replaced")
        holder.more(b"\r\n")
        health.expect_gone(cluster, before[3], failed, health.bound(fixture, cluster) + health.LEAVES_WITHIN, "errors")
        health.expect_reason(cluster, "errors")
        seen = health.vitals(health.pinned(cluster, 3))
        if seen["requests"] != 0 or seen["errors"] != 0:
            raise CheckFailed(f"the successor tells requests {seen['requests']}, errors {seen['errors']}", expected="0 and 0")

    @check(expected="nine errors of nine requests, and ten of ten, are too few to judge: the worker is left alone",
           likely="the rate is judged from the first request on: 1 of 1 is 100 %", seconds=2.5,
           hint="judge only with more than ERROR_RATE_MIN_REQUESTS requests", needs=("test_thirty_errors_are_too_many",))
    def test_few_requests_are_not_judged(self, fixture: Fixture) -> None:
        """9 errors of 9 requests, and 10 of 10, are left alone"""
        cluster = fixture.start()
        before = dict(worker_search.find_workers(cluster))
        connection = health.pinned(cluster, 1)
        for count, total, likely in ((9, 9, ""), (1, 10, "as many as ERROR_RATE_MIN_REQUESTS are taken for enough: more are wanted")):
            health.ask(connection, "/error", count, 500)
            health.expect_left_alone(cluster, before, health.interval_of(fixture, cluster) * 1.7, f"{total} errors of {total} requests", likely=likely)

    @check(expected="15 errors of 100 requests, spread evenly, with a limit of 20 %: left alone",
           likely="errors are counted instead of their share, or the share is that of too few requests",
           hint="the rate is errors per request, over at least 50 requests", needs=("test_thirty_errors_are_too_many",), seconds=1)
    def test_fifteen_per_cent_is_left_alone(self, fixture: Fixture) -> None:
        """15 % errors are left alone"""
        cluster = fixture.start()
        before = dict(worker_search.find_workers(cluster))
        connection = health.pinned(cluster, 2)
        health.ask(connection, "/", 11, 200)  # so that no early share is over the limit by chance
        for number in range(120):
            path, status = ("/error", 500) if number % 20 in (6, 12, 18) else ("/", 200)
            health.ask(connection, path, 1, status)
        health.expect_left_alone(cluster, before, health.interval_of(fixture, cluster) * 2.2, "worker 2 has 15 % errors")


class TestItem5Replacement:
    """Unhealthy workers are replaced by themselves"""

    item = 5
    needs = GATE

    @check(expected="only the sick worker is replaced, its successor first: meanwhile every request on a fresh connection gets 200",
           likely="the old worker is ended before its successor serves, or a healthy worker is replaced with the sick one",
           hint="start the successor, wait until it is ready, then let the old one drain", seconds=4,
           needs=("test_thirty_errors_are_too_many",), heavy=True)
    def test_only_the_sick_one_and_service_goes_on(self, fixture: Fixture) -> None:
        """Only the sick one is replaced, and service is never interrupted"""
        cluster = fixture.start({"ERROR_RATE_MIN_REQUESTS": 60})
        before = dict(worker_search.find_workers(cluster))
        with Load(cluster, fresh=12, kept=0) as load:
            connection = health.pinned(cluster, 2)
            began = time.monotonic()
            while connection.usable and processes.alive(before[2]) and time.monotonic() < began + 5:
                health.ask(connection, "/error", 20, 500)
            new = health.await_successor(cluster, 2, before[2], began, 5 + health.bound(fixture, cluster), "errors")
            ended = time.monotonic()
            health.expect_gone(cluster, before[2], ended, health.LEAVES_WITHIN, "errors")
            health.expect_successor_first(cluster, before[2], new)
            judged = load.await_enough(began)
        load.expect_nothing_dropped(began, judged)
        health.expect_left_alone(cluster, {**before, 2: new}, 0.3, "only worker 2 was sick")

    @check(expected="every REPORT_INTERVAL_MS `health report workers=3 healthy=3` and a line for each worker, with true values",
           likely="the report has another form, or tells what was at the start",
           hint="print it from a timer, bare, one line a worker in logfmt", seconds=3,
           needs=("test_requests_and_errors_are_counted", "test_memory_bytes_is_the_resident_set"))
    def test_report_lines(self, fixture: Fixture) -> None:
        """The report comes every interval and tells the truth"""
        cluster = fixture.start()
        workers = dict(worker_search.find_workers(cluster))
        connection = health.pinned(cluster, 2)
        health.ask(connection, "/", 4, 200)
        failed = health.ask(connection, "/error", 1, 500)
        period = fixture.figure("REPORT_INTERVAL_MS")
        report = health.next_report(cluster, failed + health.interval_of(fixture, cluster) * 2.2 + 0.3, period * 1.1 + 1)
        following = health.next_report(cluster, report.t + period * 0.5, period * 1.1 + 0.5)
        cluster.expect_within(period * 1.1 + 0.05, report.t, following.t, "the next report")
        if (report.workers, report.healthy, sorted(report.rows)) != (3, 3, [1, 2, 3]):
            raise CheckFailed(f"workers={report.workers} healthy={report.healthy}, lines for {sorted(report.rows)}", expected="three of three")
        for slot, row in report.rows.items():
            wanted = {"pid": str(workers[slot]), "status": "healthy", "restarts": "0", "lastRestart": "none",
                      "requests": "5" if slot == 2 else "0", "errors": "1" if slot == 2 else "0"}
            bad = {name: row[name] for name, value in wanted.items() if row[name] != value}
            if bad or float(row["heartbeatAge"]) > health.interval_of(fixture, cluster) * 2.2 + 0.15:
                raise CheckFailed(f"worker {slot}: {row}", expected=str(wanted))
            expect_close(int(float(row["memoryMb"]) * MIB), processes.resident(workers[slot]), 6 * MIB)
            if float(row["errorRate"]) != (20.0 if slot == 2 else 0.0):
                raise CheckFailed(f"worker {slot}: errorRate={row['errorRate']}", expected="1 of 5 is 20.0")

    @check(expected="after a replacement for errors and a crash in another slot the report says so: restarts=1, lastRestart=errors "
                    "and lastRestart=crash, with the new pids",
           likely="restarts are counted for the process instead of the slot, or a crash is not counted, or a healthy worker was replaced, too",
           hint="keep a history for each slot: how often, and why the last time", seconds=4,
           needs=("test_report_lines", "test_thirty_errors_are_too_many"))
    def test_report_counts_restarts(self, fixture: Fixture) -> None:
        """The report counts restarts, and tells the reason of the last"""
        cluster = fixture.start()
        before = dict(worker_search.find_workers(cluster))
        failed = health.ask(health.pinned(cluster, 1), "/error", 30, 500)
        killed = cluster.signal_worker(3, SIGKILL)
        new = {1: health.await_successor(cluster, 1, before[1], failed, health.bound(fixture, cluster), "errors"), 2: before[2],
               3: health.await_successor(cluster, 3, before[3], killed, health.bound(fixture, cluster) + 1.0, "crash")}
        report = health.next_report(cluster, time.monotonic() + 0.1, fixture.figure("REPORT_INTERVAL_MS") * 1.1 + 1)
        wanted = {1: ("1", "errors"), 2: ("0", "none"), 3: ("1", "crash")}
        for slot, row in report.rows.items():
            if (row["restarts"], row["lastRestart"]) != wanted[slot] or row["pid"] != str(new[slot]):
                raise CheckFailed(f"worker {slot}: pid={row['pid']} restarts={row['restarts']} lastRestart={row['lastRestart']}",
                                  expected=f"pid={new[slot]} restarts={wanted[slot][0]} lastRestart={wanted[slot][1]}")

    @check(expected="ten seconds of load on fresh and kept-alive connections: no worker is replaced, nothing is dropped",
           likely="a busy worker is taken for a sick one: its heartbeats are late, or its memory is compared with too little",
           hint="heartbeats must not wait for requests", seconds=11)
    def test_load_alone_replaces_nobody(self, fixture: Fixture) -> None:
        """Ten seconds of load replace nobody"""
        cluster = fixture.start({"MEMORY_LIMIT_MB": NO_LIMIT_MB, "HEARTBEAT_TIMEOUT_MS": 10000})
        before = dict(worker_search.find_workers(cluster))
        with Load(cluster, fresh=8, kept=8) as load:
            began = time.monotonic()
            health.expect_left_alone(cluster, before, 10.0, "all workers are healthy")
        load.expect_nothing_dropped(began, began + 10)


class TestCommonGround(StartChecks, HttpChecks, LoadChecks, SpreadChecks, ProcessChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("HEARTBEAT_INTERVAL_MS", "0"), ("ERROR_RATE_LIMIT", "101"), ("MEMORY_LIMIT_MB", "1000001"), ("LEAK_MB", ""))
    own_edges: tuple[dict[str, int], ...] = (
        {"ERROR_RATE_LIMIT": 100, "ERROR_RATE_MIN_REQUESTS": 1_000_000, "MEMORY_LIMIT_MB": 1_000_000},
        {"HEARTBEAT_INTERVAL_MS": 3_600_000, "HEARTBEAT_TIMEOUT_MS": 3_600_000, "REPORT_INTERVAL_MS": 3_600_000},
    )


def expect_close(told: int, seen: int, tolerance: int) -> None:
    if abs(told - seen) > tolerance + seen // 10:
        raise CheckFailed(f"told: {told / MIB:.1f} MiB; /proc says {seen / MIB:.1f} MiB resident", expected="the resident set in bytes")
