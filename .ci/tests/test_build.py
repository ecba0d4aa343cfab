"""What `make ex1` builds and `make ex1-grade` grades is what stands in main.cpp.

The tests work in a copy of the kit, which builds the library once.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import ROOT, environment

STARTER = "exercises/ex1_graceful_shutdown/main.cpp"
SOLUTION = "solutions/ex1_graceful_shutdown/main.cpp"
CHECK = "-k test_two_workers_answer --report-dir="
LONG_AGO = 1_000_000_000

pytestmark = pytest.mark.xdist_group("kit")


@pytest.fixture(scope="module")
def built_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole kit of its own, in which the starter was built once."""
    kit = tmp_path_factory.mktemp("kit") / "kit"
    kit.mkdir()
    for name in (".ci", "common", "exercises", "harness", "solutions", "CMakeLists.txt",
                 "Makefile"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, kit / name)
        else:
            shutil.copy2(ROOT / name, kit / name)
    assert make(kit, "ex1")[0] == 0
    return kit


@pytest.fixture
def kit(built_kit: Path) -> Iterator[Path]:
    yield built_kit
    shutil.copy(ROOT / STARTER, built_kit / STARTER)


def learners(kit: Path, **more: str) -> dict[str, str]:
    return environment(kit / "progress.json", WERROR="", **more)


def make(kit: Path, *words: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        ["make", *words], cwd=kit, env=learners(kit, **more), text=True, timeout=500,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


def pytest_of(kit: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [".ci/python", "-m", "pytest", "harness/test_ex1_graceful_shutdown.py", *CHECK.split()],
        cwd=kit, env=learners(kit), capture_output=True, text=True, timeout=100,
    )


def test_a_file_with_an_older_time_is_built_anew(kit: Path) -> None:
    shutil.copy(kit / SOLUTION, kit / STARTER)
    assert make(kit, "ex1-grade", f"ARGS={CHECK}")[0] == 0, "the solution passes"
    shutil.copy(ROOT / STARTER, kit / STARTER)
    os.utime(kit / STARTER, (LONG_AGO, LONG_AGO))
    code, output = make(kit, "ex1-grade", f"ARGS={CHECK}")
    assert code == 2 and "STEP 1 is still to do" in output, "the starter does not"


def test_a_kit_for_students_needs_no_solutions(kit: Path) -> None:
    (kit / "solutions").rename(kit / "solutions.kept")
    (kit / "CMakeLists.txt").touch()
    try:
        code, output = make(kit, "ex1-grade", f"ARGS={CHECK}")
    finally:
        (kit / "solutions.kept").rename(kit / "solutions")
        (kit / "CMakeLists.txt").touch()
    assert code == 2 and "STEP 1 is still to do" in output, output


HOSTILE = {
    "includes a device": ('#include "/dev/zero"', "out of memory"),
    "includes itself": ("#include __FILE__\n#include __FILE__", "-fmax-errors"),
    "has a large array": ("char large[3LL << 30] = {1};", "File size limit exceeded"),
}


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_would_take_the_whole_machine_does_not_compile(kit: Path, text: str,
                                                                   said: str) -> None:
    with open(kit / STARTER, "a") as file:
        file.write(text + "\n")
    code, output = make(kit, "ex1")
    assert code == 2 and said in output and len(output) < 100_000, output[-2000:]


def test_a_file_that_compiles_without_end_is_given_up(kit: Path) -> None:
    """It needs little memory, so its time ends it: here less than what it would get."""
    with open(kit / STARTER, "a") as file:
        file.write("template <unsigned long long N, int D> struct T "
                   ": T<2 * N, D - 1>, T<2 * N + 1, D - 1> {};\n"
                   "template <unsigned long long N> struct T<N, 0> {}; T<1, 40> t;\n")
    words = ["sh", "-c", "ulimit -S -t 8; exec make ex1"]
    done = subprocess.run(words, cwd=kit, env=learners(kit), text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=500)
    assert done.returncode == 2 and "CPU time limit exceeded" in done.stdout, done.stdout[-2000:]


def test_a_binary_that_is_not_made_of_the_file_is_refused(kit: Path) -> None:
    assert make(kit, "ex1")[0] == 0
    assert pytest_of(kit).returncode == 1, "what was built is graded"
    with open(kit / STARTER, "a") as file:
        file.write("int broken =\n")
    assert make(kit, "ex1")[0] == 2
    refused = pytest_of(kit)
    assert refused.returncode == 4
    assert "build/bin/ex1 is not made of what was saved last" in refused.stderr


def test_another_binary_in_its_place_is_refused(kit: Path) -> None:
    assert make(kit, "ex1")[0] == 0
    with open(kit / "build/bin/ex1", "ab") as file:
        file.write(b"x")
    assert pytest_of(kit).returncode == 4
    (kit / "build/bin/ex1").unlink()


def test_warnings_of_the_learner_are_no_errors(kit: Path) -> None:
    with open(kit / STARTER, "a") as file:
        file.write("static int never_used() { return 1; }\n")
    code, output = make(kit, "ex1", CI="true")
    assert code == 0 and "never_used" in output


def test_a_copy_of_an_exercise_is_ignored(kit: Path) -> None:
    copy = kit / "exercises/ex1_backup"
    shutil.copytree(kit / "exercises/ex1_graceful_shutdown", copy)
    try:
        for word in ("ex1", "ex1-grade", "ex1-hint"):
            output = make(kit, word, f"ARGS={CHECK}")[1]
            assert "ignored: exercises/ex1_backup (exercise 1 is exercises/ex1_graceful_shutdown)" \
                in output
            assert "STEP 1 is still to do" in output or word != "ex1-grade"
    finally:
        shutil.rmtree(copy)


def test_who_builds_at_the_same_time_waits_and_is_told_for_whom(kit: Path) -> None:
    state = kit / "build/state"
    with subprocess.Popen(["flock", state / "dev.lock", "cat"], stdin=subprocess.PIPE) as holder:
        while subprocess.run(["flock", "-n", state / "dev.lock", "true"]).returncode == 0:
            time.sleep(0.01)
        (state / "dev.holder").write_text("process 7 (make ex1-watch)\n")
        waiting = subprocess.Popen(
            [".ci/build", "dev", "ex1"], cwd=kit, env=learners(kit), stderr=subprocess.PIPE,
            text=True)
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
        assert said == "waiting: process 7 (make ex1-watch) builds in build/dev\n"
        assert waiting.poll() is None
        holder.communicate()
        assert waiting.wait(100) == 0
        waiting.stderr.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_build_of_another_user_is_explained(kit: Path) -> None:
    kit.parent.parent.chmod(0o755)
    kit.parent.chmod(0o755)
    refused = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ".ci/build", "dev", "ex1"],
        cwd=kit, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: you may not write build")
    assert "which belongs to root" in refused.stderr and "sudo chown -R" in refused.stderr


def test_links_of_editors_and_of_learners_do_no_harm(kit: Path) -> None:
    folder = (kit / STARTER).parent
    lock = folder / ".#main.cpp"  # as Emacs makes it while a buffer has changes
    lock.symlink_to("somebody@host.123:456")
    gone = folder / "gone.hpp"
    gone.symlink_to("/nonexistent")
    elsewhere = kit / "elsewhere"
    try:
        assert make(kit, "ex1")[0] == 0
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
        assert make(kit, "ex1-grade", f"ARGS={CHECK}")[1].count("STEP 1 is still to do") > 0
    finally:
        if folder.is_symlink():
            folder.unlink()
            elsewhere.rename(folder)
        lock.unlink()
        gone.unlink()


def test_a_kit_that_is_reached_by_a_link_is_the_same(kit: Path) -> None:
    link = kit.parent / "link"
    link.symlink_to(kit)
    try:
        done = subprocess.run(f"cd {link} && make ex1", shell=True, env=learners(kit), text=True,
                              timeout=500, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0 and "Configuring" not in done.stdout, done.stdout
    finally:
        link.unlink()


def test_the_compiler_that_is_named_counts_at_each_build(kit: Path) -> None:
    code, said = make(kit, "ex1", CXX="/nonexistent/c++")
    assert code != 0 and "/nonexistent/c++" in said, said
    code, said = make(kit, "ex1")
    assert code == 0 and "Configuring build/dev" in said and "common/src" not in said, said
