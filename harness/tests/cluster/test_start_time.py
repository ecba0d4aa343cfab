"""A start may take longer while the machine is behind."""
from __future__ import annotations

from typing import Callable

import pytest

from harness.cluster import cluster
from harness.cluster.fixture import Fixture
from harness.judging.delay_meter import DelayMeter
from harness.judging.verdict import CheckFailed


@pytest.mark.parametrize(("behind", "starts"), [(0.0, False), (60.0, True)])
def test_a_start_may_take_longer_while_the_machine_is_behind(
        make_fixture: Callable[[str], Fixture], monkeypatch: pytest.MonkeyPatch, behind: float,
        starts: bool) -> None:
    monkeypatch.setattr(cluster, "START_SECONDS", 0.2)
    monkeypatch.setattr(DelayMeter, "allowance", lambda *_: behind)
    fixture = make_fixture("import time; time.sleep(1)")
    if starts:
        assert fixture.start().client.get("/").status == 200
    else:
        with pytest.raises(CheckFailed, match="no ready line after"):
            fixture.start()
    fixture.finish()


@pytest.mark.parametrize(("scaled", "real", "least", "most"), [
    (60.0, 90.0, 60.0, 60.0), (1.5, 90.0, 3.0, 89.0), (1.5, 2.0, 2.0, 2.0)])
def test_waits_follow_the_start_and_never_exceed_the_real_figure(
        make_fixture: Callable[[str], Fixture], scaled: float, real: float, least: float,
        most: float) -> None:
    fixture = make_fixture("import time; time.sleep(0.6)")
    fixture.start()
    assert least <= fixture.ample(scaled, real) <= most
    fixture.finish()
