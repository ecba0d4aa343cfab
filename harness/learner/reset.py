"""Begins an exercise anew: its main.cpp as it came, and the learner's file kept beside it."""
from __future__ import annotations

import re
import subprocess
import sys
from itertools import count
from pathlib import Path

from harness.system.places import ROOT

STEP, TO_DO = re.compile(r"// STEP \d"), "// TODO"


def reset(file: Path) -> int:
    starter = newest_starter(file)
    if starter is None:
        print(f"error: no starter is known for {shown(file)}: this folder has no history of git. "
              "Unpack the kit anew somewhere, and copy the file from there.", file=sys.stderr)
        return 1
    kept = ""
    if file.exists() and file.read_bytes() != starter:
        old = kept_as(file)
        file.rename(old)
        kept = f"; yours is {shown(old)}"
    file.write_bytes(starter)
    print(f"{shown(file)} is as it came{kept}")
    return 0


def newest_starter(file: Path) -> bytes | None:
    """The newest version in git's history in which every step is still to do: what the learner has
    committed is none."""
    path = file.relative_to(ROOT).as_posix()
    for commit in git("log", "--format=%H", "--", path).decode().split():
        content = git("show", f"{commit}:{path}")
        text = content.decode(errors="replace")
        steps = len(STEP.findall(text))
        if steps and text.count(TO_DO) == steps:
            return content
    return None


def git(*words: str) -> bytes:
    """Its output; nothing if there is no git, or no history."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True).stdout
    except FileNotFoundError:
        return b""


def kept_as(file: Path) -> Path:
    """A name that nothing has yet: main.cpp.old, main.cpp.old2 …"""
    names = (file.with_name(f"{file.name}.old{number if number > 1 else ''}")
             for number in count(1))
    return next(name for name in names if not name.exists())


def shown(file: Path) -> str:
    return str(file.relative_to(ROOT))
