"""The checklist as it fills on a terminal; without a terminal nothing of it is printed."""
from __future__ import annotations

import io
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from rich.console import Console

from harness.judging.checklist import Checklist, Item
from harness.judging.exercise import Exercise
from harness.judging.verdict import Record
from harness.telling.live_checklist import LiveChecklist
from harness.tests.toys import command, grade, server, write_exercise

CHECKS = '''
class TestItem1:
    """The first item"""
    item = 1
    def test_good(self, fixture: Fixture) -> None:
        """It answers"""
    def test_bad(self, fixture: Fixture) -> None:
        """It fails"""
        raise CheckFailed("seen clouds")
'''
GATED = '''
class TestItem2:
    """The second item"""
    item = 2
    def test_gate(self, fixture: Fixture) -> None:
        """It ends when the first item is on the screen"""
        deadline = time.monotonic() + 30
        while not os.path.exists("GATE"):
            if time.monotonic() > deadline:
                raise CheckFailed("the first item was not shown")
            time.sleep(0.02)
'''
DOUBTFUL = '''
class TestItem3:
    """The third item"""
    item = 3
    def test_doubtful(self, fixture: Fixture) -> None:
        """It is judged when it runs alone"""
        if not os.path.exists("FIRST"):
            open("FIRST", "w").close()
            raise Inconclusive("too slow")
'''
TITLE = "A check whose title is longer than a narrow terminal is wide"


def picture(*failed: int, running: int = 0) -> LiveChecklist:
    """Six items with four checks each: the first check of the items in `failed` has failed, and
    `running` other checks are under way."""
    items = [Item(number, f"Title {number}",
                  {f"{number}{which}": f"{TITLE} {number}{which}" for which in "abcd"})
             for number in (1, 2, 3, 4, 5, 0)]
    exercise = Exercise(number=9, name="toy", folder="", start_first="")
    drawn = LiveChecklist(Checklist(exercise, items))
    for number in failed:
        record = Record(f"{number}a", number, f"{TITLE} {number}a", "fail")
        drawn.checklist.add(record)
        drawn.end(record)
    for id_ in [f"{item.number}{which}" for item in items for which in "bcd"][:running]:
        drawn.start(id_)
    return drawn


def on_screen(drawn: LiveChecklist, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(drawn.draw(height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_failures_come_first_and_what_is_waited_for_last() -> None:
    lines = on_screen(picture(4, 2, running=2), 120, 24)
    assert [line[:12] for line in lines[:2]] == ["FAIL  item 4", "FAIL  item 2"]
    assert lines[3].startswith("[ ] 2. Title 2   FAIL") and lines[3].rstrip().endswith("1 of 4")
    assert "2 of 24 checks done; under way:" in lines[-3]
    assert [line.strip() for line in lines[-2:]] == [f"0 s   {TITLE} 1b", f"0 s   {TITLE} 1c"]


def test_what_takes_longest_is_named_first() -> None:
    drawn = picture(running=3)
    drawn.running["1d"] -= 100
    assert on_screen(drawn, 120, 24)[-3].strip() == f"100 s   {TITLE} 1d"


def test_who_waits_for_a_second_run_is_not_under_way() -> None:
    drawn = picture(running=2)
    drawn.postpone("1b")
    assert [line.strip() for line in on_screen(drawn, 120, 24)[-2:]] == [
        f"0 s   {TITLE} 1c", f"waits   {TITLE} 1b (once more, alone)"]
    drawn.start("1b")
    assert [line.strip() for line in on_screen(drawn, 120, 24)[-2:]] == [
        f"0 s   {TITLE} 1c", f"0 s   {TITLE} 1b"]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("height", [14, 24, 50])
def test_it_fits_the_terminal(width: int, height: int) -> None:
    lines = on_screen(picture(1, 2, 3, 4, 5, running=10), width, height)
    assert len(lines) < height and all(len(line) <= width for line in lines)
    assert len([line for line in lines if "Title" in line]) == 6, "no item is left out"
    assert ("more" in "".join(lines)) == (height == 14), "what is left out is counted"


def test_without_a_terminal_there_are_no_control_codes(tmp_path: Path) -> None:
    output = grade(tmp_path, CHECKS).output
    assert "\x1b" not in output and "\r" not in output and "under way" not in output


def test_forced_colours_do_not_make_a_terminal(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output = grade(tmp_path, CHECKS).output
    assert "\x1b[31m" in output and "\x1b[?25l" not in output and "checks done" not in output


def on_a_terminal(folder: Path, checks: str = CHECKS,
                  seen: Callable[[str], None] = lambda output: None, **variables: str) -> str:
    """All output that a terminal gets; `seen` is told the output so far."""
    write_exercise(folder, checks)
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", **variables}
    process = subprocess.Popen(command(folder, server(folder)), cwd=folder, env=environment,
                               stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    output = b""
    try:
        while piece := os.read(leader, 65536):
            output += piece
            seen(output.decode(errors="replace"))
    except OSError:  # a terminal tells in this way that nobody has it open any more
        pass
    os.close(leader)
    assert process.wait(30) == 1, output
    return output.decode()


def test_a_terminal_sees_it_fill(tmp_path: Path) -> None:
    output = on_a_terminal(tmp_path)
    assert "of 2 checks done" in output and re.search(r"\x1b\[[0-9;]*31m", output)
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l"), "the cursor is there again"
    assert output.index("of 2 checks done") < output.index("0 of 1 passed")


def test_no_color_is_heeded(tmp_path: Path) -> None:
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", on_a_terminal(tmp_path, NO_COLOR="1"))


def test_a_dumb_terminal_gets_each_item_when_it_is_complete(tmp_path: Path) -> None:
    def open_gate(output: str) -> None:
        if "[ ] 1. The first item   FAIL" in output:
            (tmp_path / "gate").touch()

    checks = CHECKS + GATED.replace("GATE", str(tmp_path / "gate"))
    output = on_a_terminal(tmp_path, checks, open_gate, TERM="dumb")
    assert "[x] 2. The second item" in output and "checks done" not in output


def test_a_terminal_sees_who_waits_for_a_second_run(tmp_path: Path) -> None:
    shown = False

    def open_gate(output: str) -> None:
        nonlocal shown
        shown = shown or "waits   It is judged when it runs alone (once more, alone)" in output
        if shown:
            (tmp_path / "gate").touch()

    checks = CHECKS + (GATED + DOUBTFUL).replace("GATE", str(tmp_path / "gate")).replace(
        "FIRST", str(tmp_path / "first"))
    assert "[x] 3. The third item" in on_a_terminal(tmp_path, checks, open_gate) and shown
