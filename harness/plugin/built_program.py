"""The program that one grading is about: a private copy, so that a build meanwhile changes nothing,
and what it was made of."""
from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator

from harness.cluster.program import NoProgram, Program
from harness.system.files import text_of
from harness.system.places import ROOT

STATE = ROOT / "build/state"
"""Where `.ci/build` keeps its lock, and notes what each program was made of."""
ORIGIN = b"$ORIGIN"
"""A binary with this text may look for libraries beside itself: it stays where it is."""


@dataclass(frozen=True)
class Graded:
    """SHA-256 of what is graded; empty where it is not known."""

    source: str = ""
    """Of the file main.cpp."""
    binary: str = ""


def take(program: Program, target: str, place: Path, built_here: bool = False
         ) -> tuple[Program, Graded]:
    """A copy in that folder of a program that is one binary file; any other stays where it is.

    `target`: the kit's own program that it is, as in `ex1-solution`; empty for any other. That one
    must be made of the sources as they are now. `built_here`: it needs no files beside itself.
    """
    if not program.is_native:
        return program, Graded()
    path = place / Path(program.words[0]).name
    with no_build():
        shutil.copy2(program.words[0], path)
        path.chmod(0o755)  # another user may run it
    content = path.read_bytes()
    graded = Graded(binary=checksum(content))
    if target:
        graded = replace(graded, source=source_of(target, graded.binary))
    elif ORIGIN in content and not built_here:
        return program, graded
    return replace(program, words=[str(path), *program.words[1:]]), graded


@contextmanager
def no_build() -> Iterator[None]:
    """No build is under way in the kit's own tree meanwhile."""
    with ExitStack() as held:
        with suppress(OSError):  # without the file nothing was ever built here
            lock = held.enter_context(open(STATE / "dev.lock", "rb"))
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting: {text_of(STATE / 'dev.holder').strip()} builds", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def source_of(target: str, binary: str) -> str:
    """The checksum of the main.cpp of which that binary was made."""
    noted = {path: sum for sum, _, path in
             (line.partition("  ") for line in text_of(STATE / f"{target}.made").splitlines())}
    made_of = {path: sum for path, sum in noted.items() if path != f"build/bin/{target}"}
    now = {path: checksum((ROOT / path).read_bytes()) for path in made_of
           if (ROOT / path).is_file()}
    if noted.get(f"build/bin/{target}") != binary or made_of != now:
        number = target.partition("-")[0]
        command = f"{number}-grade" if number == target else target
        raise NoProgram(f"build/bin/{target} is not made of what was saved last: it was not built "
                        f"since, or the build has failed. Build and grade it: make {command}")
    return next((sum for path, sum in made_of.items() if path.endswith("/main.cpp")), "")


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
