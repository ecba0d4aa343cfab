"""One process that answers in the name of another is noted, and fails no check."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.tests.toys import grade, server

CHECKS = '''
from harness.checks.who_answers import note_holder

class TestItem1:
    """The only item"""
    item = 1
    def test_answers(self, fixture: Fixture) -> None:
        """It answers"""
        note_holder(fixture.start())
'''
SLEEPER = """
import subprocess
sleeper = subprocess.Popen(["sleep", "60"])
def answer_for_another(self):
    self.answer({"worker": 1, "pid": sleeper.pid})
Handler.do_GET = answer_for_another
"""


@pytest.mark.parametrize("isolation", [[], ["--no-isolation"]])
def test_who_holds_the_connection_is_noted(tmp_path: Path, isolation: list[str]) -> None:
    graded = grade(tmp_path, CHECKS, *isolation, program=server(tmp_path, SLEEPER))
    assert graded.code == 0, graded.output
    (note,) = graded.report["honesty"]
    assert "does one process answer for all?" in note and "server.py" in note


def test_a_process_that_answers_for_itself_is_not(tmp_path: Path) -> None:
    assert grade(tmp_path, CHECKS).report["honesty"] == []
