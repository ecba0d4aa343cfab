"""A drain: why its end is not the one that was wanted, and when a second signal may be sent."""
from __future__ import annotations

import signal
from typing import Callable

import pytest

from harness.checks.drain import drain
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed

ENDS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep({after}), os._exit({code})))
"""


@pytest.mark.parametrize(("after", "code", "wanted", "likely"), [
    (0, 0, 1, "does not tell"), (0, 1, 0, "normal end"), (2, 1, 0, "does not complete"),
    (2, 0, 0, ""), (0, 5, 0, "")])
def test_why_the_end_is_not_the_one_that_was_wanted(make_fixture: Callable[[str], Fixture],
                                                    after: int, code: int, wanted: int,
                                                    likely: str) -> None:
    fixture = make_fixture(ENDS.format(after=after, code=code))
    cluster = fixture.start()
    with pytest.raises(CheckFailed) as failure:
        cluster.expect_exit(wanted, cluster.signal(signal.SIGTERM), 0.5)
    fixture.finish()
    assert likely in failure.value.likely and bool(failure.value.likely) == bool(likely)


NOTICES_LATE = """
import time
draining = threading.Event()
def do_GET(self):
    self.send_response(503 if draining.is_set() else 200)
    self.send_header("Content-Length", "0")
    self.end_headers()
Handler.do_GET = do_GET
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def take():
    while signal.SIGTERM not in signal.sigpending():
        time.sleep(0.01)
    time.sleep(0.5)
    signal.sigwait([signal.SIGTERM])
    draining.set()
    signal.sigwait([signal.SIGTERM])
    os._exit(1)
threading.Thread(target=take, daemon=True).start()
"""


def test_a_second_signal_is_not_merged_with_one_that_was_not_noticed_yet(
        make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture(NOTICES_LATE)
    cluster = fixture.start()
    drain.begin_noticed(cluster, [], signal.SIGTERM)
    cluster.expect_exit(1, cluster.signal(signal.SIGTERM), 1.0)
    fixture.finish()
