"""Signals that come to all processes of a cluster, as from a terminal or by pkill."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from running import EXERCISES, PATIENCE, Running, eventually, running


def assert_unharmed(cluster: Running) -> None:
    with urlopen(cluster.url, timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert cluster.children() == cluster.workers
    cluster.process.send_signal(signal.SIGTERM)
    assert cluster.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("exercise", EXERCISES)
def test_signals_without_a_meaning_do_nothing(exercise: str) -> None:
    with running(exercise, {}) as cluster:
        cluster.signal_all(signal.SIGUSR1)
        if exercise != "ex2":  # there SIGUSR2 has a meaning
            cluster.signal_all(signal.SIGUSR2)
        assert_unharmed(cluster)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_hangup_that_was_ignored_at_the_start_stays_ignored(exercise: str) -> None:
    nohup = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with running(exercise, {}, **nohup) as cluster:
        cluster.signal_all(signal.SIGHUP)
        assert_unharmed(cluster)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_hangup_ends_the_cluster_gracefully(exercise: str) -> None:
    with running(exercise, {}) as cluster:
        cluster.signal_all(signal.SIGHUP)
        cluster.signal_all(signal.SIGHUP)  # the terminal sends it, and its shell, too
        assert cluster.process.wait(PATIENCE) == 0


def test_a_request_in_flight_is_answered_when_the_terminal_closes() -> None:
    with running("ex1", {"DEFAULT_MS": "1000"}) as cluster:
        statuses: list[int] = []

        def ask() -> None:
            with urlopen(cluster.url, timeout=PATIENCE) as answer:
                statuses.append(answer.status)

        client = threading.Thread(target=ask)
        client.start()
        started = threading.Event()
        while not started.wait(0.02):
            with urlopen(cluster.url + "/health", timeout=PATIENCE) as answer:
                if b'"activeRequests":1' in answer.read():
                    started.set()
        cluster.signal_all(signal.SIGHUP)
        client.join()
        assert statuses == [200]
        assert cluster.process.wait(PATIENCE) == 0


def test_a_rolling_restart_asked_of_all_processes_replaces_each_once() -> None:
    with running("ex2", {"STARTUP_MS": "0"}) as cluster:
        cluster.signal_all(signal.SIGUSR2)
        for one in sorted(cluster.workers):
            cluster.await_replacement(of=one)
        os.kill(cluster.process.pid, signal.SIGTERM)
        assert cluster.process.wait(PATIENCE) == 0


def test_a_call_in_flight_is_answered_when_the_whole_cluster_was_stopped(tmp_path: Path) -> None:
    """Ctrl+Z for longer than the deadline: nobody is judged by time in which nobody could act."""
    journal = tmp_path / "journal"
    with running("ex4", {"REQUEST_TIMEOUT_MS": "2000", "JOURNAL": str(journal)}) as cluster:
        with urlopen(cluster.url + "/send/2", timeout=PATIENCE) as answer:
            receiver = json.load(answer)["reply"]["pid"]
        os.kill(receiver, signal.SIGSTOP)
        state = Path(f"/proc/{receiver}/stat")
        eventually(lambda: ") T " in state.read_text(), "worker 2 does not stop")
        statuses: list[int] = []

        def send() -> None:
            with urlopen(cluster.url + "/send/2", timeout=PATIENCE) as answer:
                statuses.append(answer.status)

        client = threading.Thread(target=send)
        client.start()
        passed_on = '"event":"send","id":'
        eventually(lambda: len([line for line in journal.read_text().splitlines()
                                if passed_on in line and '"type":"request"' in line]) == 2,
                   "the master does not pass the second call on")
        cluster.signal_all(signal.SIGSTOP)
        time.sleep(2.5)
        cluster.signal_all(signal.SIGCONT)
        client.join()
        assert statuses == [200]
