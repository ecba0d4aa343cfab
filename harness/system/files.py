"""Careful work with files: a program's folders are removed and its files are read whatever it did
to them; the harness's own files are written whole."""
from __future__ import annotations

import os
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

MOST_NAMES = 100
MOST_BYTES = 128 * 1024 * 1024
"""What is read of one file of a program."""

def names_in(folder: Path) -> list[str]:
    """What lies in a folder of a program, each with the folder's name before it. Only the first
    hundred; no link is followed, and a folder that has become something else is told, too."""
    if folder.is_symlink() or not folder.is_dir():
        return [f"{folder.name} (no folder any more)"]
    found = []
    for at, below, files in os.walk(folder):
        found += [os.path.relpath(os.path.join(at, name), folder.parent) for name in below + files]
        if len(found) >= MOST_NAMES:
            break
    return found[:MOST_NAMES]


def remove(folder: Path) -> None:
    """Remove a folder, also one with folders in it that may not be entered or written, or that are
    nested thousands deep; or what has taken its place. What cannot be removed is left there."""
    if folder.is_symlink() or folder.is_file():
        with suppress(OSError):
            folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        for words in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*words, "--", str(folder)], stdin=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


def text_of(path: Path) -> str:
    """The text of a file, at most its first MOST_BYTES; "" if it cannot be read or is no plain file
    (to read a pipe could wait without end)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(handle, "rb") as file:
            plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read(MOST_BYTES).decode(errors="replace") if plain else ""
    except OSError:
        return ""


def write_whole(path: Path, text: str) -> None:
    """Write all of it or nothing: a new file takes the place of the old one, so a reader never sees
    a part. Half of a surrogate pair, which a program's JSON may hold, becomes a question mark."""
    if not replaceable(path):
        path.write_text(text, encoding="utf-8", errors="replace")
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8", errors="replace")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replaceable(path: Path) -> bool:
    """Whether a new file may take its place. A device, a pipe or a link (`/dev/stdout` is one) must
    stay what it is."""
    return not path.is_symlink() and (path.is_file() or not path.exists())
