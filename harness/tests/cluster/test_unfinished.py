"""Nobody waits long for a starter that says that a step is still to do."""
from __future__ import annotations

import time
from typing import Callable

import pytest

from harness.cluster import cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed

SAYS = 'print("12:00:00.000 worker1[7] STEP 3 is still to do: it is not ready", flush=True)\n'


def test_a_starter_that_says_so_is_not_waited_for(
        make_fixture: Callable[[str], Fixture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "QUIET_SECONDS", 60.0)
    fixture = make_fixture(SAYS + "import time; time.sleep(60)")
    with pytest.raises(CheckFailed, match="no ready line"):
        fixture.start()
    fixture.finish()


def test_only_what_it_says_after_the_signal_counts(
        make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture(SAYS)
    running = fixture.start()
    running.refuse_unfinished(time.monotonic(), "nothing happens")
    with pytest.raises(CheckFailed, match="the program says: STEP 3 is still to do"):
        running.refuse_unfinished(running.started, "nothing happens")
    fixture.finish()
