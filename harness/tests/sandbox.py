"""Whether programs can be graded in a sandbox here: many containers do not allow it."""
from __future__ import annotations

import subprocess
import sys

import pytest

from harness.system.places import ROOT

ASK = "from harness.cluster.isolation import choose; print(choose(True).lacking)"
"""In a process of its own, since it leaves the machine's network."""
LACKING = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True,
                         check=True).stdout.strip()
NEEDS_SANDBOX = pytest.mark.skipif(bool(LACKING), reason=f"no sandbox: {LACKING}")
