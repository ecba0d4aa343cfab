"""Begins an exercise anew: its main.cpp as it came, and the learner's file kept beside it."""
from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from itertools import count
from pathlib import Path

from harness.system.places import ROOT

CHECKSUMS = ROOT / "exercises/starters.sha256"
"""Of all starters, as `sha256sum` writes them."""


class NoStarter(Exception):
    """It was not found; the text says why, and what to do."""


def reset(file: Path) -> int:
    path = file.relative_to(ROOT).as_posix()
    try:
        starter = starter_of(path)
    except NoStarter as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    kept = ""
    if file.exists() and file.read_bytes() != starter:
        old = kept_as(file)
        file.rename(old)
        kept = f"; yours is {old.relative_to(ROOT)}"
    file.write_bytes(starter)
    print(f"{path} is as it came{kept}")
    return 0


def starter_of(path: str) -> bytes:
    """The version in git's history that has the starter's checksum."""
    sums = {name: checksum for checksum, name in
            (line.split() for line in CHECKSUMS.read_text().splitlines())}
    for commit in git("log", "--full-history", "--format=%H", "--", path).decode().split():
        content = git("show", f"{commit}:./{path}", may_fail=True)  # a commit may have removed it
        if sha256(content).hexdigest() == sums[path]:
            return content
    raise NoStarter(f"git's history has no starter of {path}. Unpack the kit anew somewhere, and "
                    "copy the file from there.")


def git(*words: str, may_fail: bool = False) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True)
    except FileNotFoundError:
        raise NoStarter("the starter is in git's history, and there is no git here") from None
    if done.returncode != 0 and not may_fail:
        raise NoStarter(f"{done.stderr.decode(errors='replace').strip()}\nThe starter is in git's "
                        "history. Unpack the kit anew somewhere, and copy the file from there.")
    return done.stdout


def kept_as(file: Path) -> Path:
    """A name that nothing has yet: main.cpp.old, main.cpp.old2 …"""
    names = (file.with_name(f"{file.name}.old{number if number > 1 else ''}")
             for number in count(1))
    return next(name for name in names if not name.exists())
