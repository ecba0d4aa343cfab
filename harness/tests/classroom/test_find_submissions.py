"""Which submissions are found, whatever students and their systems have put there."""
from __future__ import annotations

import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.classroom import find_submissions
from harness.classroom.find_submissions import MOST_SOURCE, NoSubmissions
from harness.classroom.results import Submission

MAIN = "int main() {}\n"


def put(folder: Path, *paths: str, text: str = MAIN) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)



def find(place: Path, exercise: int | None) -> list[Submission]:
    return find_submissions.find(place, exercise)[0]


def brief(found: list[Submission]) -> dict[str, list[int]]:
    """Student → the exercises with a source."""
    by_student: dict[str, list[int]] = {}
    for one in found:
        by_student.setdefault(one.student, []).extend([one.exercise] * (one.source is not None))
    return by_student


def problem(place: Path, exercise: int | None = 1) -> str:
    found = find(place, exercise)
    assert len(found) == 1 and found[0].source is None
    return found[0].problem


def test_a_folder_is_a_student(tmp_path: Path) -> None:
    put(tmp_path, "ada/main.cpp", "bob/main.cpp", "bob/Makefile", "bob/harness/x.py")
    found = find(tmp_path, 1)
    assert brief(found) == {"ada": [1], "bob": [1]}
    assert [one.folder for one in found] == ["ada", "bob"]
    assert found[0].source == MAIN.encode()


def test_a_student_may_have_several_exercises(tmp_path: Path) -> None:
    put(tmp_path, "ada/ex1/main.cpp", "ada/ex3_health_monitoring/main.cpp", "bob/ex2/main.cpp")
    found = find(tmp_path, None)
    assert brief(found) == {"ada": [1, 3], "bob": [2]}
    assert [one.folder for one in found] == ["ada/ex1", "ada/ex3", "bob"]
    assert brief(find(tmp_path, 3)) == {"ada": [3], "bob": []}


def test_which_exercise_it_is_must_be_said(tmp_path: Path) -> None:
    put(tmp_path, "ada/main.cpp")
    with pytest.raises(NoSubmissions, match="EX=1"):
        find(tmp_path, None)


def test_an_empty_folder_has_a_result_too(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    assert problem(tmp_path) == "there is no main.cpp"


@pytest.mark.parametrize("link", ["main.cpp", "ex1"])
def test_links_are_not_followed(tmp_path: Path, link: str) -> None:
    put(tmp_path, "secret/ex1/main.cpp", text="the solution")
    target = {"main.cpp": "secret/ex1/main.cpp", "ex1": "secret/ex1"}[link]
    (tmp_path / "class/ada").mkdir(parents=True)
    (tmp_path / "class/ada" / link).symlink_to(tmp_path / target)
    assert "links are not followed" in problem(tmp_path / "class")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    os.mkfifo(tmp_path / "ada/main.cpp")
    assert problem(tmp_path) == "main.cpp is no plain file"


def test_a_source_may_not_be_too_large(tmp_path: Path) -> None:
    put(tmp_path, "ada/main.cpp", text="x" * (MOST_SOURCE + 1))
    assert "1,048,576 bytes" in problem(tmp_path)


def test_names_become_folders_that_harm_nothing(tmp_path: Path) -> None:
    names = ["a b", "q'\"$(x)", "..x", ".class", "grades.csv", "zwölf 漢字", "-rf", "x" * 200,
             "\x1b[31mred", "a\n 2 of 2: bob", "\u202egnp", "Ada", "ada", os.fsdecode(b"\xff\xfe")]
    for name in names:
        put(tmp_path, f"{name}/main.cpp")
    found = find(tmp_path, 1)
    folders = [one.folder for one in found]
    assert len({one.casefold() for one in folders}) == len(names)
    assert not any(one.startswith(".") or "/" in one or one == "grades.csv" for one in folders)
    assert all(one.student.isprintable() for one in found)
    assert all(len(one.encode()) <= 160 and "\x1b" not in one for one in folders)


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tar.xz"])
def test_an_archive_is_a_student(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"ada{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("work/main.cpp", MAIN)
            packed.writestr("../../evil.cpp", "")
            packed.writestr("__MACOSX/work/main.cpp", "rubbish")
    else:
        gzip = ending == ".tar.gz"
        with tarfile.open(path, "w:gz") if gzip else tarfile.open(path, mode="w:xz") as tar:
            member = tarfile.TarInfo("./main.cpp")
            member.size = len(MAIN)
            tar.addfile(member, io.BytesIO(MAIN.encode()))
    (one,) = find(tmp_path, 1)
    assert (one.student, one.source) == ("ada", MAIN.encode())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name], "nothing is unpacked"


def test_an_archive_in_a_students_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    with zipfile.ZipFile(tmp_path / "ada/homework.zip", "w") as packed:
        packed.writestr("ex2/main.cpp", MAIN)
    assert brief(find(tmp_path, None)) == {"ada": [2]}
    (tmp_path / "ada/other.tar").write_bytes(b"")
    assert problem(tmp_path, 2) == "there are 2 archives, and one is wanted"


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "ada.tar", "w") as packed:
        member = tarfile.TarInfo("main.cpp")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(member)
    assert "main.cpp is no plain file" in problem(tmp_path)


@pytest.mark.parametrize("name", ["ada.zip", "ada.tar.gz", "ada.bundle"])
def test_what_cannot_be_read_is_a_result(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"rubbish")
    assert name in problem(tmp_path)
    assert str(tmp_path) not in problem(tmp_path)


def test_what_is_no_submission_is_named(tmp_path: Path) -> None:
    put(tmp_path, "ada/main.cpp", "notes.txt", ".git/HEAD", "__MACOSX/main.cpp")
    found, ignored = find_submissions.find(tmp_path, 1)
    assert brief(found) == {"ada": [1]} and ignored == [".git", "__MACOSX", "notes.txt"]


def test_a_pipe_instead_of_an_archive_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ada.zip")
    assert problem(tmp_path) == "ada.zip is no plain file"


def bomb_of_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(150):
            packed.writestr(f"{number}/main.cpp", "x" * 1_000_000)


def bomb_of_a_header(path: Path) -> None:
    with tarfile.open(path, "w:bz2", format=tarfile.PAX_FORMAT) as packed:
        member = tarfile.TarInfo("main.cpp")
        member.pax_headers = {"comment": "x" * 900_000_000}
        packed.addfile(member)


@pytest.mark.parametrize(("name", "bomb"), [("ada.zip", bomb_of_members),
                                            ("ada.tar.bz2", bomb_of_a_header)])
def test_an_archive_takes_neither_the_memory_nor_the_others(tmp_path: Path, name: str,
                                                            bomb: object) -> None:
    assert callable(bomb)
    bomb(tmp_path / name)
    put(tmp_path, "bob/main.cpp")
    ada, bob = find(tmp_path, 1)
    assert ada.source is None and ada.problem and bob.source == MAIN.encode()


@pytest.mark.parametrize("path", ["ex1\\main.cpp", "ex1-ada/main.cpp", "homework/main.cpp"])
def test_usual_packings_are_found(tmp_path: Path, path: str) -> None:
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as packed:
        packed.writestr(path, MAIN)
    if "\\" not in path:
        put(tmp_path, f"bob/{path}")
    assert all(found == [1] for found in brief(find(tmp_path, 1)).values())


def test_two_students_of_one_name_stay_two(tmp_path: Path) -> None:
    put(tmp_path, "ada/ex1/main.cpp")
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as packed:
        packed.writestr("ex1/main.cpp", MAIN)
        packed.writestr("ex2/main.cpp", MAIN)
    assert [one.folder for one in find(tmp_path, None)] == ["ada", "ada~2/ex1", "ada~2/ex2"]


def test_a_folder_that_may_not_be_read_is_no_students_fault(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(tmp_path / "ada"))

    put(tmp_path, "ada/main.cpp")
    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    with pytest.raises(NoSubmissions, match="ada.* cannot be read: Permission denied"):
        find(tmp_path, 1)


def test_two_sources_as_high_as_each_other_are_not_guessed_at(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as packed:
        packed.writestr("old/main.cpp", MAIN)
        packed.writestr("new/main.cpp", MAIN)
    assert "old/main.cpp, new/main.cpp" in problem(tmp_path)


def test_a_git_bundle_is_a_student(tmp_path: Path) -> None:
    work = tmp_path / "work"
    put(work, "ex4/main.cpp")
    for words in (["init", "-q"], ["add", "."],
                  ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "done"],
                  ["bundle", "create", "-q", str(tmp_path / "class.bundle"), "HEAD"]):
        subprocess.run(["git", "-C", str(work), *words], check=True)
    (tmp_path / "in").mkdir()
    (tmp_path / "class.bundle").rename(tmp_path / "in/ada.bundle")
    assert brief(find(tmp_path / "in", None)) == {"ada": [4]}


@pytest.mark.parametrize("make", [lambda place: None, lambda place: place.mkdir(),
                                  lambda place: place.write_text("rubbish")])
def test_where_nothing_is_the_reason_is_said(tmp_path: Path, make: object) -> None:
    place = tmp_path / "class"
    assert callable(make)
    make(place)
    with pytest.raises(NoSubmissions, match="class"):
        find(place, 1)
