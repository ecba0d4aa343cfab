"""The program under test: the words of the command that starts it, and its environment."""
from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.system.processes import RUN_MARKER

ELF = b"\x7fELF"
RUNTIME_FOLDERS = ("ASDF_DATA_DIR", "ASDF_DIR", "CARGO_HOME", "DOTNET_ROOT", "GEM_HOME", "GEM_PATH",
                   "GOPATH", "GOROOT", "JAVA_HOME", "LD_LIBRARY_PATH", "NODE_PATH", "NVM_DIR",
                   "PERL5LIB", "PYENV_ROOT", "PYTHONPATH", "RBENV_ROOT", "RUBYLIB", "RUSTUP_HOME")
"""Variables that tell runtimes of folders."""
KEPT_VARIABLES = (
    *RUNTIME_FOLDERS, RUN_MARKER, "ASAN_OPTIONS", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE",
    "LOGNAME", "LSAN_OPTIONS", "PATH", "SHELL", "TERM", "TSAN_OPTIONS", "TZ", "UBSAN_OPTIONS",
    "USER")
"""What a program gets of its user's environment."""


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
        """What runtimes and sanitizers need of the user's environment: nothing that steers a
        cluster, no secret."""
        return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
