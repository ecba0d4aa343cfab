"""The default port, which gradings share."""
from __future__ import annotations

import socket
from typing import Callable

import pytest

from harness.checks.common_ground import ports, ready_line
from harness.checks.common_ground.ready_line import default_port_alone, expect_ready_line
from harness.checks.common_ground.start import StartChecks
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed, Inconclusive

TAKEN = """
print('cannot listen on port PORT: Address already in use', file=sys.stderr, flush=True)
sys.exit(1)
"""
NOT_READY = "exit code 1 before its ready line"


@pytest.fixture(autouse=True)
def another_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A default port that nobody else waits for."""
    monkeypatch.setattr(ready_line, "DEFAULT_PORT", ports.free())
    monkeypatch.setattr(ready_line, "PORT_PATIENCE", 0.2)
    return ready_line.DEFAULT_PORT


def test_only_one_grading_uses_it_until_its_clusters_have_ended(
        make_fixture: Callable[[str], Fixture]) -> None:
    fixture = make_fixture("os.environ.setdefault('PORT', '0')")
    with pytest.raises(CheckFailed):
        StartChecks().test_ready_line(fixture)  # since this program has another default port
    with pytest.raises(Inconclusive, match="other gradings"), default_port_alone():
        pass
    fixture.finish()
    with default_port_alone():
        pass


def test_a_port_that_is_taken_is_nobodys_failure(make_fixture: Callable[[str], Fixture],
                                                 another_port: int) -> None:
    fixture = make_fixture(TAKEN.replace("PORT", str(another_port)))
    with socket.create_server(("127.0.0.1", another_port)):
        expect_ready_line(fixture, None)
    fixture.finish()


def test_a_port_that_is_free_has_to_be_used(make_fixture: Callable[[str], Fixture],
                                            another_port: int) -> None:
    fixture = make_fixture(TAKEN.replace("PORT", str(another_port)))
    with pytest.raises(CheckFailed, match=NOT_READY):
        expect_ready_line(fixture, None)
    fixture.finish()


def test_a_program_that_does_not_say_so_has_failed_for_another_reason(
        make_fixture: Callable[[str], Fixture], another_port: int) -> None:
    fixture = make_fixture("sys.exit(1)")
    with (socket.create_server(("127.0.0.1", another_port)),
          pytest.raises(CheckFailed, match=NOT_READY)):
        expect_ready_line(fixture, None)
    fixture.finish()
