"""The program's file on the disk, which new workers run."""
from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from harness.cluster.fixture import Fixture
from harness.cluster.program import Program
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes


def copy_if_native(fixture: Fixture) -> tuple[Program, Path | None]:
    """The program started from a copy of its own file, and that copy.

    A script is not copied: nobody can tell from outside which file was read.
    """
    words = fixture.program.words
    if not fixture.program.is_native:
        return fixture.program, None
    folder = fixture.run.programs / f"copy-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    path = folder / Path(words[0]).name
    shutil.copy2(words[0], path)
    return replace(fixture.program, words=[str(path), *words[1:]]), path


def exchange(path: Path | None) -> None:
    """Put another file with the same content in its place, as an installation does."""
    if path is not None:
        fresh = path.with_suffix(".new")
        shutil.copy2(path, fresh)
        fresh.rename(path)


def expect_running(new: dict[int, int], path: Path | None) -> None:
    """Every process (slot → pid) runs the file that lies there now."""
    if path is None:
        return
    wanted = path.stat().st_ino
    for slot, pid in new.items():
        image = f"{processes.folder(pid)}/exe"
        try:
            seen = os.stat(image).st_ino
        except OSError as why:
            raise Inconclusive(f"{image} cannot be read: {why}") from None
        if seen != wanted:
            raise CheckFailed(f"the new worker {slot} (pid {pid}) runs {os.readlink(image)}, not "
                              f"the file that lies at {path.name} now",
                              expected="workers are started from the file on disk")
