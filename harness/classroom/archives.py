"""Archives of submissions. They are strangers' files: a process of its own reads them, with limits
on its memory and time, and only the sources come back."""
from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.classroom.sources import Files, Student, Unreadable, unpacked
from harness.system.places import ROOT

SECONDS, MOST_MEMORY = 30, 512 * 1024 * 1024
"""For the archive of a student."""
CLASS_SECONDS, CLASS_MEMORY = 600, 4 * 1024 * 1024 * 1024
"""For the export of a class."""
MOST_WRITTEN = 256 * 1024 * 1024


def open_any(path: Path) -> Files:
    """The sources in a student's archive. Raises Unreadable."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Unreadable(f"{path.name} is no plain file")
    ((_, _, files),) = read_apart("student", path, SECONDS, MOST_MEMORY)
    if isinstance(files, str):
        raise Unreadable(files)
    return files


def exported(path: Path) -> list[Student]:
    """The students in the export of a class. Raises Unreadable."""
    found = read_apart("class", path, CLASS_SECONDS, CLASS_MEMORY)
    if len(found) == 1 and not found[0][0]:
        raise Unreadable(str(found[0][2]))
    return found


def read_apart(kind: str, path: Path, seconds: int, memory: int) -> list[Student]:
    words = [sys.executable, "-P", "-m", "harness.classroom.read_archive", kind,
             str(path.absolute())]

    def limit() -> None:
        for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds),
                           (resource.RLIMIT_FSIZE, MOST_WRITTEN), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(what, (most, most))

    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=limit,
            env={**os.environ, "TMPDIR": folder, "PYTHONPATH": str(ROOT)}) as reader:
        try:
            said = reader.communicate(timeout=2 * seconds)[0]
            found = json.loads(said)
        except (subprocess.TimeoutExpired, ValueError):
            raise Unreadable(f"{path.name} cannot be read: it is damaged, or takes too much memory "
                             "or time") from None
        finally:
            try:
                os.killpg(reader.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return [(name, ids, unpacked(files)) for name, ids, files in found]
