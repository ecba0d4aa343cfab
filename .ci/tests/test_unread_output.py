"""Nobody reads the output of a cluster: it goes on, replaces its workers, and ends."""

import os
import signal

import pytest
from running import EXERCISES, PATIENCE, Running, eventually, running


def fill(cluster: Running) -> int:
    """Fills the pipe to the last byte, by an opening of its own. Returns how much went in."""
    assert cluster.process.stdout
    path = f"/proc/{cluster.process.pid}/fd/1"
    pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    written = 0
    try:
        for size in (4096, 1):
            try:
                while True:
                    written += os.write(pipe, b"." * (size - 1) + b"\n")
            except BlockingIOError:
                pass
    finally:
        os.close(pipe)
    return written


def read_all(cluster: Running) -> str:
    assert cluster.process.stdout
    fd = cluster.process.stdout.fileno()
    os.set_blocking(fd, False)
    text = b""
    try:
        while piece := os.read(fd, 1 << 20):
            text += piece
    except BlockingIOError:
        pass
    return text.decode()


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_cluster_whose_output_nobody_reads_goes_on_and_ends(exercise: str) -> None:
    settings = {"REPORT_INTERVAL_MS": "1", "SHUTDOWN_TIMEOUT_MS": "5000", "STARTUP_MS": "0"}
    with running(exercise, settings) as cluster:
        fill(cluster)
        first, second = sorted(cluster.workers)
        os.kill(first, signal.SIGKILL)
        cluster.await_replacement(of=first)
        seen = [read_all(cluster)]
        os.kill(second, signal.SIGKILL)
        cluster.await_replacement(of=second)

        def told() -> bool:
            seen.append(read_all(cluster))
            return " lines were dropped" in "".join(seen)

        eventually(told, "nobody says how many lines were dropped")
        fill(cluster)
        cluster.process.send_signal(signal.SIGTERM)
        assert cluster.process.wait(PATIENCE) == 0
