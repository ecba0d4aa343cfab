"""Reads one archive, member by member and in memory: nothing is unpacked to a path that it names.

Usage: python3 -m harness.classroom.read_archive student|class FILE
The students in it are printed as JSON (see archives.read_apart), those of a class by the rules of
Gradescope, Moodle and Canvas; else each top folder is a student.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Callable, Iterator

import yaml

from harness.classroom.sources import Files, Student, Unreadable, is_one, packed

MOST_READ = 1024 * 1024 + 1
"""Bytes that are read of one source: one more than are taken."""
MOST_NESTED = 64 * 1024 * 1024
"""Bytes of an archive in the export of a class."""
MOST_MEMBERS, MOST_SOURCES = 20_000, 100
"""Files of a student, and how many of them may be called main.cpp."""
MOST_METADATA = 8 * 1024 * 1024


def student(path: Path) -> Files:
    """Raises whatever a damaged archive makes a library raise."""
    name = path.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as one:
            members = [member for member in one.infolist() if not member.is_dir()]
            return in_zip(one, {plain(member.filename): member for member in members})
    return in_bundle(path) if name.endswith(".bundle") else in_tar(path)


def plain(path: str) -> str:
    """Some programs write paths with backslashes."""
    return path.replace("\\", "/").removeprefix("./")


def is_source(path: str) -> bool:
    parts = path.split("/")
    return parts[-1] == "main.cpp" and "__MACOSX" not in parts


def in_zip(one: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Files:
    """`members`: by the path in the student's own folder."""
    wanted = {path: member for path, member in members.items() if is_source(path)}
    if len(members) > MOST_MEMBERS or len(wanted) > MOST_SOURCES:
        raise Unreadable(f"it has {len(members):,} files, and {len(wanted):,} called main.cpp")
    return {path: or_why(path, partial(zip_bytes, one, member, MOST_READ))
            for path, member in wanted.items()}


def or_why(path: str, read: Callable[[], bytes]) -> bytes | str:
    try:
        return read()
    except Exception as why:  # one member's fault is not the others'
        return f"{path} cannot be read: {reason(why)}"


def reason(why: Exception) -> str:
    """Texts of libraries may have paths of this machine in them."""
    return str(why) if isinstance(why, Unreadable) else type(why).__name__


def zip_bytes(one: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    if member.external_attr >> 16 & 0o170000 == 0o120000:
        raise Unreadable("it is a link, and links are not followed")
    with one.open(member) as file:
        return file.read(most)


def in_tar(path: Path) -> Files:
    found: Files = {}
    with tarfile.open(path, mode="r|*") as one:
        for count, member in enumerate(one):
            if count >= MOST_MEMBERS or len(found) >= MOST_SOURCES:
                raise Unreadable("it has too many files")
            name = plain(member.name)
            if is_source(name) and not member.isdir():
                file = one.extractfile(member) if member.isreg() else None
                found[name] = file.read(MOST_READ) if file else f"{name} is no plain file"
    return found


def in_bundle(path: Path) -> Files:
    """The sources of the newest commit that a git bundle has at its HEAD, or on its only branch."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

        def git(*words: str) -> bytes:
            done = subprocess.run(["git", "-C", folder, "-c", "core.hooksPath=/dev/null", *words],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, env=environment)
            if done.returncode != 0:
                raise Unreadable(f"git {words[0]} fails")
            return done.stdout

        git("init", "-q", "--bare")
        listed = git("bundle", "list-heads", str(path)).decode().splitlines()
        names = [line.partition(" ")[2] for line in listed]
        wanted = "HEAD" if "HEAD" in names else names[0] if len(names) == 1 else ""
        if wanted != "HEAD" and not re.fullmatch(r"refs/heads/[\w./-]+", wanted):
            raise Unreadable(f"it has no HEAD, and {len(names)} branches")
        git("fetch", "-q", "--depth=1", "--end-of-options", str(path), wanted)
        found: Files = {}
        for line in filter(None, git("ls-tree", "-r", "-z", "--long", "FETCH_HEAD").split(b"\0")):
            entry, _, name = line.decode(errors="replace").partition("\t")
            mode, kind, blob, size = entry.split()
            if kind == "blob" and is_source(name) and len(found) < MOST_SOURCES:
                usable = mode != "120000" and int(size) < MOST_READ
                found[name] = (git("cat-file", "blob", blob) if usable
                               else f"{name} is a link, or too large")
        return found


# ----- exports of a whole class


MOODLE = re.compile(r"(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?/?(?P<rest>.*)$")
"""First Last_12345_assignsubmission_file_/main.cpp, or without the folder."""
CANVAS = re.compile(r"(?P<name>[^/_]+)(?P<late>_LATE)?_(?P<id>\d+)_(?P<submission>\d+)_"
                    r"(?P<rest>[^/]+?)(?:-(?P<version>\d+))?(?P<ending>\.[^/.]+(?:\.[gx]z)?)$")
"""lastfirst_LATE_12_345_main-1.cpp: all files lie beside each other."""
GRADESCOPE = re.compile(r"(?P<id>submission_\d+)/(?P<rest>.*)$")
METADATA = "submission_metadata.yml"
Key = tuple[str, str, str]
"""Name, system, and number or address there."""


def students(path: Path) -> Iterator[Student]:
    with zipfile.ZipFile(path) as one:
        members = {plain(member.filename): member for member in one.infolist()
                   if not member.is_dir()}
        members = {name: member for name, member in without_top(members).items()
                   if not name.startswith("__MACOSX/")}
        known = metadata(one, members.pop(METADATA)) if METADATA in members else {}
        by_student: dict[Key, dict[str, zipfile.ZipInfo]] = {}
        for name, member in members.items():
            key, rest = student_of(name, known)
            if key[0]:
                by_student.setdefault(key, {})[rest] = member
        for (name, system, number), own in sorted(by_student.items()):
            yield name, {system: number} if number else {}, files_of(one, own)


def without_top(members: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Without a folder that holds all of them."""
    tops = {name.partition("/")[0] for name in members if not name.startswith("__MACOSX/")}
    top = next(iter(tops), "")
    inside = len(tops) == 1 and all(name.startswith((f"{top}/", "__MACOSX/")) for name in members)
    below = {name.removeprefix(f"{top}/"): member for name, member in members.items()}
    sources = [name for name in below if is_source(name)]
    apart = all("/" in name or MOODLE.match(name) or CANVAS.match(name) for name in sources)
    alone = MOODLE.match(f"{top}/") or GRADESCOPE.match(f"{top}/")
    return below if inside and sources and apart and not alone else members


def files_of(one: zipfile.ZipFile, own: dict[str, zipfile.ZipInfo]) -> Files | str:
    """Of a student: the sources, or those in the only archive."""
    try:
        found = in_zip(one, own)
        nested = [name for name in own if is_one(name)]
        if found or len(nested) != 1:
            return found
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(nested[0]).name
            file.write_bytes(zip_bytes(one, own[nested[0]], MOST_NESTED))
            return student(file)
    except Exception as why:
        return f"it cannot be read: {reason(why)}"


def student_of(path: str, known: dict[str, tuple[str, str]]) -> tuple[Key, str]:
    """And the path in the student's own folder."""
    if match := MOODLE.match(path):
        name = f"{match['name']}_{match['id']}"
        return (name, "moodle", match["id"]), match["rest"]
    if match := GRADESCOPE.match(path):
        name, email = known.get(match["id"], (match["id"], ""))
        return (name, "email", email), match["rest"]
    if match := CANVAS.match(path):
        name = f"{match['name']}_{match['id']}"
        return (name, "canvas", match["id"]), f"{match['rest']}{match['ending']}"
    folder, _, rest = path.partition("/")
    return (folder if rest else "", "", ""), rest


def metadata(one: zipfile.ZipFile, member: zipfile.ZipInfo) -> dict[str, tuple[str, str]]:
    """What Gradescope says of its submissions: submission → name and e-mail address."""
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Objects of Ruby, as which some exports write their times, are left out."""

    Loader.add_multi_constructor("!ruby/", lambda loader, suffix, node: None)
    found = yaml.load(zip_bytes(one, member, MOST_METADATA), Loader)
    names = {}
    for number, entry in found.items():
        people = [person for person in entry[":submitters"] if isinstance(person, dict)]
        if people:
            names[str(number)] = (" and ".join(str(person.get(":name", "")) for person in people),
                                  str(people[0].get(":email", "")))
    return names


def main() -> int:
    kind, path = sys.argv[1], Path(sys.argv[2])
    try:
        found = list(students(path)) if kind == "class" else [("", {}, student(path))]
    except Exception as why:
        found = [("", {}, f"{path.name} cannot be read: {reason(why)}")]
    json.dump([(name, ids, packed(files)) for name, ids, files in found], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
