"""A program that harms other programs fails for what it did, in bounded time. Nothing of it stays,
and the next program is graded right."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.system import processes
from harness.tests.cluster.hostile_programs import PROGRAMS, Hostile
from harness.tests.toys import grade, server

MOST_SECONDS = 30.0
"""Less than the programs last by themselves, and enough even on a busy machine."""
CHECKS = '''
from pathlib import Path
from signal import Signals
from harness.cluster.program import Program

class TestItem1:
    """A hostile program"""
    item = 1
    def test_hostile(self, fixture: Fixture) -> None:
        """It behaves"""
        Path("folders").write_text(f"{fixture.run.folder}\\n{fixture.run.disk}")
        STEPS

class TestItem2:
    """The next program"""
    item = 2
    def test_next(self, fixture: Fixture) -> None:
        """It answers"""
        good = Program.find("GOOD", Path("/"), "")
        assert fixture.start(program=good).client.get("/").status == 200
'''


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_a_hostile_program_fails_and_leaves_nothing(tmp_path: Path, program: Hostile) -> None:
    (tmp_path / "good").mkdir()
    checks = CHECKS.replace("STEPS", program.steps).replace("GOOD", server(tmp_path / "good"))
    graded = grade(tmp_path, checks, "-n0", *["--no-isolation"] * (not program.isolated),
                   program=server(tmp_path, program.extra))
    hostile = graded.check("test_hostile")
    assert graded.code == 1 and hostile["result"] == "fail", graded.output
    assert graded.result("test_next") == "pass", graded.output
    assert re.search(program.reason, hostile["seen"]), hostile["seen"]
    assert hostile["seconds"] < MOST_SECONDS
    assert [pid for pid in processes.everyone()
            if str(tmp_path) in processes.command_line(pid)] == []
    assert not any(Path(folder).exists() for folder in (tmp_path / "folders").read_text().split())
