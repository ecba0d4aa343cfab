"""The ready line, with a port that was chosen and with the default port, which gradings share."""
from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import Iterator

from harness.checks.common_ground import ports
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed, Inconclusive

DEFAULT_PORT = 8000
PORT_PATIENCE = 60.0


def expect_ready_line(fixture: Fixture, chosen: int | None) -> None:
    """The line comes once and is true. With no chosen port the default one holds."""
    port = chosen or DEFAULT_PORT
    cluster = fixture.start({"PORT": chosen}, wait=False)
    if (cluster.wait_started() == 1 and ports.taken(port)
            and any(str(port) in line for line in cluster.output(error=True))):
        # The program says so. Another program has it, or connections of the last one still do.
        return
    cluster.wait_ready()
    answers = [cluster.client.get("/no-such-path", patience=3) for _ in range(6)]
    bad = [str(answer) for answer in answers if answer.outcome != "answer"]
    if bad:
        raise CheckFailed(f"right after the ready line: {bad[0]}")
    expected = f"ready url=http://127.0.0.1:{port} workers={cluster.workers} pid={cluster.pid}"
    found = [line for line in cluster.output() if "ready url=" in line]
    if found != [expected]:
        raise CheckFailed(f"the lines {found}", expected=expected)


@contextmanager
def default_port_alone() -> Iterator[None]:
    """Of all gradings on this machine only one uses the default port at a time.

    The kernel gives this name, which is no file, to one socket only.
    """
    deadline = time.monotonic() + PORT_PATIENCE
    with socket.socket(socket.AF_UNIX) as lock:
        while True:
            try:
                lock.bind(f"\0cluster-harness-port-{DEFAULT_PORT}")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Inconclusive(f"other gradings have used port {DEFAULT_PORT} for "
                                       f"{PORT_PATIENCE:.0f} s") from None
                time.sleep(0.05)
        yield
