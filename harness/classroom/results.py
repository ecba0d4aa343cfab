"""What is known of a submission when it is done: the form of result.json.

{"student": "ada", "exercise": 1, "state": "graded", "sentence": "4 of 5 items pass",
 "items": [{"item": 1, "title": "…", "result": "pass", "why": ""}], "source": "d0da…",
 "binary": "d97a…", "kit": "5e0c…", "host": "lab-3", "started": "2026-01-31T12:00:00+00:00",
 "seconds": {"build": 4.1, "grading": 9.8}, "behind": 0.01, "isolation": "in a sandbox …",
 "honesty": [], "gradings": 1}
"""
from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.system.files import write_whole
from harness.system.places import HARNESS, ROOT

State = Literal["graded", "build-failed", "build-timeout", "inconclusive", "crashed"]
STATES: dict[str, str] = {
    "graded": "each item has a verdict",
    "build-failed": "there is no program: main.cpp does not compile, or is not there",
    "build-timeout": "the build took too long, and was ended",
    "inconclusive": "the machine could not be trusted meanwhile, and no item failed",
    "crashed": "the grader itself failed, which says nothing about the submission",
}
FINAL = ("graded", "build-failed", "build-timeout")
"""Another grading would say the same. The other states are tried again."""
FILE = "result.json"
PAGE, LOG, PROGRAM = "report.html", "build.log", "program"
LEFT = (PAGE, LOG, PROGRAM)
"""What a grading leaves beside its result."""


@dataclass(frozen=True)
class Submission:
    student: str
    exercise: int
    source: bytes | None
    """Of main.cpp; None if there is none."""
    problem: str = ""
    """Why there is no source; a sentence."""
    folder: str = ""
    """Below OUT: where its results go."""
    ids: dict[str, str] = field(default_factory=dict)
    """By what else the system that it came from knows the student."""

    @property
    def checksum(self) -> str:
        return "" if self.source is None else hashlib.sha256(self.source).hexdigest()


@dataclass
class Result:
    student: str
    exercise: int
    state: State
    sentence: str
    """Why it is in that state."""
    source: str = ""
    """SHA-256 of main.cpp, and of the program below."""
    binary: str = ""
    kit: str = ""
    """What the grader and the library were, see kit_version()."""
    host: str = ""
    started: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    """Item, title, result, and why: the sentence about its first failure."""
    seconds: dict[str, float] = field(default_factory=dict)
    behind: float = 0.0
    """Seconds that the machine was behind in a check, at most."""
    isolation: str = ""
    honesty: list[str] = field(default_factory=list)
    gradings: int = 0
    """How often it was graded: more than once if it was inconclusive at first."""


def read(folder: Path) -> Result | None:
    """None if there is no result there, or one of another form."""
    try:
        return Result(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")


@cache
def kit_version(exercise: int) -> str:
    """A checksum of all that a verdict depends on: checks, library, starter, build."""
    files = [*HARNESS.rglob("*.py"), *(ROOT / "common/include").rglob("*.hpp"),
             *(ROOT / "common/src").rglob("*.[ch]pp"), ROOT / "CMakeLists.txt", ROOT / ".ci/build",
             *ROOT.glob(f"exercises/ex{exercise}_*/*.cpp")]
    apart = {HARNESS / name for name in ("tests", "proof", "classroom", "learner")}
    compiler = subprocess.run([os.environ.get("CXX", "c++"), "--version"], capture_output=True)
    flags = os.environ.get("CXXFLAGS", "").encode()
    sum_of_all = hashlib.sha256(compiler.stdout + flags)
    for file in sorted(files):
        if not apart & set(file.parents):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            sum_of_all.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    return sum_of_all.hexdigest()[:16]
