"""Finds the submissions in a folder: a folder, an archive or a git bundle for each student.

Nothing of a submission is used but its main.cpp, or exN/main.cpp (exN_name/main.cpp) where there
are several exercises. Links are not followed: they could lead to another student's file.
"""
from __future__ import annotations

import os
import re
import stat
import unicodedata
from pathlib import Path
from typing import Iterator

from harness.classroom import archives
from harness.classroom.results import Submission
from harness.classroom.sources import Files, Student, Unreadable, is_one, stem
from harness.system.places import HARNESS

MOST_SOURCE = 1024 * 1024
"""Bytes of a main.cpp. The longest solution has 15,000."""
DEEPEST = 3
"""Folders above main.cpp in a student's folder."""
RESERVED = re.compile(r"\.|(grades|canvas|index|junit)\.", re.IGNORECASE)
"""Beginnings of names in OUT that are not for students."""
LONGEST_NAME = 150
"""Bytes of a folder's name. Linux allows 255."""
NOTHING = "there is no main.cpp"
OF_EXERCISE = r"(.*/)?ex{}([^0-9/][^/]*)?/main\.cpp$"


class NoSubmissions(Exception):
    """There is nothing to grade; the text says what was looked for."""


def find(place: Path, exercise: int | None) -> tuple[list[Submission], list[str]]:
    """And the names of what is no submission. `exercise`: the only one that is wanted; None: all
    that are there. Raises NoSubmissions."""
    if not place.exists():
        raise NoSubmissions(f"there is no folder {place}")
    try:
        entries, ignored = students(place)
    except OSError as why:
        raise NoSubmissions(f"{why.filename or place} cannot be read: {why.strerror}") from None
    taken: set[str] = set()
    found = [one for name, ids, files in entries
             for one in of_entry(name, ids, files, exercise, taken)]
    if not found:
        raise NoSubmissions(f"{place} has no submissions: a folder for each student is wanted, "
                            "with main.cpp or exN/main.cpp in it, or an archive")
    return sorted(found, key=lambda one: one.folder), ignored


def students(place: Path) -> tuple[list[Student], list[str]]:
    if not place.is_dir():
        try:
            return archives.exported(place), []
        except Unreadable as why:
            raise NoSubmissions(f"{place} is no folder, and no export of a class: {why}") from None
    found: list[Student] = []
    ignored = []
    for entry in sorted(place.iterdir()):
        if entry.name == "__MACOSX" or entry.name.startswith(".") and not holds_source(entry):
            ignored.append(entry.name)
        elif entry.is_dir() or entry.is_symlink():
            found.append((entry.name, {}, or_why(entry)))
        elif is_one(entry.name):
            found.append((stem(entry.name), {}, or_why(entry)))
        else:
            ignored.append(entry.name)
    return found, ignored


def holds_source(folder: Path) -> bool:
    return (folder / "main.cpp").exists() or any(folder.glob("ex*/main.cpp"))


def or_why(entry: Path) -> Files | str:
    try:
        if entry.is_symlink():
            return "it is a link, and links are not followed"
        return of_folder(entry) if entry.is_dir() else archives.open_any(entry)
    except Unreadable as why:
        return str(why)


def of_folder(folder: Path) -> Files:
    """The sources below a folder; if there is none, those in the only archive in it. Raises OSError
    where it may not be read, which is no fault of the student."""
    found = {name: source(folder, name) for name in below(folder)}
    if found:
        return found
    packed = [entry for entry in sorted(folder.iterdir()) if is_one(entry.name)]
    if len(packed) > 1:
        raise Unreadable(f"there are {len(packed)} archives, and one is wanted")
    return archives.open_any(packed[0]) if packed else {}


def below(folder: Path) -> Iterator[str]:
    def fail(why: OSError) -> None:
        raise why

    for at, folders, names in os.walk(folder, onerror=fail):
        here = Path(at).relative_to(folder)
        linked = [name for name in folders if re.match(r"ex\d", name)
                  and (Path(at) / name).is_symlink()]
        yield from (str(here / name / "main.cpp") for name in linked)
        if "main.cpp" in [*names, *folders]:
            yield str(here / "main.cpp")
        if len(here.parts) >= DEEPEST:
            folders.clear()


def source(folder: Path, name: str) -> bytes | str:
    """No link is followed on the way, not even one that is made meanwhile."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    *parents, last = Path(name).parts
    try:
        for part in parents:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        kept_open = os.open(last, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=place)
    except OSError as why:
        if any((folder / part).is_symlink() for part in [name, *map(str, Path(name).parents)]):
            return f"{name} is a link or lies behind one, and links are not followed"
        raise OSError(why.errno, why.strerror, str(folder / name)) from None
    finally:
        os.close(place)
    with open(kept_open, "rb") as file:
        if not stat.S_ISREG(os.fstat(kept_open).st_mode):
            return f"{name} is no plain file"
        return file.read(MOST_SOURCE + 1)


def of_entry(name: str, ids: dict[str, str], files: Files | str, only: int | None,
             taken: set[str]) -> list[Submission]:
    """What a student has handed in: each exercise that is there, or the reason why none is. They
    get folders of their own: the student's, and in it one an exercise if there are several."""
    shown = one_line(name)
    base = free_folder(shown, taken)
    if isinstance(files, str):
        return [Submission(shown, only or 0, None, one_line(files), base, ids)]
    known = [only] if only else sorted(int(file.name[7]) for file in HARNESS.glob("test_ex?_*.py"))
    by_number = {number: paths for number in known if (paths := paths_of(number, files, only))}
    if not by_number:
        if not only and any(path.endswith("main.cpp") for path in files):
            raise NoSubmissions(f"{shown} has a main.cpp in no folder exN: say which exercise it "
                                "is, with EX=1")
        others = f" for exercise {only}, but {', '.join(files)}" if files else ""
        return [Submission(shown, only or 0, None, one_line(f"{NOTHING}{others}"), base, ids)]
    several = len(by_number) > 1
    return [Submission(shown, number, *chosen(files, paths),
                       f"{base}/ex{number}" if several else base, ids)
            for number, paths in by_number.items()]


def paths_of(number: int, files: Files, only: int | None) -> list[str]:
    paths = [path for path in files if re.match(OF_EXERCISE.format(number), path)]
    if not paths and only:
        paths = [path for path in files if not re.match(OF_EXERCISE.format(r"\d"), path)]
    return paths


def chosen(files: Files, paths: list[str]) -> tuple[bytes | None, str]:
    """The highest main.cpp, if there is only one so high; or why there is none."""
    least = min(path.count("/") for path in paths)
    highest = [path for path in paths if path.count("/") == least]
    if len(highest) > 1:
        return None, one_line(f"which one is it: {', '.join(highest)}?")
    content = files[highest[0]]
    if isinstance(content, str):
        return None, one_line(content)
    if len(content) > MOST_SOURCE:
        return None, f"main.cpp has more than {MOST_SOURCE:,} bytes"
    return content, ""


def one_line(text: str) -> str:
    """Without characters that do something to a terminal, a table or the direction of a text."""
    return "".join("_" if one != " " and (one.isspace() or unicodedata.category(one)[0] == "C")
                   else one for one in text)


def free_folder(student: str, taken: set[str]) -> str:
    name = re.sub(r"[/\\]", "_", student).strip() or "_"
    if RESERVED.match(name):
        name = f"_{name}"
    name = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    folder, number = name, 1
    while folder.casefold() in taken:
        number += 1
        folder = f"{name}~{number}"
    taken.add(folder.casefold())
    return folder
