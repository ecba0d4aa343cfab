"""Exercise 2, rolling restart: one class an item of the checklist, one method a check."""
from __future__ import annotations

from signal import SIGUSR2

from harness.checks import replacement, workers
from harness.checks.common_ground.all_checks import AllChecks
from harness.checks.restart import abandoned_restart, newcomers, program_on_disk, restart, versions
from harness.checks.restart.end_during_restart import EndDuringRestartChecks
from harness.clients.load import Load
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check

EXERCISE = Exercise(
    number=2, name="rolling restart", folder="exercises/ex2_rolling_restart", endpoints="GET /",
    start_first="open exercises/ex2_rolling_restart/main.cpp at the first step that is still to "
                "do: start the workers (step 1), let GET / answer 200 with `version`, `worker` and "
                "`pid` (step 2), and tell the master that they are ready (step 3). Nothing else "
                "can be tried before.",
    scaled={"STARTUP_MS": 200, "READY_TIMEOUT_MS": 15000, "DRAIN_TIMEOUT_MS": 10000,
            "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"STARTUP_MS": 500, "READY_TIMEOUT_MS": 30000, "DRAIN_TIMEOUT_MS": 10000,
          "SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("STARTUP_MS", "READY_TIMEOUT_MS", "DRAIN_TIMEOUT_MS", "WORK_MS", "ROLLBACK",
               "PARALLEL", "RESTART_TIMEOUT_MS"))
GATE = ("test_four_workers_serve_the_first_version",)
REPLACES = "test_all_workers_are_new"
CRASHES = "test_crashed_worker_keeps_its_version"


class TestItem1Start:
    """Workers start with the first version"""

    item = 1
    needs = GATE

    @check(expected="a ready line with workers=4; workers 1 to 4 answer, each a child of the "
                    "master, all with version 1.0.0",
           likely="a worker is not ready, or does not know its version",
           hint="the master hands the version down when it starts a worker, for instance in its "
                "environment", seconds=0.3)
    def test_four_workers_serve_the_first_version(self, fixture: Fixture) -> None:
        """Four workers start, and all serve version 1.0.0"""
        cluster = fixture.start()
        workers.expect_children(cluster, 4, versions.expect_version(cluster, "1.0.0"))

    @check(expected="after WORK_MS: `version` a text, `uptime` seconds since the worker's start, "
                    "`timestamp` the time in UTC as ISO 8601", seconds=0.7,
           likely="the timestamp is local time or a number, or uptime is that of the machine or in "
                  "milliseconds, or the answer does not take WORK_MS",
           hint="remember when the worker started; a timestamp looks like 2026-01-31T12:34:56Z")
    def test_answer_has_version_uptime_and_timestamp(self, fixture: Fixture) -> None:
        """`GET /` tells version, uptime and timestamp, after WORK_MS"""
        versions.expect_fields(fixture.start({"WORK_MS": 60}), 0.06)

    @check(expected="within 1 s and the simulated start-up a new process answers in the slot, with "
                    "version 1.0.0",
           likely="a crashed worker is not replaced, or its successor is started without a version",
           hint="a replacement is started in the same way as the one that it replaces", seconds=0.7)
    def test_crashed_worker_keeps_its_version(self, fixture: Fixture) -> None:
        """A crashed worker is replaced, with the same version"""
        cluster, startup = fixture.start(), fixture.figure("STARTUP_MS")
        replacement.expect_replaced_when_killed(cluster, 2, within=1.0 + startup)
        versions.expect_version(cluster, "1.0.0")


class TestItem2Signal:
    """SIGUSR2 starts a rolling restart"""

    item = 2
    needs = GATE

    @check(expected="after SIGUSR2 each of the four slots is served by a new process; the master "
                    "and its port stay",
           likely="SIGUSR2 is not handled, or the restart ends after the first worker",
           hint="on SIGUSR2 go through all slots: start a successor, wait until it is ready, let "
                "the old one go", seconds=1.5)
    def test_all_workers_are_new(self, fixture: Fixture) -> None:
        """After SIGUSR2 all four workers are new processes"""
        restart.complete(fixture.start())

    @check(expected="the new workers run the file that lies on the disk at the time of the restart",
           likely="workers are forked from the running master, or started from /proc/self/exe, so "
                  "that a new program never runs", needs=(REPLACES,), seconds=1.5,
           hint="start workers by executing the program's path anew")
    def test_new_workers_run_the_file_on_disk(self, fixture: Fixture) -> None:
        """The new workers run the program as it lies on the disk now"""
        program, path = program_on_disk.copy_if_native(fixture)
        cluster = fixture.start(program=program)
        program_on_disk.exchange(path)
        new = restart.complete(cluster, "1.1.0", before="1.0.0")
        program_on_disk.expect_running(new, path)

    @check(expected="SIGUSR2 before the ready line changes nothing: the cluster becomes ready with "
                    "1.0.0 and stays so",
           likely="the signal's default action ends the master, or the signal is remembered and "
                  "obeyed later",
           hint="set up the handler before the first worker is started, and ignore the signal "
                "until the cluster is ready", seconds=2)
    def test_signal_before_ready_is_ignored(self, fixture: Fixture) -> None:
        """SIGUSR2 before the ready line is ignored"""
        cluster = newcomers.start_signalled(fixture, SIGUSR2, {"STARTUP_MS": 700})
        newcomers.expect_none_after_ready(cluster)


class TestItem3OneAtATime:
    """One worker at a time"""

    item = 3
    needs = (*GATE, REPLACES)

    @check(expected="during the restart there is never more than one extra worker process, never "
                    "one too few, and each old one leaves only when its successor is ready",
           likely="the old worker is ended first, or all are replaced at once, or nobody waits for "
                  "the successor to be ready",
           hint="one slot after another: start, wait for `ready`, drain the old one, wait until it "
                "is gone", seconds=3.5)
    def test_never_too_many_never_too_few(self, fixture: Fixture) -> None:
        """Never more than one extra process, never too few; each old one leaves after its
        successor is ready"""
        startup = int(fixture.pace(400, 500))
        sampler, old = restart.complete_watched(fixture.start({"STARTUP_MS": startup}))
        sampler.expect_one_at_a_time(old, startup / 1000)

    @check(expected="requests in flight on the old workers get their whole 200 from them, and the "
                    "next slot waits meanwhile",
           likely="the old worker is killed, or ends before its requests are answered, or nobody "
                  "waits for its end", seconds=1.5,
           hint="tell the old worker to drain, and wait until it is gone before the next slot")
    def test_old_workers_finish_their_requests(self, fixture: Fixture) -> None:
        """Old workers finish what they have in flight before the next slot's turn"""
        cluster = fixture.start({"STARTUP_MS": 50, "WORK_MS": 1200, "DRAIN_TIMEOUT_MS": 10000})
        sampler, old = restart.complete_busy(cluster, versions.flood(cluster, 24))
        sampler.expect_one_at_a_time(old, startup=0.0)

    @check(expected="as long as a successor is stopped before it is ready, all old workers stay; "
                    "then the restart goes on",
           likely="the old worker is told to go after a fixed time, or at once, and not when its "
                  "successor is ready",
           hint="wait until the successor itself says that it is ready", seconds=4)
    def test_nobody_leaves_before_the_successor_is_ready(self, fixture: Fixture) -> None:
        """No old worker leaves as long as its successor is not ready"""
        under_way = restart.begin(fixture.start({"STARTUP_MS": 400}))
        restart.hold_up_successor(under_way, 1.5)
        restart.expect_done(under_way, "1.1.0", more=2.0)

    @check(expected="an old worker that does not go is killed after DRAIN_TIMEOUT_MS, and the "
                    "restart goes on",
           likely="there is no limit to the drain, so that one stuck worker stops the restart for "
                  "ever",
           hint="wait for the old worker's end with a timeout, then SIGKILL", seconds=2)
    def test_stuck_old_worker_is_killed(self, fixture: Fixture) -> None:
        """A stuck old worker is killed at DRAIN_TIMEOUT_MS, and the restart goes on"""
        timeout = int(fixture.pace(1200, 4000))
        cluster = fixture.start({"STARTUP_MS": 100, "DRAIN_TIMEOUT_MS": timeout})
        under_way = restart.begin_stuck(cluster, 1)
        restart.expect_killed_and_done(under_way, 1, "1.1.0")

    @check(expected="a worker that is killed while others are being replaced is replaced too; in "
                    "the end all four are new",
           likely="the restart waits for a process that has died, or the crash is forgotten, or it "
                  "ends the restart",
           hint="the library goes on replacing crashed workers: ask for a slot's current worker "
                "when its turn comes", needs=(CRASHES,), seconds=2)
    def test_crash_meanwhile_is_repaired(self, fixture: Fixture) -> None:
        """A crash during the restart is repaired without disturbing it"""
        cluster = fixture.start({"STARTUP_MS": 300})
        sampler = restart.complete_with_crash(cluster, 4, "1.1.0")
        sampler.expect_at_most_one_extra()


class TestItem4Version:
    """The version goes up with each restart"""

    item = 4
    needs = (*GATE, REPLACES)

    @check(expected="1.1.0 from all workers after the first restart, 1.2.0 after the second",
           likely="the version is a constant, or not kept from one restart to the next, or raised "
                  "twice for each", seconds=3.5,
           hint="the master keeps the version and raises it by one minor number for each restart")
    def test_minor_number_goes_up(self, fixture: Fixture) -> None:
        """1.1.0 after the first restart, 1.2.0 after the second"""
        cluster = fixture.start()
        restart.complete(cluster, "1.1.0")
        restart.complete(cluster, "1.2.0")

    @check(expected="while the restart is under way some workers answer 1.0.0 and others 1.1.0, "
                    "each always the same",
           likely="the version is shared by all workers, so that the old ones change it too, or "
                  "all are replaced at once",
           hint="a worker's version is fixed when it is started", seconds=3)
    def test_both_versions_are_visible(self, fixture: Fixture) -> None:
        """During the restart both versions are visible, and no process changes its own"""
        cluster = fixture.start({"STARTUP_MS": 300})
        with Load(cluster, fresh=8, kept=0) as load:
            under_way = restart.begin(cluster)
            done = restart.await_replaced(under_way)
        restart.expect_both_versions(under_way, done, load, "1.0.0", "1.1.0")

    @check(expected="three SIGUSR2 in quick succession are one restart: all workers 1.1.0, and no "
                    "further restart follows",
           likely="each signal counts: one that came during the restart begins a second restart "
                  "beside it, or is remembered and obeyed afterwards; or nobody notes that the "
                  "restart is over",
           hint="a restart that is under way is a fact to be looked at when the signal comes: log "
                "it and ignore it", seconds=3)
    def test_signals_during_a_restart_are_ignored(self, fixture: Fixture) -> None:
        """SIGUSR2 during a restart is ignored: it counts once"""
        under_way = restart.begin(fixture.start())
        last = restart.signal_again(under_way)
        restart.expect_only_one(under_way, "1.1.0", last)

    @check(expected="a successor that is not ready within READY_TIMEOUT_MS is killed, the restart "
                    "is abandoned, the others go on with 1.0.0; a crash replacement has its slot's "
                    "version; the next restart brings 1.1.0 to all",
           likely="the restart goes on with the next slot, or begins again by itself, or hangs, "
                  "or the version is raised although the restart failed", needs=(CRASHES,),
           seconds=5,
           hint="raise the master's version only when the last slot is done")
    def test_abandoned_restart_keeps_the_version(self, fixture: Fixture) -> None:
        """An abandoned restart does not count; each slot keeps its version, also after a crash"""
        timeout = int(fixture.ample(1.5, 3.0) * 1000)
        cluster = fixture.start({"READY_TIMEOUT_MS": timeout, "STARTUP_MS": 300})
        abandoned_restart.stop_second_successor(restart.begin(cluster), timeout / 1000)
        abandoned_restart.expect_slots_keep_their_versions(cluster)
        restart.complete(cluster, "1.1.0")


class TestItem5NothingDropped(EndDuringRestartChecks):
    """No request is dropped"""

    item = 5
    needs = (*GATE, REPLACES)

    @check(expected="two restarts under load: every request on 16 fresh and 16 kept-alive "
                    "connections gets a whole 200",
           likely="the old worker closes connections that are in use, or its listening socket's "
                  "queue, or ends too early, or is killed instead of told to go", seconds=5,
           heavy=True,
           hint="a draining worker stops accepting, answers what still comes with Connection: "
                "close, and closes only connections that are idle for longer than a second")
    def test_fresh_and_kept_alive_connections(self, fixture: Fixture) -> None:
        """Two restarts under load on fresh and kept-alive connections: nothing is dropped"""
        cluster = fixture.start()
        with Load(cluster) as load:
            for _ in range(2):
                restarted, done = restart.complete_under_load(cluster)
                restart.expect_all_new(restarted)
                load.expect_nothing_dropped(restarted.signalled, done)

    @check(expected="the same with WORK_MS=200, so that requests are in flight whenever a worker "
                    "is told to go",
           likely="a worker that drains ends while requests are in flight, or answers them with an "
                  "error",
           hint="wait until every request that was read is answered in full", seconds=5)
    def test_requests_that_take_time(self, fixture: Fixture) -> None:
        """Nothing is dropped when requests take 200 ms"""
        cluster = fixture.start({"WORK_MS": 200})
        old = versions.pids(versions.survey_at_once(cluster))
        with Load(cluster) as load:
            restarted, done = restart.complete_under_load(cluster, old)
        load.expect_nothing_dropped(restarted.signalled, done)

    @check(expected="a successor that is killed before it is ready: the restart is abandoned, the "
                    "master logs it, all four slots serve 1.0.0, nothing is dropped; the next "
                    "SIGUSR2 restarts all",
           likely="the master waits for ever for a process that has died, or has already ended the "
                  "old worker",
           hint="the wait for `ready` ends when the successor has died, too", seconds=5)
    def test_abandoned_restart_drops_nothing(self, fixture: Fixture) -> None:
        """Nothing is dropped when a new worker dies before it is ready, and the restart is
        abandoned"""
        cluster = fixture.start({"STARTUP_MS": 500})
        with Load(cluster) as load:
            under_way = restart.begin(cluster)
            killed = abandoned_restart.kill_successor(under_way)
            ended = load.await_enough(under_way.signalled)
        load.expect_nothing_dropped(under_way.signalled, ended)
        abandoned_restart.expect_old_serve_on(under_way, killed)
        restart.complete(cluster)


class TestCommonGround(AllChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("STARTUP_MS", "-1"), ("READY_TIMEOUT_MS", "0"),
                   ("DRAIN_TIMEOUT_MS", "3600001"), ("WORK_MS", ""))
    own_edges = ({"STARTUP_MS": 0, "WORK_MS": 0, "DRAIN_TIMEOUT_MS": 1},
                 {"READY_TIMEOUT_MS": 3600000, "DRAIN_TIMEOUT_MS": 3600000})
