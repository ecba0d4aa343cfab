"""Mutants: every statement, condition, constant and comparison of a step, and nothing else."""
from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.proof.mutants import mutant_counts
from harness.proof.mutants.build_mutants import ERROR
from harness.proof.mutants.mutate import Mutant, Solution
from harness.proof.mutants.mutant_counts import Graded

CODE = """bool outside(int n) { return n > 3; }
void call(int) {}
bool step(int n) {
  // STEP 1: do something
  // Comments like 7 > 3 stay.
  if (n > 3) return false;
  while (n == 2) call(n);
  const bool both = n < 5 && outside(1'000);
  call(0);
  return both;
  // END STEP 1
}
"""
CHANGES = {
    "left out: if (n > 3) return false;", "negated: n > 3", "> is >= in: if (n > 3) return false;",
    "3 is 4 in: if (n > 3) return false;", "left out: return false;", "negated: false",
    "false is true in: if (n > 3) return false;", "left out: while (n == 2) call(n);",
    "negated: n == 2", "== is != in: while (n == 2) call(n);", "2 is 3 in: while (n == 2) call(n);",
    "left out: call(n);", "< is <= in: const bool both = n < 5 && outside(1'000);",
    "5 is 6 in: const bool both = n < 5 && outside(1'000);",
    "&& is || in: const bool both = n < 5 && outside(1'000);",
    "1'000 is 1001 in: const bool both = n < 5 && outside(1'000);", "left out: call(0);",
    "0 is 1 in: call(0);", "negated: both"}


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    file = tmp_path / "main.cpp"
    file.write_text(CODE)
    (tmp_path / "compile_commands.json").write_text(json.dumps([
        {"directory": str(tmp_path), "file": str(file), "command": f"c++ -c {file}"}]))
    return Solution(3, file, tmp_path).mutants()


def test_everything_in_a_step_is_changed_and_nothing_outside(mutants: list[Mutant]) -> None:
    assert {mutant.change for mutant in mutants} == CHANGES
    for mutant in mutants:
        assert (mutant.exercise, mutant.step) == (3, 1)
        lines = zip(CODE.split("\n"), mutant.source.split("\n"), strict=True)
        changed = [number for number, (old, new) in enumerate(lines, 1) if old != new]
        assert changed == [mutant.line]


def test_mutants_compile_but_for_those_that_the_compiler_names(tmp_path: Path,
                                                               mutants: list[Mutant]) -> None:
    compiler = shutil.which("c++")
    assert compiler is not None
    for mutant in mutants:
        file = tmp_path / f"{mutant.key}.cpp"
        file.write_text(mutant.source.replace("call(0)", "call(nothing)"))
        said = subprocess.run([compiler, "-fsyntax-only", "-w", file], text=True,
                              capture_output=True).stderr
        assert set(ERROR.findall(said)) == ({mutant.key} if "call(0)" in mutant.source else set())


def test_the_score_leaves_out_what_is_equivalent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                 ) -> None:
    explained = tmp_path / "explained.txt"
    explained.write_text("# why\n3 | 1 | left out: call(0); | it does nothing\n")
    monkeypatch.setattr(mutant_counts, "EXPLAINED", explained)
    graded = [Graded(3, 1, 6, "negated: n > 3", "killed by an item", "test_it"),
              Graded(3, 1, 9, "left out: call(0);", "survived"),
              Graded(3, 1, 9, "0 is 1 in: call(0);", "survived")]
    assert mutant_counts.unexplained(graded) == graded[2:]
    file = tmp_path / "kept.json"
    mutant_counts.write(file, {str(number): one for number, one in enumerate(graded)})
    told = mutant_counts.lines(list(mutant_counts.read(file).values()))
    assert "| all | 3 | 1 | 0 | 1 | 1 | 50.0 % |" in told
    assert "| 3, 1 | `left out: call(0);` | it does nothing |" in told
    assert "| 3, 1 | `0 is 1 in: call(0);` | survived |" in told
