"""The folder of a running program: its working directory, its TMPDIR and its journal.

The program may do with them what it likes, also put links in their places. So whoever looks at them
goes by a descriptor of the folder, and follows no link.
"""
from __future__ import annotations

import os
from pathlib import Path

from harness.system.files import remove


class ProgramFolder:
    def __init__(self, path: Path, user: int | None) -> None:
        """`user`: whom what lies in the folder is to belong to; None: this process's. The folder
        itself stays this process's: so nothing can be exchanged before it is given away."""
        self.path = path
        path.mkdir(mode=0o755)
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self.own = Path(f"/proc/self/fd/{self._handle}")
        """The folder for this process, whatever the program has put at its path."""
        self.cwd, self.tmp, self.journal = (self.own / name for name in
                                            ("cwd", "tmp", "journal.jsonl"))
        for folder in (self.cwd, self.tmp):
            folder.mkdir(mode=0o755)
        if user is not None:
            os.close(os.open(self.journal, os.O_CREAT | os.O_EXCL, 0o644))
            for one in (self.cwd, self.tmp, self.journal):
                os.chown(one, user, user, follow_symlinks=False)

    def remove(self) -> None:
        os.close(self._handle)
        remove(self.path)
