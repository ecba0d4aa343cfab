"""Finds the submissions in a folder: a folder, an archive or a git bundle for each student.

Nothing of a submission is used but its main.cpp, or exN/main.cpp (exN_name/main.cpp) where there
are several exercises. Links are not followed: they could lead to another student's file.
"""
from __future__ import annotations

import os
import re
import stat
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Iterator

from harness.classroom import archives
from harness.classroom.archives import Files, Unreadable
from harness.classroom.results import Submission
from harness.system.places import HARNESS
from harness.telling.visible import CONTROL

MOST_SOURCE = 1024 * 1024
"""Bytes of a main.cpp. The longest solution has 15,000."""
RESERVED = re.compile(r"\.|(grades|canvas|index|junit)\.", re.IGNORECASE)
"""Beginnings of names in OUT that are not for students."""
LONGEST_NAME = 150
"""Bytes of a folder's name. Linux allows 255."""
NOTHING = "there is no main.cpp"


class NoSubmissions(Exception):
    """There is nothing to grade; the text says what was looked for."""


def find(place: Path, exercise: int | None) -> list[Submission]:
    """`exercise`: the only one that is wanted; None: all that are there. Raises NoSubmissions."""
    if not place.exists():
        raise NoSubmissions(f"there is no folder {place}")
    known = [int(file.name[7]) for file in HARNESS.glob("test_ex?_*.py")]
    found = [one for student in students(place)
             for one in of_student(*student, [exercise] if exercise else sorted(known), exercise)]
    if not found:
        raise NoSubmissions(f"{place} has no submissions: a folder for each student is wanted, "
                            "with main.cpp or exN/main.cpp in it, or an archive")
    return with_folders(found)


def students(place: Path) -> Iterator[tuple[str, dict[str, str], Files | str]]:
    """Name, other names, and the files; instead of these why they could not be read."""
    if place.is_file():
        try:
            yield from archives.exported(place)
        except Unreadable as why:
            raise NoSubmissions(f"{place}: {why}") from None
        return
    for entry in sorted(place.iterdir()):
        if entry.name.startswith(".") and not entry.is_dir():
            continue
        name = entry.name if entry.is_dir() else archives.stem(entry)
        try:
            yield name, {}, of_folder(entry) if entry.is_dir() else archives.open_any(entry)
        except Unreadable as why:
            yield name, {}, str(why)


def of_folder(folder: Path) -> Files:
    """The sources below a folder; if there is none, those in the only archive in it."""
    if folder.is_symlink():
        raise Unreadable("the folder is a link, and links are not followed")
    names = [name for name in ["main.cpp", *exercise_paths(folder)] if inside(folder, name)]
    if names:
        return {name: partial(source, folder, name) for name in names}
    packed = [entry for entry in sorted(folder.iterdir())
              if entry.is_file() and not entry.is_symlink() and archives.is_one(entry)]
    if len(packed) > 1:
        raise Unreadable(f"there are {len(packed)} archives, and one is wanted")
    return archives.open_any(packed[0]) if packed else {}


def exercise_paths(folder: Path) -> list[str]:
    return [f"{entry.name}/main.cpp" for entry in sorted(folder.iterdir())
            if re.match(r"ex\d", entry.name)]


def inside(folder: Path, name: str) -> bool:
    """Whether there is such a thing, and no link on the way."""
    path = folder
    for part in Path(name).parts:
        path = path / part
        if not os.path.lexists(path):
            return False
        if path.is_symlink():
            raise Unreadable(f"{name} is a link or lies behind one, and links are not followed")
    return True


def source(folder: Path, name: str) -> bytes:
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable(f"{name} is no plain file")
            return file.read(MOST_SOURCE + 1)
    except OSError as why:
        raise Unreadable(f"{name} cannot be read: {why.strerror}") from None


def of_student(name: str, ids: dict[str, str], files: Files | str, wanted: list[int],
               only: int | None) -> Iterator[Submission]:
    """Each exercise that is there, or that one with the reason why it is not."""
    shown = CONTROL.sub("_", name)
    if isinstance(files, str):
        yield Submission(shown, only or 0, None, files, ids=ids)
        return
    found = False
    for number in wanted:
        paths = [path for path in files if re.match(rf"(.*/)?ex{number}(_[^/]*)?/main\.cpp$", path)]
        if not paths and only:
            paths = [path for path in files if not re.match(r"(.*/)?ex\d[^/]*/main\.cpp$", path)]
        if paths:
            found = True
            yield one(shown, ids, files, paths, number)
    if not found:
        unasked = " (main.cpp without a folder exN: say which exercise it is, with EX=1)"
        plain = unasked if "main.cpp" in files and not only else ""
        yield Submission(shown, only or 0, None, f"{NOTHING}{plain}", ids=ids)


def one(name: str, ids: dict[str, str], files: Files, paths: list[str], number: int) -> Submission:
    """The highest main.cpp counts, if there is only one so high."""
    least = min(path.count("/") for path in paths)
    highest = [path for path in paths if path.count("/") == least]
    try:
        if len(highest) > 1:
            raise Unreadable(f"which one is it: {', '.join(highest)}?")
        content = files[highest[0]]()
        if len(content) > MOST_SOURCE:
            raise Unreadable(f"main.cpp has more than {MOST_SOURCE:,} bytes")
    except Unreadable as why:
        return Submission(name, number, None, str(why), ids=ids)
    return Submission(name, number, content, ids=ids)


def with_folders(submissions: list[Submission]) -> list[Submission]:
    """Each gets a folder of its own: the student's, and in it one an exercise where a student has
    several."""
    many = Counter(one.student for one in submissions)
    taken: set[str] = set()
    found = []
    for submission in sorted(submissions, key=lambda one: (one.student, one.exercise)):
        below = f"/ex{submission.exercise}" if many[submission.student] > 1 else ""
        name, number = folder_name(submission.student), 1
        folder = f"{name}{below}"
        while folder.casefold() in taken:
            number += 1
            folder = f"{name}~{number}{below}"
        taken.add(folder.casefold())
        found.append(Submission(submission.student, submission.exercise, submission.source,
                                submission.problem, folder, submission.ids))
    return found


def folder_name(student: str) -> str:
    name = re.sub(r"[/\\\x00]", "_", student).strip() or "_"
    if RESERVED.match(name):
        name = f"_{name}"
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")
