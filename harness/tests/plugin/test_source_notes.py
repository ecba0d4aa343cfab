"""What an instructor is told of a submission's source."""
from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from harness.plugin.source_notes import source_notes
from harness.system.places import ROOT

SOLUTION = (ROOT / "solutions/ex1_graceful_shutdown/main.cpp").read_text()
STARTER = (ROOT / "exercises/ex1_graceful_shutdown/main.cpp").read_text()


def test_a_starter_is_no_copy() -> None:
    assert source_notes(STARTER, SOLUTION) == []


def test_the_solution_is_told() -> None:
    (note,) = source_notes(SOLUTION, SOLUTION)
    assert "100% of what stands in the steps is the kit's solution" in note


def test_comments_and_blanks_do_not_hide_a_copy() -> None:
    (note,) = source_notes(SOLUTION.replace(";\n", " ;  // mine\n"), SOLUTION)
    assert "100%" in note


def test_other_names_make_another_text() -> None:
    mine = SOLUTION
    for name in ("server", "worker", "master", "draining", "settings"):
        mine = mine.replace(name, f"my_{name}")
    assert source_notes(mine, SOLUTION) == []


@pytest.mark.parametrize("line", [
    '#include "../../solutions/ex1_graceful_shutdown/main.cpp"', '#include </etc/passwd>',
    '#  include "solutions/x.cpp"', 'asm(".incbin \\"build/bin/ex1-solution\\"");'])
def test_what_comes_from_elsewhere_is_told(line: str) -> None:
    found = source_notes(f"{line}\n{STARTER}", SOLUTION)
    assert found and all("the source has" in note for note in found)


def test_usual_includes_are_not_told() -> None:
    assert source_notes('#include <map>\n#include <sys/socket.h>\n#include "mine.hpp"\n',
                        SOLUTION) == []


@pytest.mark.parametrize("text", ["/* ", "// STEP 1:\n", "\n", "#include <\n", "asm (\n", '"',
                                  "#include <x solutions/"])
def test_no_source_takes_hours(text: str) -> None:
    """A megabyte is done in less than a second; with the square of its length it takes hours."""
    words = [sys.executable, "-c", "import sys; from harness.plugin.source_notes import "
             "source_notes; text = sys.stdin.read(); source_notes(text, text)"]
    subprocess.run(words, cwd=ROOT, input=text * (1_000_000 // len(text)), text=True, check=True,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60)))
