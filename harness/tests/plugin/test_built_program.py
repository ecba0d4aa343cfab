"""The program that is graded: a private copy of a binary, whatever is built meanwhile."""
from __future__ import annotations

import fcntl
import shutil
import threading
from pathlib import Path

import pytest

from harness.cluster.program import NoProgram, Program
from harness.plugin import built_program
from harness.plugin.built_program import Graded, checksum, take
from harness.tests.toys import await_true


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    found = tmp_path / "server"
    shutil.copy("/bin/true", found)
    return found


def test_a_binary_is_copied_and_named(binary: Path, tmp_path: Path) -> None:
    place = tmp_path / "private"
    place.mkdir()
    program, graded = take(Program([str(binary)], "./server"), "", place)
    assert program == Program([str(place / "server")], "./server")
    assert graded == Graded(binary=checksum(binary.read_bytes()))
    binary.write_bytes(b"another")
    assert checksum((place / "server").read_bytes()) == graded.binary


def test_a_script_or_a_command_with_arguments_stays_where_it_is(tmp_path: Path) -> None:
    script = tmp_path / "server"
    script.write_text("#!/bin/sh\n")
    for words in ([str(script)], ["/bin/true", "server.js"]):
        program, graded = take(Program(words, ""), "", tmp_path)
        assert program.words == words and graded == Graded()


def test_a_binary_that_looks_beside_itself_stays_where_it_is(binary: Path, tmp_path: Path) -> None:
    with open(binary, "ab") as file:
        file.write(b"$ORIGIN/../lib")
    (tmp_path / "private").mkdir()
    assert take(Program([str(binary)], ""), "", tmp_path / "private")[0].words == [str(binary)]


def test_the_kits_own_program_is_made_of_its_source(binary: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "exercises/ex1_x/main.cpp"
    source.parent.mkdir(parents=True)
    source.write_text("int main() {}")
    made = f"{checksum(source.read_bytes())}  exercises/ex1_x/main.cpp\n" \
           f"{checksum(binary.read_bytes())}  build/bin/ex1\n"
    monkeypatch.setattr(built_program, "ROOT", tmp_path)
    monkeypatch.setattr(built_program, "STATE", tmp_path)
    (tmp_path / "private").mkdir()
    program = Program([str(binary)], "build/bin/ex1")
    with pytest.raises(NoProgram, match="not made of what was saved last.* make ex1-grade"):
        take(program, "ex1", tmp_path / "private")
    (tmp_path / "ex1.made").write_text(made)
    assert take(program, "ex1", tmp_path / "private")[1].source == checksum(source.read_bytes())
    source.write_text("int main() { return 1; }")
    with pytest.raises(NoProgram):
        take(program, "ex1", tmp_path / "private")


def test_a_build_under_way_is_waited_for_and_said(binary: Path, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(built_program, "STATE", tmp_path)
    (tmp_path / "dev.holder").write_text("process 7 (make ex1)\n")
    (tmp_path / "private").mkdir()
    with open(tmp_path / "dev.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken: list[object] = []
        taking = threading.Thread(target=lambda: taken.append(
            take(Program([str(binary)], ""), "", tmp_path / "private")))
        taking.start()
        said: list[str] = []

        def told() -> bool:
            said.append(capsys.readouterr().err)
            return "waiting: process 7 (make ex1) builds" in "".join(said)

        assert await_true(told, 10) and taken == []
    taking.join(10)
    assert len(taken) == 1
