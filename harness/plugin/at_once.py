"""How many checks run at once: as many as the machine carries with this program."""
from __future__ import annotations

import pytest

from harness.plugin.leading_process import record_of
from harness.system import processors

START_SECONDS = 0.75
"""Seconds of processor time that starts may want of each processor at once: so late may the last
one be if all checks start together."""
FAR_BEHIND = 5.0
"""Seconds by which the machine is too far behind in one check. A runtime that starts slowly puts
itself behind by a second or two when all start."""


class AtOnce:
    """The first start is measured. When the machine falls behind, fewer run from then on."""

    def __init__(self, most: int) -> None:
        self.now = most
        self._measured = False

    def learn(self, reports: list[pytest.TestReport]) -> None:
        for record in filter(None, map(record_of, reports)):
            if record.start_used > 0 and not self._measured:
                self._measured = True
                self.now = max(1, min(self.now, carried(record.start_used)))
            if record.behind >= FAR_BEHIND:
                self.now = max(1, self.now - 1)


def carried(start_used: float) -> int:
    """So many programs can start at once, by the processor time that one start takes."""
    return int(START_SECONDS * processors.share() / start_used)
