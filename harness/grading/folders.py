"""Folders that programs have written to: they are removed whatever the program did to them, and files there read with care."""
from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def remove(folder: Path) -> None:
    """Also folders that may not be entered or written."""
    if os.path.isdir(folder):
        os.chmod(folder, 0o700)
    for at, below, _ in os.walk(folder):
        for name in below:
            if not os.path.islink(path := os.path.join(at, name)):
                os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def text_of(path: Path) -> str:
    """What a file contains; nothing if it cannot be read or is no plain file (a pipe would be waited for without end)."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), encoding="utf-8", errors="replace") as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else ""
    except OSError:
        return ""
