"""A small process of its own that clears up behind a run, also when the run was killed.

Usage: guardian.py TOKEN FOLDER [FOLDER...]. It waits for end of file on its standard input, whose other end only the run holds.
Then it kills every process that bears the run's token in its environment, lives in a session that the run noted in
the first FOLDER's `sessions`, or descends from one of those; and it removes the folders.
"""
from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def belongings(folder: Path, token: str) -> set[int]:
    from grading.processes import RUN_MARKER, descendants, in_session, marked
    found = set(marked(RUN_MARKER, token))
    try:
        sessions = [int(name) for name in os.listdir(folder / "sessions")]
    except OSError:
        sessions = []
    for session in sessions:
        found.update(in_session(session))
    for pid in list(found):
        found.update(descendants(pid))
    return found - {os.getpid()}


def clear(token: str, folders: list[Path]) -> None:
    from grading.processes import alive
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [pid for pid in belongings(folders[0], token) if alive(pid)]
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.02)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    token, folders = sys.argv[1], [Path(name) for name in sys.argv[2:]]
    while os.read(0, 4096):
        pass
    clear(token, folders)


if __name__ == "__main__":
    main()
