"""A run and a fixture for tests that use the harness from within."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.cluster.fixture import Fixture
from harness.cluster.program import Program
from harness.cluster.run import LeadingRun
from harness.judging.exercise import Exercise
from harness.tests.toys import server


@pytest.fixture
def make_fixture(tmp_path: Path,
                 monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Fixture]]:
    """Makes a fixture whose program is the toy server with some more lines of Python in it."""
    for name in ("CLUSTER_HARNESS_RUN", "CLUSTER_HARNESS_STATE"):
        monkeypatch.delenv(name, raising=False)
    run = LeadingRun()
    run.start()
    exercise = Exercise(number=9, name="toy", folder="exercises/ex9_toy", start_first="")
    yield lambda extra: Fixture(
        exercise, Program.find(server(tmp_path, extra), tmp_path, ""), run, False)
    run.end()
    assert not run.folder.exists() and not run.disk.exists()
