"""The command that runs one check again, and what --trace keeps of it."""
from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import pytest

from harness.judging.checklist import Checklist
from harness.system import processes
from harness.system.places import HARNESS
from harness.tests.toys import grade, server

CHECKS = '''
class TestItem1:
    """The first item"""
    item = 1
    def test_good(self, fixture: Fixture) -> None:
        """It answers"""
        assert fixture.start().client.get("/").status == 200
    def test_bad(self, fixture: Fixture) -> None:
        """It fails"""
        first, second = fixture.start(), fixture.start()
        second.client.get("/bad")
        raise CheckFailed("seen clouds")
'''
EXERCISES = sorted(path.stem for path in HARNESS.glob("test_ex*.py"))
TALKATIVE = """
print('on stdout'); print('on stderr', file=sys.stderr)
open(os.environ['JOURNAL'], 'w').write('{"t": 1}\\nbroken')
"""


def test_logs_journal_and_events_are_kept(tmp_path: Path) -> None:
    graded = grade(tmp_path, CHECKS, "--trace", program=server(tmp_path, TALKATIVE))
    kept = tmp_path / "build/trace/ex9"
    assert sorted(one.name for one in (kept / "test_bad").iterdir()) == [
        "events.json", "journal-1.jsonl", "journal-2.jsonl", "stderr-1.log", "stderr-2.log",
        "stdout-1.log", "stdout-2.log"]
    assert (kept / "test_bad/stdout-2.log").read_text().startswith("on stdout\nready url=")
    assert (kept / "test_bad/stderr-2.log").read_text().startswith("on stderr\n")
    journal = (kept / "test_bad/journal-2.jsonl").read_text()
    assert journal == '{"t": 1}\nbroken', "as it was written"
    events = json.loads((kept / "test_bad/events.json").read_text())
    assert [event["path"] for event in events if event["kind"] == "request"] == ["/bad"]
    assert events[-1]["kind"] != "request"
    assert (kept / "test_good/events.json").exists()
    assert "    trace     build/trace/ex9/test_bad\n" in graded.output
    assert "kept what each check did: build/trace/ex9\n" in graded.output


def test_what_is_no_plain_file_is_not_kept_and_hinders_nothing(tmp_path: Path) -> None:
    """The journal is a link to a pipe: a harness that follows the link waits without end. Where the
    program is another user, it cannot put one in the journal's place."""
    pipes = "pipe = os.environ['JOURNAL'] + '.pipe'; os.mkfifo(pipe); os.symlink(pipe, pipe[:-5])"
    program = server(tmp_path, pipes)
    graded = grade(tmp_path, CHECKS, "--trace", "-n0", "-k", "test_bad", "--no-isolation",
                   program=program)
    bad = graded.check("test_bad")
    assert (bad["result"], bad["seen"]) == ("fail", "seen clouds"), graded.output
    assert "clearing up" not in graded.output, graded.output
    assert sorted(one.name for one in (tmp_path / "build/trace/ex9/test_bad").glob("*-*")) == [
        "stderr-1.log", "stderr-2.log", "stdout-1.log", "stdout-2.log"]


def test_a_trace_that_cannot_be_kept_spoils_nothing(tmp_path: Path) -> None:
    start = "first, second = fixture.start(), fixture.start()"
    note = ("from harness.system.processes import numbers_here; "
            f"open({str(tmp_path / 'pids')!r}, 'w').write("
            "' '.join(map(str, numbers_here([first.pid, second.pid]).values())))")
    block = ("os.makedirs('build/trace/ex9', exist_ok=True); "
             "open('build/trace/ex9/test_bad', 'w').close()")
    checks = CHECKS.replace(start, f"{start}; {note}; {block}")
    graded = grade(tmp_path, checks, "--trace", "-n0", "-k", "test_bad")
    bad = graded.check("test_bad")
    assert (graded.code, bad["result"], bad["seen"]) == (1, "fail", "seen clouds"), graded.output
    assert "the trace could not be kept: " in graded.output and "clearing up" not in graded.output
    assert not any(processes.alive(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_an_older_trace_of_the_same_check_goes(tmp_path: Path) -> None:
    kept = tmp_path / "build/trace/ex9"
    for name in ("test_good", "test_bad"):
        (kept / name).mkdir(parents=True)
        (kept / name / "old").touch()
    grade(tmp_path, CHECKS, "--trace", "-k", "test_bad")
    assert not (kept / "test_bad/old").exists() and (kept / "test_good/old").exists()


def test_nothing_is_kept_unasked(tmp_path: Path) -> None:
    graded = grade(tmp_path, CHECKS)
    assert not (tmp_path / "build/trace").exists() and "kept what" not in graded.output


def test_the_command_that_runs_it_again_keeps_the_settings(tmp_path: Path) -> None:
    program = server(tmp_path)
    graded = grade(tmp_path, CHECKS, "--real-time", program=program)
    words = shlex.split(graded.check("test_bad")["rerun"])
    assert words[words.index("--program") + 1] == program
    assert {"--real-time", "--trace", "-n0"} <= set(words)
    assert "test_ex9_toy.py::TestItem1::test_bad" in words


@pytest.mark.parametrize("module", EXERCISES)
def test_a_name_chooses_one_check(module: str) -> None:
    """`-k NAME` takes every check whose name contains NAME, and a check's folder has its name."""
    items = Checklist.of_module(f"harness.{module}").items
    names = [id_.rpartition("::")[2] for item in items for id_ in item.planned]
    assert [(one, other) for one, other in itertools.permutations(names, 2) if one in other] == []
