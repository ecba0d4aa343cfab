"""What attempts of hostile submissions have in common."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SECRET = b"a-secret-of-the-instructor"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Place:
    """What a cheat may know of the machine: where the kit lies, whose home it attacks, and a port
    of the machine on which somebody listens."""

    kit: str
    home: str
    port: int


def others() -> list[int]:
    """The processes that are not this program's."""
    own, found = {os.getpid()}, []
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    for pid in pids:
        try:
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) in own:
            own.add(pid)
        elif pid not in own and state != "Z":
            found.append(pid)
    return found


def contents(*paths: str) -> bytes:
    for path in paths:
        try:
            found = Path(path).read_bytes()
        except OSError:
            continue
        if found:
            return found[:40]
    return b""


def write_to(*paths: str) -> str:
    for path in paths:
        try:
            with open(path, "a") as file:
                file.write(" ")
            return path
        except OSError:
            continue
    return ""
