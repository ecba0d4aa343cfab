"""Checks for every exercise: settings, the port, the ready line, the log, early signals, and that
nothing is left at the end."""
from __future__ import annotations

import re
import time
from signal import SIGINT, SIGKILL, SIGTERM, Signals

from harness.checks.common_ground import ports
from harness.checks.common_ground.ready_line import (
    default_port_alone, expect_no_line_of_unready, expect_ready_line,
)
from harness.clients import worker_slots
from harness.cluster.cluster import READY, Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

LOG_LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} (master|worker\d+)\[\d+\] .")
REFUSED = (
    ("PORT", "65536"), ("PORT", "-1"), ("PORT", "http"), ("PORT", ""),
    ("WORKERS", "0"), ("WORKERS", "65"), ("WORKERS", "2.5"), ("WORKERS", ""),
    ("SHUTDOWN_TIMEOUT_MS", "0"), ("SHUTDOWN_TIMEOUT_MS", "3600001"),
    ("SHUTDOWN_TIMEOUT_MS", "10s"),
    ("HOST", "no such host"), ("HOST", "127.0.0.256"), ("HOST", ""),
    ("JOURNAL", "/no-such-folder/journal"), ("JOURNAL", ""))
EDGES: tuple[dict[str, int], ...] = (
    {"WORKERS": 1, "SHUTDOWN_TIMEOUT_MS": 1}, {"WORKERS": 3, "SHUTDOWN_TIMEOUT_MS": 3600000})
STOP_PATIENCE = 10.0


class StartChecks:
    """Mixed into an exercise's class for the common ground."""

    own_refused: tuple[tuple[str, str], ...] = ()
    """Further settings to refuse, of the exercise itself."""
    own_clashes: tuple[tuple[str, str, dict[str, int]], ...] = ()
    """Settings to refuse because of others: name, value, and the others."""
    own_edges: tuple[dict[str, int], ...] = ()
    """Settings at the edge of what is allowed."""

    @check(expected="one line on standard error that names the variable, its value and what is "
                    "allowed; exit code 2; nothing started",
           likely="a setting is used without being checked, or the complaint has no name or value "
                  "in it, or ends with another code",
           hint="read all settings before anything is started, and refuse the first that is not "
                "allowed", seconds=1.5)
    def test_bad_settings_are_refused(self, fixture: Fixture) -> None:
        """Settings that are not allowed are refused with one line and exit code 2"""
        alone = ((name, value, dict[str, int]()) for name, value in (*REFUSED, *self.own_refused))
        wanted = [*alone, *self.own_clashes]
        clusters = [fixture.start({**others, name: value}, wait=False)
                    for name, value, others in wanted]
        for cluster, (name, value, others) in zip(clusters, wanted):
            code = cluster.wait_started()
            setting = " ".join([f"{name}={value!r}", *(f"{one}={others[one]}" for one in others)])
            if code is None:
                raise CheckFailed(f"with {setting} the program goes on running" + cluster.said())
            lines = [line for line in cluster.output(error=True) if line.strip()]
            if code != 2 or len(lines) != 1 or name not in lines[0] or value not in lines[0]:
                raise CheckFailed(f"with {setting}: exit code {code}, standard error {lines}")
            if any(READY.match(line) for line in cluster.output()):
                raise CheckFailed(f"with {setting} there was a ready line")

    @check(expected="one worker, three workers, no delay, the longest and the shortest durations: "
                    "all start",
           likely="the bounds of a setting are off by one",
           hint="the contract's bounds are allowed themselves", seconds=1)
    def test_edges_are_allowed(self, fixture: Fixture) -> None:
        """Settings at the edge of what is allowed are accepted"""
        for settings in (*EDGES, *self.own_edges):
            cluster = fixture.start(settings)
            if cluster.workers != settings.get("WORKERS", cluster.workers):
                raise CheckFailed(f"with WORKERS={settings['WORKERS']} the ready line says "
                                  f"workers={cluster.workers}")
            worker_slots.find_workers(cluster)

    @check(expected="one line on standard error with the address, exit code 1, no process left, "
                    "the first cluster undisturbed",
           likely="SO_REUSEPORT lets two programs listen on one port, or the error of bind is not "
                  "looked at",
           hint="bind before you start a worker; on failure print the address and a command that "
                "finds the holder", seconds=0.2)
    def test_port_taken(self, fixture: Fixture) -> None:
        """A port that is taken: one line, exit code 1, no process left"""
        first = fixture.start()
        port = first.client.address[1]
        second = fixture.start({"PORT": port}, wait=False)
        code = second.wait_started()
        lines = [line for line in second.output(error=True) if line.strip()]
        if code is None:
            raise CheckFailed(f"a second program on port {port} is still running" + second.said())
        if code != 1 or len(lines) != 1 or str(port) not in lines[0]:
            raise CheckFailed(f"port {port} taken: exit code {code}, standard error {lines}")
        second.expect_processes_gone(time.monotonic(), 1.0)
        worker_slots.find_workers(first)

    @check(expected="`ready url=http://127.0.0.1:PORT workers=N pid=PID` once, with the chosen "
                    "port and the master's pid; all workers serve from then on",
           likely="the line comes before the workers are ready, or in another form",
           hint="each worker tells the master when it accepts connections; print the line when the "
                "last one has", seconds=0.2)
    def test_ready_line(self, fixture: Fixture) -> None:
        """The ready line is bare, comes once, and is true"""
        expect_ready_line(fixture, ports.free())
        fixture.held.enter_context(default_port_alone())
        expect_ready_line(fixture, None)

    @check(expected="HOST=::1 and HOST=localhost work; the ready line's url can be used as it is",
           likely="only IPv4 addresses are understood, or the url has an IPv6 address without "
                  "brackets",
           hint="choose the address family by the address; a url has [::1]", seconds=0.2)
    def test_other_hosts(self, fixture: Fixture) -> None:
        """HOST may be an IPv6 address or localhost"""
        for host in ("localhost", "::1"):
            if host == "::1" and not ports.has_ipv6():
                raise Inconclusive("this machine has no IPv6 loopback address")
            cluster = fixture.start({"HOST": host})
            answer = cluster.client.get("/no-such-path", patience=3)
            if answer.outcome != "answer":
                raise CheckFailed(f"HOST={host}, {cluster.url}: {answer}")

    @check(expected="each line on standard output but the ready line is `12:34:56.789 master[1234] "
                    "text` or `… worker2[1240] text`",
           likely="a line is printed by other means than the log",
           hint="write every line through the library's log", seconds=0.3)
    def test_log_lines(self, fixture: Fixture) -> None:
        """Standard output has one event a line, with time, role and pid"""
        cluster = fixture.start()
        worker_slots.find_workers(cluster)
        cluster.signal_worker(1, SIGKILL)
        cluster.signal(SIGTERM)
        end_gracefully(cluster)
        bare = fixture.exercise.bare
        bad = [line for line in cluster.output()
               if not LOG_LINE.match(line) and not READY.match(line)
               and not (bare and re.match(bare, line))]
        if bad:
            raise CheckFailed("lines in another form: " + "; ".join(map(repr, bad[:5])))

    @check(expected="SIGTERM or SIGINT before the ready line ends the program, and nothing is left",
           likely="workers that were just being started are forgotten",
           hint="set up the signals before the first worker is started", seconds=0.1)
    def test_signals_before_ready(self, fixture: Fixture) -> None:
        """A signal before the ready line still ends the program cleanly"""
        cluster = fixture.start()
        image = processes.image(cluster.pid)
        for number in (SIGTERM, SIGINT):
            early_signal(fixture, number, image)

    @check(expected="exit code 0; after a graceful end no process, no listening socket, no file in "
                    "its folder or TMPDIR",
           likely="a worker outlives the master, or a temporary file or socket is not removed",
           hint="the master leaves last, after it has waited for every worker", seconds=0.3)
    def test_nothing_is_left(self, fixture: Fixture) -> None:
        """After the end nothing is left: no process, no listening socket, no file"""
        for number in (SIGTERM, SIGINT):
            cluster = fixture.start()
            worker_slots.find_workers(cluster)
            signalled = cluster.signal(number)
            end_gracefully(cluster)
            if (code := cluster.wait_exit(0)) != 0:
                raise CheckFailed(f"after {number.name}, with nothing to do: exit code {code}"
                                  + cluster.said(), expected="exit code 0")
            timeout = fixture.figure("SHUTDOWN_TIMEOUT_MS")
            cluster.expect_nothing_left(signalled, timeout * 1.1 + 0.7)


def end_gracefully(cluster: Cluster) -> None:
    timeout = int(cluster.settings.get("SHUTDOWN_TIMEOUT_MS", 10000)) / 1000
    if cluster.wait_exit(timeout * 1.1 + STOP_PATIENCE) is None:
        cluster.doubt_supervisor()
        raise CheckFailed("the program has not ended long after its timeout" + cluster.said())


def early_signal(fixture: Fixture, number: Signals, image: str) -> None:
    """Signal the master as soon as it has a child."""
    cluster = fixture.start(wait=False)
    await_first_child(cluster, image)
    sent = cluster.signal(number)
    if cluster.wait_exit(STOP_PATIENCE * 1.5) is None:
        cluster.doubt_supervisor()
        after = sent - cluster.started
        cluster.refuse_late(STOP_PATIENCE, sent,
                            f"the end after {number.name}, sent {after:.3f} s after the start"
                            + cluster.said())
    cluster.expect_processes_gone(time.monotonic(), 1.0)
    expect_no_line_of_unready(cluster)


def await_first_child(cluster: Cluster, image: str) -> None:
    """Wait until the master has a child and runs that program file, but not for ever.

    Before that a signal may reach the runtime of its language, or a script that looks for it.
    """
    deadline = time.monotonic() + STOP_PATIENCE
    while time.monotonic() < deadline:
        if processes.image(cluster.pid) == image and processes.children(cluster.pid):
            break
        time.sleep(0.002)
