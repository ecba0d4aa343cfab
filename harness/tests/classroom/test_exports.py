"""The exports of whole classes by Gradescope, Moodle and Canvas."""
from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from harness.tests.classroom.test_find_submissions import MAIN, brief, find

GRADESCOPE = """---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '7'
    :email: ada@example.org
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: 2026-01-01
submission_12:
  :submitters:
  - :name: Bob
    :email: bob@example.org
  - :name: Eve
"""
EXPORTS = {
    "moodle": (["Ada Lovelace_101_assignsubmission_file_/main.cpp",
                "Bob_102_assignsubmission_file_main.cpp"],
               {"Ada Lovelace_101": "101", "Bob_102": "102"}),
    "canvas": (["lovelaceada_LATE_101_9001_main-2.cpp", "bob_102_9002_main.cpp"],
               {"lovelaceada_101": "101", "bob_102": "102"}),
    "email": (["assignment_5_export/submission_11/main.cpp",
               "assignment_5_export/submission_12/src/main.cpp"],
              {"Ada Lovelace": "ada@example.org", "Bob and Eve": "bob@example.org"}),
}


@pytest.mark.parametrize("system", EXPORTS)
def test_the_export_of_a_class_is_read(tmp_path: Path, system: str) -> None:
    members, students = EXPORTS[system]
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        if system == "email":
            packed.writestr("assignment_5_export/submission_metadata.yml", GRADESCOPE)
        for member in members:
            packed.writestr(member, MAIN)
    found = find(tmp_path / "export.zip", 1)
    assert {one.student: one.ids.get(system) for one in found} == students
    assert all(one.source == MAIN.encode() for one in found)


def test_a_student_cannot_speak_for_another(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        top = "assignment_5_export"
        packed.writestr(f"{top}/submission_12/submission_metadata.yml",
                        GRADESCOPE.replace("Ada Lovelace", "Mallory"))
        packed.writestr(f"{top}/submission_metadata.yml", GRADESCOPE)
        packed.writestr(f"{top}/submission_11/src/main.cpp", MAIN)
        packed.writestr(f"{top}/submission_12/submission_11/main.cpp", "int evil;")
    ada, bob = find(tmp_path / "export.zip", 1)
    assert (ada.student, ada.source) == ("Ada Lovelace", MAIN.encode())
    assert (bob.student, bob.source) == ("Bob and Eve", b"int evil;")


def test_who_has_handed_in_something_else_has_a_result_and_archives_are_opened(
        tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("ex3/main.cpp", MAIN)
    with zipfile.ZipFile(tmp_path / "canvas.zip", "w") as packed:
        packed.writestr("ada_1_2_essay.pdf", "a text")
        packed.writestr("bob_3_4_hw.zip", inner.getvalue())
        packed.writestr("__MACOSX/x", "")
    with zipfile.ZipFile(tmp_path / "moodle.zip", "w") as packed:
        packed.writestr("all/Bob_3_assignsubmission_file_/hw.zip", inner.getvalue())
        packed.writestr("all/Eve_4_assignsubmission_file_/main.cpp", MAIN)
    assert brief(find(tmp_path / "canvas.zip", None)) == {"ada_1": [], "bob_3": [3]}
    assert brief(find(tmp_path / "moodle.zip", 3)) == {"Bob_3": [3], "Eve_4": [3]}


@pytest.mark.parametrize("folder", ["", "class/"])
def test_a_zip_of_the_folder_of_a_class_is_read(tmp_path: Path, folder: str) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        packed.writestr(f"{folder}ada/main.cpp", MAIN)
        packed.writestr(f"{folder}ada/Makefile", "")
        packed.writestr(f"{folder}bob/ex1/main.cpp", MAIN)
    assert brief(find(tmp_path / "all.zip", 1)) == {"ada": [1], "bob": [1]}


def test_a_damaged_member_is_that_students_alone(tmp_path: Path) -> None:
    export = tmp_path / "export.zip"
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("Ada_1_assignsubmission_file_/main.cpp", "int main() {}" * 100)
        packed.writestr("Bob_2_assignsubmission_file_/main.cpp", MAIN)
    content = bytearray(export.read_bytes())
    at = content.index(b"main.cpp") + 12
    content[at:at + 8] = b"\xff" * 8
    export.write_bytes(content)
    ada, bob = find(export, 1)
    assert ada.source is None and "cannot be read" in ada.problem
    assert bob.source == MAIN.encode()
