"""A supervised program: its descriptors, its output, a cluster supervisor that is slow or gone."""
from __future__ import annotations

import os
import signal
from typing import Callable

import pytest

from harness.checks.common_ground.start import end_gracefully
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import Inconclusive

TELL_DESCRIPTORS = '''
print("inherited", [one for one in range(64) if os.path.exists(f"/proc/self/fd/{one}")], flush=True)
'''


@pytest.mark.parametrize("end", [lambda cluster, since: cluster.expect_exit(0, since, 5),
                                 lambda cluster, _: end_gracefully(cluster)])
def test_a_supervisor_that_is_slow_to_tell_is_no_fault(
        make_fixture: Callable[[str], Fixture], monkeypatch: pytest.MonkeyPatch,
        end: Callable[[Cluster, float], object]) -> None:
    fixture = make_fixture("")
    cluster = fixture.start()
    monkeypatch.setattr(cluster.supervised, "wait", lambda patience: None)
    with pytest.raises(Inconclusive, match="its cluster supervisor has not told"):
        end(cluster, cluster.signal(signal.SIGTERM))
    fixture.finish()


def test_a_program_gets_three_descriptors_and_no_more(make_fixture: Callable[[str], Fixture]
                                                      ) -> None:
    fixture = make_fixture(TELL_DESCRIPTORS)
    assert "inherited [0, 1, 2]" in fixture.start().output()
    fixture.finish()


def test_the_pid_of_a_supervisor_that_is_gone_gets_no_signal(
        make_fixture: Callable[[str], Fixture], monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = make_fixture("")
    supervised = fixture.start().supervised
    os.kill(supervised.supervisor, signal.SIGKILL)
    assert supervised.wait_over(10)
    signalled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signalled.append(pid))
    fixture.finish()
    assert supervised.supervisor not in signalled


def test_output_is_read_without_end(make_fixture: Callable[[str], Fixture]) -> None:
    loud = make_fixture("for _ in range(4000): print('x' * 100, flush=True)")
    assert len(loud.start().output()) >= 4001
    loud.finish()
