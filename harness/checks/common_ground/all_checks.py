"""The whole common ground of an exercise whose workers serve HTTP."""
from __future__ import annotations

from harness.checks.common_ground.http import HttpChecks
from harness.checks.common_ground.load import LoadChecks
from harness.checks.common_ground.processes import ProcessChecks, SpreadChecks
from harness.checks.common_ground.start import StartChecks


class AllChecks(StartChecks, HttpChecks, LoadChecks, SpreadChecks, ProcessChecks):
    """The order of the bases decides the order of the checks: pytest takes the last one first."""
