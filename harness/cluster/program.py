"""The program under test: the words of the command that starts it, and its environment."""
from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.system.processes import RUN_MARKER

ELF = b"\x7fELF"
KEPT_VARIABLES = (RUN_MARKER, "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TZ",
                  "USER")
KEPT_ENDINGS = ("_HOME", "_OPTIONS", "_OPTS", "_PATH", "_ROOT")
"""For instance LD_LIBRARY_PATH, ASAN_OPTIONS, JAVA_HOME, DOTNET_ROOT."""


class NoProgram(Exception):
    """There is nothing to grade; the text says what to do."""


@dataclass(frozen=True)
class Program:
    words: list[str]
    command: str
    """The command line as the user gave it."""

    @property
    def is_native(self) -> bool:
        """Whether it is a program of its own, given by its path, not a script."""
        with open(self.words[0], "rb") as file:
            return file.read(4) == ELF and len(self.words) == 1

    @staticmethod
    def find(command: str, root: Path, advice: str) -> Program:
        """Split a command line. Words that name a file below `root` are made absolute, since
        clusters run elsewhere. Links are not resolved: some programs go by the name by which they
        are called."""
        try:
            words = shlex.split(command)
        except ValueError as why:
            unread = f"--program {command!r} cannot be read as a command line"
            raise NoProgram(f"{unread}: {why}") from None
        if not words:
            raise NoProgram("--program is empty")
        absolute = [str(root / word) if not word.startswith("-") and (root / word).exists()
                    and "/" in word or (index > 0 and (root / word).is_file()) else word
                    for index, word in enumerate(words)]
        first = shutil.which(absolute[0])
        if first is None and os.path.isfile(absolute[0]):
            raise NoProgram(f"{words[0]} may not be run: chmod +x {shlex.quote(words[0])}")
        if first is None:
            raise NoProgram(f"there is no program {words[0]}. {advice}")
        return Program([os.path.abspath(first), *absolute[1:]], command)

    @staticmethod
    def environment() -> dict[str, str]:
        """What of the user's environment a program gets: what runtimes and sanitizers need, nothing
        that steers a cluster, no secret."""
        return {name: value for name, value in os.environ.items()
                if name in KEPT_VARIABLES or name.endswith(KEPT_ENDINGS)
                or name.startswith("LC_")}
