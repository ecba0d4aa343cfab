"""Submissions are compiled against a tree that stays as it is meanwhile."""
from __future__ import annotations

import subprocess

import pytest

from harness.system.places import ROOT


@pytest.fixture(scope="session", autouse=True)
def built_tree() -> None:
    """Of several processes one builds, and the others wait."""
    subprocess.run([str(ROOT / ".ci/build"), "dev", "cluster", "cluster-pch"], check=True)
