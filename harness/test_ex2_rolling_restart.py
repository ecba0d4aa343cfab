"""Exercise 2, rolling restart: one class an item of the checklist, one method a check."""
from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2

from harness.checks import drain, restart
from harness.checks.common_ground.http import HttpChecks
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks, SpreadChecks
from harness.checks.common_ground.start import StartChecks, await_first_child
from harness.clients import worker_search
from harness.clients.load import Load
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

EXERCISE = Exercise(
    number=2,
    name="rolling restart",
    folder="exercises/ex2_rolling_restart",
    start_first="open exercises/ex2_rolling_restart/main.cpp at the first step that is still to do: start the workers (step 1), let "
                "GET / answer 200 with `version`, `worker` and `pid` (step 2), and tell the master that they are ready (step 3). Nothing else can be tried before.",
    endpoints="GET /",
    scaled={"STARTUP_MS": 200, "READY_TIMEOUT_MS": 15000, "DRAIN_TIMEOUT_MS": 10000, "SHUTDOWN_TIMEOUT_MS": 5000},
    real={"STARTUP_MS": 500, "READY_TIMEOUT_MS": 30000, "DRAIN_TIMEOUT_MS": 10000, "SHUTDOWN_TIMEOUT_MS": 10000},
    variables=("STARTUP_MS", "READY_TIMEOUT_MS", "DRAIN_TIMEOUT_MS", "WORK_MS", "ROLLBACK", "PARALLEL", "RESTART_TIMEOUT_MS"),
)
GATE = ("test_four_workers_serve_the_first_version",)
REPLACES = "test_all_workers_are_new"
CRASHES = "test_crashed_worker_keeps_its_version"
FIRST, SECOND, THIRD = "1.0.0", "1.1.0", "1.2.0"
SURELY_UNDER_WAY = 0.1
"""Seconds before the end of the last old worker: a master that sees the signal later than it was sent has not yet seen that end."""


class TestItem1Start:
    """Workers start with the first version"""

    item = 1
    needs = GATE

    @check(expected="a ready line with workers=4; workers 1 to 4 answer, each a child of the master, all with version 1.0.0",
           likely="a worker is not ready, or does not know its version",
           hint="the master hands the version down when it starts a worker, for instance in its environment", seconds=0.3)
    def test_four_workers_serve_the_first_version(self, fixture: Fixture) -> None:
        """Four workers start, and all serve version 1.0.0"""
        cluster = fixture.start()
        found = restart.expect_version(cluster, FIRST)
        if cluster.workers != 4 or sorted(found) != [1, 2, 3, 4] or len(set(found.values())) != 4:
            raise CheckFailed(f"the ready line says {cluster.workers} workers; answers came from (slot: pid) {found}")
        strangers = set(found.values()) - set(processes.children(cluster.pid))
        if strangers:
            raise CheckFailed(f"the pids {sorted(strangers)} have answered, but are no children of the master")

    @check(expected="`version` a text, `uptime` seconds since the worker's start, `timestamp` the time in UTC as ISO 8601",
           likely="the timestamp is local time or a number, or uptime is that of the machine or in milliseconds",
           hint="remember when the worker started; a timestamp looks like 2026-01-31T12:34:56Z", seconds=0.3)
    def test_answer_has_version_uptime_and_timestamp(self, fixture: Fixture) -> None:
        """`GET /` tells version, uptime and timestamp"""
        cluster = fixture.start()
        before = datetime.now(timezone.utc)
        for answer in restart.survey(cluster).values():
            expect_fields(answer.json, before, time.monotonic() - cluster.started)

    @check(expected="within 1 s and the simulated start-up a new process answers in the slot, with version 1.0.0",
           likely="a crashed worker is not replaced, or its successor is started without a version",
           hint="a replacement is started in the same way as the one that it replaces", seconds=0.7)
    def test_crashed_worker_keeps_its_version(self, fixture: Fixture) -> None:
        """A crashed worker is replaced, with the same version"""
        cluster = fixture.start()
        old = restart.pids(restart.survey(cluster))
        killed = cluster.signal_worker(2, SIGKILL)
        drain.expect_replaced(cluster, 2, old[2], since=killed, within=1.0 + fixture.figure("STARTUP_MS"))
        restart.expect_version(cluster, FIRST)


class TestItem2Signal:
    """SIGUSR2 starts a rolling restart"""

    item = 2
    needs = GATE

    @check(expected="after SIGUSR2 each of the four slots is served by a new process; the master and its port stay",
           likely="SIGUSR2 is not handled, or the restart ends after the first worker",
           hint="on SIGUSR2 go through all slots: start a successor, wait until it is ready, let the old one go", seconds=1.5)
    def test_all_workers_are_new(self, fixture: Fixture) -> None:
        """After SIGUSR2 all four workers are new processes"""
        cluster = fixture.start()
        old = restart.pids(restart.survey(cluster))
        signalled = restart.restart(cluster)
        restart.await_replaced(fixture, cluster, old, signalled)
        new = restart.pids(restart.survey(cluster))
        if set(new.values()) & set(old.values()):
            raise CheckFailed(f"(slot: pid) {old} before, {new} after", expected="four new pids")
        if not processes.alive(cluster.pid):
            raise CheckFailed("the master has ended" + cluster.said(), expected="the master stays the same process")

    @check(expected="the new workers run the file that lies on the disk at the time of the restart",
           likely="workers are forked from the running master, or started from /proc/self/exe, so that a new program never runs",
           hint="start workers by executing the program's path anew", needs=(REPLACES,), seconds=1.5)
    def test_new_workers_run_the_file_on_disk(self, fixture: Fixture) -> None:
        """The new workers run the program as it lies on the disk now"""
        native = restart.is_native(fixture.program)
        program, path = restart.copy_of(fixture) if native else (None, None)
        cluster = fixture.start(program=program)
        old = restart.expect_version(cluster, FIRST)
        if path is not None:
            restart.exchange_file(path)
        signalled = restart.restart(cluster)
        restart.await_replaced(fixture, cluster, old, signalled)
        new = restart.expect_all_new(cluster, old, SECOND)
        if path is not None:
            restart.expect_running(new, path)

    @check(expected="SIGUSR2 before the ready line changes nothing: the cluster becomes ready with 1.0.0 and stays so",
           likely="the signal's default action ends the master, or the signal is remembered and obeyed later",
           hint="set up the handler before the first worker is started, and ignore the signal until the cluster is ready",
           seconds=2)
    def test_signal_before_ready_is_ignored(self, fixture: Fixture) -> None:
        """SIGUSR2 before the ready line is ignored"""
        image = processes.image(fixture.start().pid)
        cluster = fixture.start({"STARTUP_MS": 700}, wait=False)
        await_first_child(cluster, image)
        came, _ = restart.next_newcomer(cluster, set(), 10)
        restart.expect_in_time(cluster, came, cluster.signal(SIGUSR2))
        cluster.wait_ready()
        restart.expect_version(cluster, FIRST)
        restart.expect_no_newcomer(cluster, restart.children_of_the_start(cluster), 0.9,
                                   "was started after the ready line, although SIGUSR2 came before it")
        restart.expect_version(cluster, FIRST)


class TestItem3OneAtATime:
    """One worker at a time"""

    item = 3
    needs = (*GATE, REPLACES)

    @check(expected="during the restart there is never more than one extra worker process, never one too few, and each old "
                    "one leaves only when its successor is ready",
           likely="the old worker is ended first, or all are replaced at once, or nobody waits for the successor to be ready",
           hint="one slot after another: start, wait for `ready`, drain the old one, wait until it is gone", seconds=3.5)
    def test_never_too_many_never_too_few(self, fixture: Fixture) -> None:
        """Never more than one extra process, never too few; each old one leaves after its successor is ready"""
        startup = int(fixture.pace(400, 500))
        cluster = fixture.start({"STARTUP_MS": startup})
        old = restart.pids(restart.survey(cluster))
        with restart.Sampler(cluster) as sampler:
            signalled = restart.restart(cluster)
            restart.await_replaced(fixture, cluster, old, signalled)
        sampler.expect_one_at_a_time(old, startup / 1000)

    @check(expected="requests in flight on the old workers get their whole 200 from them, and the next slot waits meanwhile",
           likely="the old worker is killed, or ends before its requests are answered, or nobody waits for its end",
           hint="tell the old worker to drain, and wait until it is gone before the next slot", seconds=1.5)
    def test_old_workers_finish_their_requests(self, fixture: Fixture) -> None:
        """Old workers finish what they have in flight before the next slot's turn"""
        cluster = fixture.start({"STARTUP_MS": 50, "WORK_MS": 1200, "DRAIN_TIMEOUT_MS": 10000})
        before = set(processes.children(cluster.pid))
        held = restart.flood(cluster, 24)
        with restart.Sampler(cluster) as sampler:
            signalled = restart.restart(cluster)
            answers = [exchange.wait(6) for exchange in held]
            for answer in answers:
                drain.expect_whole(answer)
            old = {answer.worker or 0: answer.pid or 0 for answer in answers}
            cluster.client.close()
            if not set(old.values()) <= before:
                raise CheckFailed(f"the requests that were sent before SIGUSR2 were answered by (slot: pid) {old}; the old workers "
                                  f"are {sorted(before)}", expected="by the old workers")
            if len(old) < cluster.workers:
                raise Inconclusive(f"of {len(held)} requests only the workers {sorted(old)} got any")
            restart.await_replaced(fixture, cluster, old, signalled, more=6.0)
        sampler.expect_one_at_a_time(old, 0.0)

    @check(expected="as long as a successor is stopped before it is ready, all old workers stay; then the restart goes on",
           likely="the old worker is told to go after a fixed time, or at once, and not when its successor is ready",
           hint="wait until the successor itself says that it is ready", seconds=4)
    def test_nobody_leaves_before_the_successor_is_ready(self, fixture: Fixture) -> None:
        """No old worker leaves as long as its successor is not ready"""
        cluster = fixture.start({"STARTUP_MS": 400})
        old = restart.pids(restart.survey(cluster))
        known = set(processes.children(cluster.pid))
        signalled = restart.restart(cluster)
        came, successor = restart.next_newcomer(cluster, known, 5)
        restart.signal_starting(cluster, successor, came, SIGSTOP)
        left = cluster.watcher.wait_gone(list(old.values()), 1.5)
        if len(left) < len(old):
            raise CheckFailed(f"{len(old) - len(left)} old workers have left within 1.5 s, although the successor was stopped before it "
                              "was ready", expected="all old workers stay until it is ready")
        restart.send(cluster, successor, SIGCONT)
        restart.await_replaced(fixture, cluster, old, signalled, more=2.0)
        restart.expect_all_new(cluster, old, SECOND)

    @check(expected="an old worker that does not go is killed after DRAIN_TIMEOUT_MS, and the restart goes on",
           likely="there is no limit to the drain, so that one stuck worker stops the restart for ever",
           hint="wait for the old worker's end with a timeout, then SIGKILL", seconds=2)
    def test_stuck_old_worker_is_killed(self, fixture: Fixture) -> None:
        """A stuck old worker is killed at DRAIN_TIMEOUT_MS, and the restart goes on"""
        timeout = int(fixture.pace(1200, 4000))
        cluster = fixture.start({"STARTUP_MS": 100, "DRAIN_TIMEOUT_MS": timeout})
        old = restart.pids(restart.survey(cluster))
        cluster.signal_worker(1, SIGSTOP)
        signalled = restart.restart(cluster)
        restart.expect_killed_at(cluster, old[1], signalled, 0.1 + timeout / 1000, "the stopped old worker 1")
        restart.await_replaced(fixture, cluster, old, signalled, more=timeout / 1000)
        restart.expect_all_new(cluster, old, SECOND)

    @check(expected="a worker that is killed while others are being replaced is replaced too; in the end all four are new",
           likely="the restart waits for a process that has died, or the crash is forgotten, or it ends the restart",
           hint="the library goes on replacing crashed workers: ask for a slot's current worker when its turn comes",
           needs=(CRASHES,), seconds=2)
    def test_crash_meanwhile_is_repaired(self, fixture: Fixture) -> None:
        """A crash during the restart is repaired without disturbing it"""
        cluster = fixture.start({"STARTUP_MS": 300})
        old = restart.pids(restart.survey(cluster))
        known = set(processes.children(cluster.pid))
        with restart.Sampler(cluster) as sampler:
            signalled = restart.restart(cluster)
            restart.next_newcomer(cluster, known, 5)
            cluster.signal_worker(4, SIGKILL)
            restart.await_replaced(fixture, cluster, old, signalled, more=2.0)
            restart.await_version(fixture, cluster, SECOND, signalled, more=2.0)
            restart.await_settled(cluster, len(known), signalled, restart.whole_restart(fixture, cluster) + 4.0)
        restart.expect_all_new(cluster, old, SECOND)
        most = max(len(sample.children) for sample in sampler.samples)
        if most > len(sampler.samples[0].children) + 1:
            raise CheckFailed(f"{most} worker processes at once", expected="never more than one extra process")


class TestItem4Version:
    """The version goes up with each restart"""

    item = 4
    needs = (*GATE, REPLACES)

    @check(expected="1.1.0 from all workers after the first restart, 1.2.0 after the second",
           likely="the version is a constant, or not kept from one restart to the next, or raised twice for each",
           hint="the master keeps the version and raises it by one minor number for each restart", seconds=3.5)
    def test_minor_number_goes_up(self, fixture: Fixture) -> None:
        """1.1.0 after the first restart, 1.2.0 after the second"""
        cluster = fixture.start()
        pids = restart.pids(restart.survey(cluster))
        for wanted in (SECOND, THIRD):
            signalled = restart.restart(cluster)
            restart.await_replaced(fixture, cluster, pids, signalled)
            pids = restart.expect_all_new(cluster, pids, wanted)

    @check(expected="while the restart is under way some workers answer 1.0.0 and others 1.1.0, each always the same",
           likely="the version is shared by all workers, so that the old ones change it too, or all are replaced at once",
           hint="a worker's version is fixed when it is started", seconds=3)
    def test_both_versions_are_visible(self, fixture: Fixture) -> None:
        """During the restart both versions are visible, and no process changes its own"""
        cluster = fixture.start({"STARTUP_MS": 300})
        old = restart.pids(restart.survey(cluster))
        with Load(cluster, fresh=8, kept=0) as load:
            signalled = restart.restart(cluster)
            done = restart.await_replaced(fixture, cluster, old, signalled)
        by_pid: dict[int | None, set[str | None]] = {}
        for one in load.asked:
            if not one.dropped:
                by_pid.setdefault(one.pid, set()).add(one.version)
        if any(len(found) != 1 for found in by_pid.values()):
            raise CheckFailed(f"the versions that each process has told: {by_pid}", expected="a process has one version")
        wrong = {pid: found for pid, found in by_pid.items() if found != {FIRST if pid in old.values() else SECOND}}
        if wrong:
            raise CheckFailed(f"versions by pid: {wrong}; the old workers were {old}", expected="1.0.0 from old, 1.1.0 from new")
        seen = {one.version for one in load.asked if signalled < one.started < done and not one.dropped}
        if seen != {FIRST, SECOND}:
            load.expect_enough(signalled, done)
            raise CheckFailed(f"during the restart the versions {sorted(map(str, seen))} were seen", expected="both")

    @check(expected="three SIGUSR2 in quick succession are one restart: all workers 1.1.0, and no further restart follows",
           likely="each signal counts: one that came during the restart begins a second restart beside it, or is remembered and obeyed afterwards",
           hint="a restart that is under way is a fact to be looked at when the signal comes: log it and ignore it", seconds=3)
    def test_signals_during_a_restart_are_ignored(self, fixture: Fixture) -> None:
        """SIGUSR2 during a restart is ignored: it counts once"""
        cluster = fixture.start()
        old = restart.pids(restart.survey(cluster))
        known = set(processes.children(cluster.pid))
        signalled = restart.restart(cluster)
        cluster.signal(SIGUSR2)
        restart.next_newcomer(cluster, known, 5)
        last = cluster.signal(SIGUSR2)
        if last > restart.await_replaced(fixture, cluster, old, signalled) - SURELY_UNDER_WAY:
            raise Inconclusive("the harness was so slow that the restart may have been over at the last SIGUSR2")
        new = restart.expect_all_new(cluster, old, SECOND)
        restart.expect_no_newcomer(cluster, {*known, *new.values()}, fixture.figure("STARTUP_MS") + 0.4, "was started after the restart was over")
        if restart.expect_version(cluster, SECOND) != new:
            raise CheckFailed("workers were replaced a second time", expected="one restart")

    @check(expected="a successor that is not ready within READY_TIMEOUT_MS is killed, the restart is abandoned, the others go on "
                    "with 1.0.0; a crash replacement has its slot's version; the next restart brings 1.1.0 to all",
           likely="the restart goes on with the next slot, or hangs, or the version is raised although the restart failed",
           hint="raise the master's version only when the last slot is done", needs=(CRASHES,), seconds=5)
    def test_abandoned_restart_keeps_the_version(self, fixture: Fixture) -> None:
        """An abandoned restart does not count; each slot keeps its version, also after a crash"""
        timeout = int(fixture.pace(1500, 3000))
        cluster = fixture.start({"READY_TIMEOUT_MS": timeout, "STARTUP_MS": 300})
        restart.survey(cluster)
        known = set(processes.children(cluster.pid))
        restart.restart(cluster)
        _, first = restart.next_newcomer(cluster, known, 5)
        came, second = restart.next_newcomer(cluster, {*known, first}, 8)
        restart.signal_starting(cluster, second, came, SIGSTOP)
        restart.expect_killed_at(cluster, second, came, timeout / 1000, "the successor that was stopped before it was ready")
        restart.expect_no_newcomer(cluster, {*known, first, second}, 0.3, "was started although the restart had to be abandoned")
        wanted = restart.versions(restart.survey(cluster))
        done = [slot for slot, version in wanted.items() if version == SECOND]
        kept = [slot for slot, version in wanted.items() if version == FIRST]
        if len(done) != 1 or len(kept) != 3:
            raise CheckFailed(f"after a restart that was abandoned at the second slot the versions (slot: version) are {wanted}",
                              expected="1.1.0 in the slot that was done, 1.0.0 in the others")
        for slot in (done[0], kept[0]):
            before = worker_search.pid_of(cluster, slot)
            killed = cluster.signal_worker(slot, SIGKILL)
            drain.expect_replaced(cluster, slot, before, since=killed, within=1.3)
        restart.expect_versions(cluster, wanted, f"after crashes in the slots {done[0]} and {kept[0]}")
        now = restart.pids(restart.survey(cluster))
        signalled = restart.restart(cluster)
        restart.await_replaced(fixture, cluster, now, signalled)
        restart.expect_all_new(cluster, now, SECOND)


class TestItem5NothingDropped:
    """No request is dropped"""

    item = 5
    needs = (*GATE, REPLACES)

    @check(expected="two restarts under load: every request on 16 fresh and 16 kept-alive connections gets a whole 200",
           likely="the old worker closes connections that are in use, or its listening socket's queue, or ends too early",
           hint="a draining worker stops accepting, answers what still comes with Connection: close, and closes only connections "
                "that are idle for longer than a second", seconds=5, heavy=True)
    def test_fresh_and_kept_alive_connections(self, fixture: Fixture) -> None:
        """Two restarts under load on fresh and kept-alive connections: nothing is dropped"""
        cluster = fixture.start()
        with Load(cluster) as load:
            for _ in range(2):
                old = restart.pids(restart.survey(cluster))
                signalled = restart.restart(cluster)
                done = restart.await_replaced(fixture, cluster, old, signalled, more=8.0)
                restart.expect_all_new(cluster, old)
                load.expect_nothing_dropped(signalled, done)

    @check(expected="the same with WORK_MS=200, so that requests are in flight whenever a worker is told to go",
           likely="a worker that drains ends while requests are in flight, or answers them with an error",
           hint="wait until every request that was read is answered in full", seconds=5)
    def test_requests_that_take_time(self, fixture: Fixture) -> None:
        """Nothing is dropped when requests take 200 ms"""
        cluster = fixture.start({"WORK_MS": 200})
        old = restart.pids(restart.survey_at_once(cluster))
        with Load(cluster) as load:
            signalled = restart.restart(cluster)
            done = restart.await_replaced(fixture, cluster, old, signalled, more=8.0)
        load.expect_nothing_dropped(signalled, done)

    @check(expected="a successor that is killed before it is ready: the restart is abandoned, the master logs it, all four slots "
                    "serve 1.0.0, nothing is dropped; the next SIGUSR2 restarts all",
           likely="the master waits for ever for a process that has died, or has already ended the old worker",
           hint="the wait for `ready` ends when the successor has died, too", seconds=5)
    def test_abandoned_restart_drops_nothing(self, fixture: Fixture) -> None:
        """Nothing is dropped when a new worker dies before it is ready, and the restart is abandoned"""
        cluster = fixture.start({"STARTUP_MS": 500})
        old = restart.pids(restart.survey(cluster))
        known = set(processes.children(cluster.pid))
        with Load(cluster) as load:
            signalled = restart.restart(cluster)
            came, successor = restart.next_newcomer(cluster, known, 5)
            killed = restart.signal_starting(cluster, successor, came, SIGKILL)
            restart.expect_no_newcomer(cluster, {*known, successor}, 1.0, "was started although the restart had to be abandoned")
            ended = load.await_enough(signalled)
        load.expect_nothing_dropped(signalled, ended)
        drain.expect_log_after(cluster, killed)
        if restart.expect_version(cluster, FIRST) != old:
            raise CheckFailed("workers were replaced although the restart had to be abandoned", expected="the old ones stay")
        again = restart.restart(cluster)
        restart.await_replaced(fixture, cluster, old, again)
        restart.expect_all_new(cluster, old)

    @check(expected="SIGTERM in the middle of a restart: requests in flight are answered, all processes end, exit code 0",
           likely="the restart goes on and starts workers while the cluster ends, or the half-started successor is left behind",
           hint="every wait of the restart ends, too, when the end is asked for", seconds=2.5)
    def test_sigterm_during_a_restart(self, fixture: Fixture) -> None:
        """SIGTERM during a restart ends the cluster gracefully"""
        cluster = fixture.start({"STARTUP_MS": 1000, "WORK_MS": 700})
        old = set(processes.children(cluster.pid))
        restart.restart(cluster)
        restart.next_newcomer(cluster, old, 5)
        held = restart.flood(cluster, 12)
        signalled = cluster.signal(SIGTERM)
        answers = [exchange.wait(4) for exchange in held]
        for answer in answers:
            drain.expect_whole(answer)
        last = max(answer.ended for answer in answers)
        cluster.expect_exit(0, last, 2.5)
        cluster.expect_nothing_left(max(signalled, last), 2.5)


class TestCommonGround(StartChecks, HttpChecks, LoadChecks, SpreadChecks, ProcessChecks):
    """Common ground"""

    item = 0
    needs = GATE
    own_refused = (("STARTUP_MS", "-1"), ("READY_TIMEOUT_MS", "0"), ("DRAIN_TIMEOUT_MS", "3600001"), ("WORK_MS", ""))
    own_edges: tuple[dict[str, int], ...] = ({"STARTUP_MS": 0, "WORK_MS": 0, "DRAIN_TIMEOUT_MS": 1},
                                             {"READY_TIMEOUT_MS": 3600000, "DRAIN_TIMEOUT_MS": 3600000})


def expect_fields(body: dict[str, object], before: datetime, running: float) -> None:
    """`uptime` in seconds, `timestamp` as ISO 8601 in UTC, both true."""
    uptime, stamp = body.get("uptime"), body.get("timestamp")
    if isinstance(uptime, bool) or not isinstance(uptime, (int, float)) or not 0 <= uptime <= running + 0.1:
        raise CheckFailed(f"uptime {uptime!r}; the cluster has been running for {running:.2f} s", expected="seconds since its start")
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        raise CheckFailed(f"timestamp {stamp!r}", expected="like 2026-01-31T12:34:56Z") from None
    if moment.utcoffset() != timedelta(0) or not before - timedelta(seconds=2) < moment < before + timedelta(seconds=30):
        raise CheckFailed(f"timestamp {stamp!r}, when it is {before.isoformat(timespec='seconds')}", expected="the time in UTC")
