"""What make does in the folder of an exercise, what may lie there, and how it is begun anew."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from shell import ROOT, environment

FOLDER = "exercises/ex1_graceful_shutdown"
STARTER = f"{FOLDER}/main.cpp"

pytestmark = pytest.mark.xdist_group("build")


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """What make needs to begin an exercise anew, in a history of its own. The kit is a folder of
    somebody's repository, and its name has a blank."""
    kit = tmp_path / "my kit"
    kit.mkdir()
    for name in (".ci", "exercises", "harness"):
        shutil.copytree(ROOT / name, kit / name)
    shutil.copy(ROOT / "Makefile", kit)
    (kit / STARTER).write_bytes(starter())
    git(tmp_path, "init", "-q")
    commit(kit, "the kit")
    return kit


def starter() -> bytes:
    """The starter as the newest commit has it: somebody may be solving it here."""
    return subprocess.run(["git", "-C", str(ROOT), "show", f"HEAD:{STARTER}"], check=True,
                          capture_output=True).stdout


def git(kit: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run(["git", "-C", str(kit), *identity, *words], check=True)


def commit(kit: Path, what: str) -> None:
    git(kit, "add", STARTER)
    git(kit, "commit", "-q", "-m", what)


def make(folder: Path, *words: str) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(["make", *words], cwd=folder, text=True, timeout=300,
                              env=environment(Path(place) / "progress.json"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def test_in_the_folder_the_words_need_no_number() -> None:
    folder = ROOT / FOLDER
    code, output = make(folder)
    assert code == 0 and "built: build/bin/ex1 " in output, output
    code, output = make(folder, "grade", "ARGS=-k test_two_workers_answer --report-dir=")
    assert "grading build/bin/ex1" in output and " of 1 passed" in output, output
    assert "make ex1-play" in make(folder, "help")[1]
    code, output = make(folder, "garde")
    assert code == 2 and "there is no command 'garde' here" in output


def test_each_exercise_has_the_words() -> None:
    for number in range(1, 6):
        (folder,) = (ROOT / "exercises").glob(f"ex{number}_*/")
        assert f"make ex{number}-run" in make(folder, "help")[1]


def test_a_copy_of_the_folder_is_no_exercise(kit: Path) -> None:
    assert "make ex1-run" in make(kit / FOLDER, "help")[1]
    shutil.copytree(kit / FOLDER, kit / "exercises/ex1_backup")
    code, output = make(kit / "exercises/ex1_backup", "grade")
    assert code == 2 and "ex1_backup is a copy, and no exercise" in output


def test_a_second_source_is_named_as_not_built() -> None:
    other = ROOT / FOLDER / "john's helper.cpp"
    other.write_text("int unused;\n")
    try:
        code, output = make(ROOT, "ex1")
    finally:
        other.unlink()
    assert code == 0 and f"not built: {FOLDER}/john's helper.cpp (" in output, output


def test_an_exercise_is_begun_anew_and_nothing_is_lost(kit: Path) -> None:
    """What the learner has committed is no starter, whatever comments are left in it."""
    file = kit / STARTER
    starter = file.read_text()
    for number, name in enumerate(("main.cpp.old", "main.cpp.old2")):
        mine = starter.replace("is still to do", f"is done {number}")
        file.write_text(mine)
        commit(kit, "mine")
        code, output = make(kit, "ex1-reset")
        assert code == 0 and f"yours is {FOLDER}/{name}" in output, output
        assert file.read_text() == starter
        assert (file.parent / name).read_text() == mine
    code, output = make(kit, "ex1-reset")
    assert code == 0 and "yours" not in output
    file.unlink()
    assert make(kit, "ex1-reset")[0] == 0 and file.read_text() == starter


def test_without_a_history_nothing_is_begun_anew(kit: Path) -> None:
    shutil.rmtree(kit.parent / ".git")
    (kit / STARTER).write_text("mine")
    code, output = make(kit, "ex1-reset")
    assert code == 2 and "not a git repository" in output and "Unpack the kit anew" in output
    assert not list((kit / FOLDER).glob("*.old*"))
