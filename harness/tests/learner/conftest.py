"""The learner's own progress is no business of a test."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.learner import progress


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(progress.FILE, str(tmp_path / "build/progress.json"))
    return tmp_path / "build/progress.json"
