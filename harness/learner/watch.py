"""Builds and grades an exercise whenever a file in its folder is saved.

First the item is graded that failed last; if it passes, everything is.
Usage: python3 -m harness.learner.watch N      (make ex1-watch)
A save ends the build or grading under way and begins anew. Ctrl+C ends the watch: nothing is left
running, exit code 0.
"""
from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_CLOSED, EVENT_TYPE_CREATED, EVENT_TYPE_MOVED, FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from harness.cluster.run import SUPERVISOR_SECONDS
from harness.judging.checklist import COMMON
from harness.judging.exit_code import FAIL_EXIT
from harness.learner import progress
from harness.learner.commands import folder_of, name_of
from harness.system import prctl, processes
from harness.system.places import ROOT

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOURCES = (".cpp", ".hpp", ".h")
LOOKS_EVERY = 0.5
"""Seconds between two looks at the sources."""
SETTLED = 0.05
"""Seconds without another event after which a save is complete: editors write, rename and touch."""
CLEARED = SUPERVISOR_SECONDS
"""Seconds that a grading has to clear up when it is ended."""


class End:
    """A signal that ends the watch raises KeyboardInterrupt, and is remembered: the interpreter
    loses an exception that comes while it runs a destructor or a callback."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: object) -> None:
        if not self.asked:
            self.asked = True
            raise KeyboardInterrupt


class Saves(FileSystemEventHandler):
    """Tells that a source in the folder was saved, in whatever way an editor saves. The system
    tells of it at once; a look now and then finds what it does not tell: a folder that was
    replaced, or a file behind a link."""

    def __init__(self, folder: Path, end: End) -> None:
        self.folder, self.end = folder, end
        self._ready, self._told = os.pipe()
        self._known = self._contents()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in (EVENT_TYPE_CLOSED, EVENT_TYPE_MOVED, EVENT_TYPE_CREATED):
            path = getattr(event, "dest_path", "") or event.src_path
            name = os.path.basename(os.fsdecode(path))
            # Emacs locks a file by a link .#main.cpp
            if name.endswith(SOURCES) and not name.startswith("."):
                os.write(self._told, b".")

    def _contents(self) -> dict[str, str]:
        """Source → the checksum of its content."""
        found = {}
        for path in sorted(self.folder.glob("*")):
            if path.name.endswith(SOURCES) and not path.name.startswith("."):
                with suppress(OSError):
                    found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def come(self, *others: int) -> bool:
        """Wait for a save, or until one of the other file descriptors can be read; true: a save.
        KeyboardInterrupt: the watch is to end."""
        while True:
            if self.end.asked:
                raise KeyboardInterrupt
            readable = select.select([self._ready, *others], [], [], LOOKS_EVERY)[0]
            if self._ready in readable or self._contents() not in (self._known, {}):
                return True
            if readable:
                return False

    def wait(self) -> None:
        """Wait for a save and until it is complete."""
        self.come()
        while select.select([self._ready], [], [], SETTLED)[0]:
            os.read(self._ready, 4096)
        self._known = self._contents()


def run(command: list[str], saves: Saves) -> int | None:
    """The exit code of a command; None if a save came first. No process of it is left."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    ended = os.pidfd_open(process.pid)
    try:
        saves.come(ended)
        return process.poll()
    finally:
        os.close(ended)
        clear()


def clear() -> None:
    """End every process that was started here. This process has adopted the orphans among them."""
    for pid in processes.children(os.getpid()):
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), signal.SIGTERM)
    deadline = time.monotonic() + CLEARED
    while left := processes.children(os.getpid()):
        for pid in left:
            if time.monotonic() > deadline:
                processes.kill(pid)
            processes.reap(pid)
        time.sleep(0.01)
    if sys.stdout.isatty():
        print("\x1b[?25h", end="", flush=True)  # shows the cursor, which a live checklist hides


def grade(number: int, saves: Saves, narrow: bool) -> bool:
    """Build, then grade; with `narrow`, first the item that failed last. False if a save came."""
    built = run([".ci/build", "dev", f"ex{number}"], saves)
    if built is None:
        return False
    if built != 0:
        print(f"\nex{number} was not built: the first error above is the one to mend", flush=True)
        return True
    whole = [sys.executable, "-m", "pytest", f"harness/test_{folder_of(number).name}.py"]
    failed = progress.of(number).failed
    # the common ground alone takes as long as everything
    if narrow and failed and failed[0].item != COMMON:
        item = name_of(failed[0].item)
        print(f"\nfirst {item}, which failed last; if it passes, everything", flush=True)
        code = run([*whole, "-k", failed[0].check.partition("::")[0]], saves)
        if code == FAIL_EXIT:
            print(f"the rest is graded when {item} passes; everything now: make ex{number}-grade",
                  flush=True)
        if code in (None, FAIL_EXIT):
            return code is not None
    return run(whole, saves) is not None


def watch(number: int, end: End) -> None:
    saves, observer = Saves(folder_of(number), end), Observer()
    narrow = False  # the first time everything is to be seen
    observer.schedule(saves, str(saves.folder))
    try:
        observer.start()
    except OSError as why:
        sys.exit(f"error: the system does not tell of saves: {why}")
    try:
        while True:
            print(f"\n{datetime.now():%H:%M:%S} building and grading ex{number}", flush=True)
            if grade(number, saves, narrow):
                print(f"waiting for a save in {folder_of(number).relative_to(ROOT)}/; "
                      "Ctrl+C ends this", flush=True)
            narrow = True
            saves.wait()
    finally:
        observer.stop()
        observer.join()


def main() -> int:
    prctl.adopt_orphans()
    end = End()
    try:
        for number in ENDS:
            signal.signal(number, end)
        watch(int(sys.argv[1]), end)
    except KeyboardInterrupt:
        clear()
        print("\nended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
