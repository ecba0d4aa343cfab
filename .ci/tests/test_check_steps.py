"""Each kind of violation is refused by check-steps, with its place and its reason."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "check-steps"

STARTER = """\
#include "cluster/cluster.hpp"

int main() {
  // STEP 1: stop accepting
  // New connections must be turned away from now on.
  // TODO: write it
  // END STEP 1

  // STEP 2: wait
  // The requests in flight come first.
  return 0;  // TODO
  // END STEP 2
}
"""
SOLUTION = """\
#include "cluster/cluster.hpp"

int main() {
  // STEP 1: stop accepting
  // New connections must be turned away from now on.
  stop_accepting();
  // END STEP 1

  // STEP 2: wait
  // The requests in flight come first.
  // A comment of the solution's own is welcome.
  return wait();
  // END STEP 2
}
"""


def check(
    root: Path, starter: str = STARTER, solution: str = SOLUTION
) -> "subprocess.CompletedProcess[str]":
    for folder, text in (("exercises", starter), ("solutions", solution)):
        (root / folder / "ex1_x").mkdir(parents=True, exist_ok=True)
        (root / folder / "ex1_x" / "main.cpp").write_text(text)
        (root / folder / "ex1_x" / "README.md").write_text("# x\n")
    return run(root)


def run(root: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(SCRIPT), "--root", str(root)],
                          capture_output=True, text=True, timeout=30)


def test_an_honest_pair_passes(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ex1_x: 2 steps, nothing else differs\n1 passed, 0 failed\n"


def lines(count: int) -> str:
    return "  work();\n" * count


@pytest.mark.parametrize(
    ("starter", "solution", "place", "reason"),
    [
        pytest.param(
            STARTER, SOLUTION.replace("  stop_accepting();\n", lines(26)),
            "solutions/ex1_x/main.cpp:4", "26 lines of code; a step has at most 25",
            id="a long step",
        ),
        pytest.param(
            STARTER.replace("int main", lines(240) + "int main"),
            SOLUTION.replace("int main", lines(240) + "int main"),
            "solutions/ex1_x/main.cpp:1", "245 lines of code; at most 240", id="a long solution",
        ),

        pytest.param(
            STARTER.replace("int main()", "int main(int)"), SOLUTION,
            "exercises/ex1_x/main.cpp:3", "differs outside the steps", id="another line outside",
        ),
        pytest.param(
            STARTER, SOLUTION + "// more\n",
            "solutions/ex1_x/main.cpp:15", "outside the steps, and not in",
            id="one more line outside",
        ),
        pytest.param(
            STARTER + "// more\n", SOLUTION,
            "exercises/ex1_x/main.cpp:14", "outside the steps, and not in",
            id="one more line in the starter",
        ),
        pytest.param(
            STARTER, SOLUTION.replace("must be turned away", "are turned away"),
            "exercises/ex1_x/main.cpp:5", "must be in the solution too",
            id="another comment in a step",
        ),
        pytest.param(
            STARTER, SOLUTION.replace("STEP 1: stop accepting", "STEP 1: stop"),
            "exercises/ex1_x/main.cpp:4", "differs outside the steps", id="another title",
        ),
        pytest.param(
            STARTER.replace("STEP 2", "STEP 3"), SOLUTION.replace("STEP 2", "STEP 3"),
            "exercises/ex1_x/main.cpp:9", "step 3 found where step 2 is expected",
            id="a gap in the numbers",
        ),
        pytest.param(
            STARTER.replace("  // END STEP 1\n", ""), SOLUTION,
            "exercises/ex1_x/main.cpp:8", "step 2 opens inside step 1", id="a step not closed",
        ),
        pytest.param(
            STARTER.replace("  // END STEP 2\n", ""), SOLUTION,
            "exercises/ex1_x/main.cpp:9", "never closed", id="the last step not closed",
        ),
        pytest.param(
            STARTER, SOLUTION.replace("// END STEP 1", "// END STEP 2"),
            "solutions/ex1_x/main.cpp:7", "closes no open step", id="a wrong closing number",
        ),
        pytest.param(
            STARTER.replace("// STEP 2:", "// Step 2:"), SOLUTION,
            "exercises/ex1_x/main.cpp:9", "a marker is written", id="a misspelt marker",
        ),
        pytest.param(
            STARTER.replace("  // TODO: write it\n", ""), SOLUTION,
            "exercises/ex1_x/main.cpp:4", "has no TODO", id="a starter's step without a TODO",
        ),
        pytest.param(
            STARTER, SOLUTION.replace("return wait();", "return wait();  // TODO: nicer"),
            "solutions/ex1_x/main.cpp:12", "a solution has no TODO", id="a TODO in the solution",
        ),
        pytest.param(
            STARTER.replace("  // TODO: write it", "  stop_accepting();"), SOLUTION,
            "exercises/ex1_x/main.cpp:4", "is the same in the solution",
            id="a step that is solved already",
        ),
        pytest.param(
            "int main() {}\n", "int main() {}\n",
            "exercises/ex1_x/main.cpp:1", "there is no step", id="no step at all",
        ),
    ],
)
def test_a_violation_is_refused(
    tmp_path: Path, starter: str, solution: str, place: str, reason: str
) -> None:
    done = check(tmp_path, starter, solution)
    assert done.returncode == 1
    assert f"{place}: " in done.stderr
    assert reason in done.stderr


@pytest.mark.parametrize("file", ["README.md", "main.cpp"])
@pytest.mark.parametrize("folder", ["exercises", "solutions"])
def test_a_missing_file_is_refused(tmp_path: Path, folder: str, file: str) -> None:
    check(tmp_path)
    (tmp_path / folder / "ex1_x" / file).unlink()
    done = run(tmp_path)
    assert done.returncode == 1
    assert f"{folder}/ex1_x/{file}:1: this file is missing" in done.stderr


def test_a_learner_writes_only_so_many_lines(tmp_path: Path) -> None:
    def with_steps(text: str, body: str) -> str:
        return text + "".join(f"// STEP {number}: more\n// That is wanted.\n{body}"
                              f"// END STEP {number}\n" for number in range(3, 8))

    done = check(tmp_path, with_steps(STARTER, "// TODO\n"), with_steps(SOLUTION, lines(22)))
    assert done.returncode == 1
    assert "a learner writes 112 lines of code; at most 110 are allowed" in done.stderr


def test_a_readme_comes_to_the_point(tmp_path: Path) -> None:
    check(tmp_path)
    readme = tmp_path / "exercises/ex1_x/README.md"
    readme.write_text("word " * 400 + "\n## Requirements\n" + "word " * 400)
    assert run(tmp_path).returncode == 0
    readme.write_text("word " * 401 + "\n## Requirements\n")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "401 words before the requirements; at most 400" in done.stderr


def test_a_root_without_exercises_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 1
