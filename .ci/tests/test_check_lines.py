"""Each kind of line that is too long is refused by check-lines; what cannot be broken passes."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "check-lines"
LONG = "word " * 21 + "1234567"  # 112 columns


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "add", name], cwd=root, check=True)


def check(root: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(SCRIPT), "--root", str(root)],
                          capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("name", [
    "a.cpp", "b/a.hpp", "a.cc", "a.py", "a.js", "a.css", "a.html",
    "CMakeLists.txt", "b/CMakeLists.txt", "Makefile", ".ci/script", ".ci/tests/test_a.py",
])
def test_code_has_at_most_100_columns(root: Path, name: str) -> None:
    write(root, name, "x" * 100 + "\n" + "ü" * 100 + "\n")
    done = check(root)
    assert (done.returncode, done.stdout) == (0, "1 files, no line too long\n")
    write(root, name, "short\n" + "x" * 101 + "\n")
    done = check(root)
    assert done.returncode == 1
    assert f"{name}:2: 101 columns\n" in done.stderr


@pytest.mark.parametrize(("text", "number"), [
    pytest.param(LONG, 1, id="a paragraph"),
    pytest.param(f"- {LONG}", 1, id="an item of a list"),
    pytest.param(f"# {LONG}", 1, id="a heading"),
    pytest.param(f"```sh\nls\n```\n{LONG}", 4, id="a line after a fence"),
    pytest.param(f"````\n```\n````\n{LONG}", 4, id="a line after a fence with a fence in it"),
    pytest.param(f"<p>{LONG}</p>", 1, id="HTML"),
    pytest.param(f"see [here]({'x' * 110})", 1, id="a link behind a word"),
])
def test_prose_that_can_be_broken_is_refused(root: Path, text: str, number: int) -> None:
    write(root, "README.md", text + "\n")
    done = check(root)
    assert done.returncode == 1
    assert f"README.md:{number}: " in done.stderr


@pytest.mark.parametrize("text", [
    pytest.param(LONG[:110], id="110 columns"),
    pytest.param("ü" + LONG[1:110], id="110 characters of more bytes"),
    pytest.param(f"| {LONG} |", id="a row of a table"),
    pytest.param(f"```\n{LONG}\n```", id="a line in a fence"),
    pytest.param(f"- item\n\n  ~~~\n  {LONG}\n  ~~~", id="a line in an indented fence"),
    pytest.param(f"[here]({'x' * 110})", id="one link"),
    pytest.param(f"  - {'x' * 110}", id="an item of one word"),
])
def test_prose_that_cannot_be_broken_passes(root: Path, text: str) -> None:
    write(root, "README.md", text + "\n")
    done = check(root)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["data.json", "picture.svg", ".ci/packages.txt"])
def test_data_are_not_looked_at(root: Path, name: str) -> None:
    write(root, "a.py", "x\n")
    write(root, name, LONG)
    assert check(root).stdout == "1 files, no line too long\n"


def test_files_that_git_does_not_track_are_not_looked_at(root: Path) -> None:
    write(root, "a.py", "x\n")
    write(root, "removed.py", LONG)
    (root / "removed.py").unlink()
    (root / "build.py").write_text(LONG)
    assert check(root).stdout == "1 files, no line too long\n"


def test_every_long_line_is_named_and_counted(root: Path) -> None:
    write(root, "a.py", f"{LONG}\n{LONG}\n")
    write(root, "b.md", f"{LONG}\n")
    done = check(root)
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == [
        "a.py:1:", "a.py:2:", "b.md:1:", "error:"]
    assert "3 lines are too long" in done.stderr


def test_a_root_without_files_is_refused(root: Path) -> None:
    assert check(root).returncode == 1


def test_in_the_middle_of_a_merge_a_file_is_counted_once(root: Path) -> None:
    write(root, "a.py", "x\n")
    blob = subprocess.check_output(["git", "rev-parse", ":a.py"], cwd=root, text=True).strip()
    stages = "".join(f"100644 {blob} {stage}\ta.py\n" for stage in (1, 2, 3))
    subprocess.run(["git", "update-index", "--index-info"], cwd=root, check=True, text=True,
                   input=f"0 {'0' * 40}\ta.py\n{stages}")
    assert check(root).stdout == "1 files, no line too long\n"
