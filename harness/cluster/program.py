"""The program under test: which words start it, and with which environment."""
from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.judging.exercise import Exercise

COMMON_VARIABLES = ("HOST", "PORT", "WORKERS", "JOURNAL", "SHUTDOWN_TIMEOUT_MS")


class NoProgram(Exception):
    """There is nothing to grade; the text says what to do."""


@dataclass(frozen=True)
class Program:
    words: list[str]
    shown: str

    @staticmethod
    def find(command: str, root: Path, advice: str) -> Program:
        """Take a command line apart. Words that name a file from here are made absolute, since clusters run elsewhere;
        links stay: some programs go by the name by which they are called."""
        try:
            words = shlex.split(command)
        except ValueError as why:
            raise NoProgram(f"--program {command!r} cannot be read as a command line: {why}") from None
        if not words:
            raise NoProgram("--program is empty")
        absolute = [str(root / word) if not word.startswith("-") and (root / word).exists() and "/" in word
                    or (index > 0 and (root / word).is_file()) else word for index, word in enumerate(words)]
        first = shutil.which(absolute[0])
        if first is None:
            raise NoProgram(f"there is no program {words[0]}. {advice}")
        return Program([os.path.abspath(first), *absolute[1:]], command)

    @staticmethod
    def environment(exercise: Exercise) -> dict[str, str]:
        """The user's own environment without what steers a cluster or belongs to the harness."""
        drop = {*COMMON_VARIABLES, *exercise.variables}
        return {name: value for name, value in os.environ.items()
                if name not in drop and not name.endswith("_MS") and not name.startswith("PYTEST")}
