"""Archives of submissions: one of a student, or the export of a whole class by Gradescope, Moodle
or Canvas. They are read member by member, in memory: nothing is unpacked to a path that they name.
"""
from __future__ import annotations

import re
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Callable, Iterator

import yaml

Files = dict[str, Callable[[], bytes]]
"""Path of each main.cpp → its content. To read it may raise Unreadable."""
MOST_READ = 1024 * 1024 + 1
"""Bytes that are read of one file: one more than are taken."""
MOST_MEMBERS = 20_000
MOST_PACKED = 256 * 1024 * 1024
"""Bytes of a packed tar that are looked through."""
ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar", ".zip", ".bundle")
GIT_SECONDS = 30


class Unreadable(Exception):
    """A submission cannot be read; the text says why."""


def is_one(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """The name of the student whose archive it is."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[:-len(ending)]
    return path.name


def open_any(path: Path) -> Files:
    """The sources in a student's archive. Raises Unreadable."""
    if path.is_symlink():
        raise Unreadable(f"{path.name} is a link, and links are not followed")
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                return in_zip(packed)
        if path.name.lower().endswith(".bundle"):
            return in_bundle(path)
        if is_one(path):
            return in_tar(path)
    except (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile,
            tarfile.TarError) as why:
        raise Unreadable(f"{path.name} cannot be read: {why}") from None
    raise Unreadable(f"{path.name} is neither a folder nor an archive ({', '.join(ENDINGS)})")


def in_zip(packed: zipfile.ZipFile) -> Files:
    return {member.filename: content(zip_bytes(packed, member)) for member in sources(packed)}


def sources(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = packed.infolist()
    if len(members) > MOST_MEMBERS:
        raise Unreadable(f"it has {len(members):,} files; at most {MOST_MEMBERS:,} are looked at")
    return [one for one in members if is_source(one.filename)]


def is_source(path: str) -> bool:
    parts = path.split("/")
    return parts[-1] == "main.cpp" and "__MACOSX" not in parts


def zip_bytes(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.external_attr >> 16 & 0o170000 == 0o120000:
        raise Unreadable(f"{member.filename} is a link, and links are not followed")
    with packed.open(member) as file:
        return file.read(MOST_READ)


def content(found: bytes) -> Callable[[], bytes]:
    return lambda: found


def in_tar(path: Path) -> Files:
    found: Files = {}
    with tarfile.open(path, "r|*") as packed:
        for count, member in enumerate(packed):
            if count >= MOST_MEMBERS or member.offset > MOST_PACKED:
                raise Unreadable(f"it is too large: at most {MOST_MEMBERS:,} files and "
                                 f"{MOST_PACKED // 2**20} MiB are looked at")
            if is_source(member.name) and not member.isdir():
                file = packed.extractfile(member) if member.isreg() else None
                if file is None:
                    raise Unreadable(f"{member.name} is no plain file")
                found[member.name] = content(file.read(MOST_READ))
    return found


def in_bundle(path: Path) -> Files:
    """The sources of the newest commit that a git bundle has at its HEAD, or on its only branch."""
    with tempfile.TemporaryDirectory() as folder:
        def git(*words: str) -> bytes:
            done = subprocess.run(["git", "-C", folder, "-c", "core.hooksPath=/dev/null", *words],
                                  capture_output=True, timeout=GIT_SECONDS)
            if done.returncode != 0:
                said = " ".join(done.stderr.decode(errors="replace").split())
                raise ValueError(said.replace(folder, "…"))
            return done.stdout

        try:
            git("init", "-q", "--bare")
            heads = [line.split(" ", 1) for line in
                     git("bundle", "list-heads", str(path.absolute())).decode().splitlines()]
            names = [name for _, name in heads]
            wanted = "HEAD" if "HEAD" in names else names[0] if len(names) == 1 else ""
            if not wanted:
                raise ValueError(f"it has no HEAD, and {len(names)} branches")
            git("fetch", "-q", "--depth=1", str(path.absolute()), wanted)
            listed = git("ls-tree", "-r", "-z", "--long", "FETCH_HEAD").decode(errors="replace")
            found: Files = {}
            for line in filter(None, listed.split("\0")):
                entry, _, name = line.partition("\t")
                mode, kind, object_id, size = entry.split()
                if kind == "blob" and is_source(name):
                    if mode == "120000" or int(size) >= MOST_READ:
                        raise ValueError(f"{name} is a link, or too large")
                    found[name] = content(git("cat-file", "blob", object_id))
            return found
        except subprocess.TimeoutExpired:
            raise ValueError("git needs too long for it") from None


# ----- exports of a whole class


Student = tuple[str, dict[str, str], "Files | str"]
MOODLE = re.compile(r"(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?/?(?P<rest>.*)$")
"""First Last_12345_assignsubmission_file_/main.cpp, or without the folder."""
CANVAS = re.compile(r"(?P<name>[^/_]+)(?P<late>_LATE)?_(?P<id>\d+)_(?P<submission>\d+)_"
                    r"(?P<rest>[^/]+?)(?:-(?P<version>\d+))?(?P<ending>\.(?:cpp|zip))$")
"""lastfirst_LATE_12_345_main-1.cpp: all files lie beside each other."""
METADATA = "submission_metadata.yml"
GRADESCOPE = re.compile(r"(?:.*/)?(?P<id>submission_\d+)/(?P<rest>.*)$")


def exported(path: Path) -> Iterator[Student]:
    """The students in the export of a class. Raises Unreadable."""
    try:
        with zipfile.ZipFile(path) as packed:
            members = [one for one in packed.infolist() if not one.is_dir()]
            known = metadata(packed, members)
            members = [one for one in members if not one.filename.endswith(METADATA)]
            by_student: dict[tuple[str, str, str], Files] = {}
            for member in members:
                key, rest = student_of(member.filename, known)
                own = by_student.setdefault(key, {}) if key[0] else {}
                if is_source(rest):
                    own[rest] = content(zip_bytes(packed, member))
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile,
            yaml.YAMLError) as why:
        raise Unreadable(f"it cannot be read as the export of a class: {why}") from None
    for (name, system, number), files in sorted(by_student.items()):
        yield name, {system: number} if number else {}, files


def student_of(path: str, known: dict[str, tuple[str, str]]) -> tuple[tuple[str, str, str], str]:
    """Name, system and number there; and the path in the student's own folder."""
    if match := MOODLE.match(path.removeprefix("./")):
        name = f"{match['name']}_{match['id']}"
        return (name, "moodle", match["id"]), match["rest"]
    if (match := GRADESCOPE.match(path)) and match["id"] in known:
        name, email = known[match["id"]]
        return (name, "email", email), match["rest"]
    if match := CANVAS.match(path):
        return (f"{match['name']}_{match['id']}", "canvas", match["id"]), (
            f"{match['rest']}{match['ending']}")
    folder, _, rest = path.partition("/")
    return (folder if rest else "", "", ""), rest


def metadata(packed: zipfile.ZipFile, members: list[zipfile.ZipInfo]
             ) -> dict[str, tuple[str, str]]:
    """Gradescope's submission_metadata.yml: submission → name and e-mail address."""
    files = [one for one in members if one.filename.endswith(METADATA)]
    if not files:
        return {}
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Objects of Ruby, as which some exports write their times, are left out."""

    Loader.add_multi_constructor("!ruby/", lambda loader, suffix, node: None)
    found = yaml.load(packed.read(files[0]), Loader)
    return {number: (" and ".join(str(one.get(":name", "")) for one in entry[":submitters"]),
                     str(entry[":submitters"][0].get(":email", "")))
            for number, entry in (found or {}).items() if entry.get(":submitters")}

