"""The sources that were found in a folder or an archive, and how they travel between processes."""
from __future__ import annotations

import base64

Files = dict[str, "bytes | str"]
"""Path of each main.cpp → its content, or why it cannot be read."""
Student = tuple[str, dict[str, str], "Files | str"]
"""Name, numbers by system, and the files, or why there are none."""
ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar", ".zip", ".bundle")


class Unreadable(Exception):
    """A submission cannot be read; the text says why."""


def is_one(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """The name of the student whose archive it is."""
    return next((name[:-len(one)] for one in ENDINGS if name.lower().endswith(one)), name)


def packed(files: Files | str) -> object:
    """As JSON can hold it."""
    if isinstance(files, str):
        return files
    return {path: [base64.b64encode(found).decode()] if isinstance(found, bytes) else found
            for path, found in files.items()}


def unpacked(files: object) -> Files | str:
    if not isinstance(files, dict):
        return str(files)
    return {path: base64.b64decode(found[0]) if isinstance(found, list) else str(found)
            for path, found in files.items()}
