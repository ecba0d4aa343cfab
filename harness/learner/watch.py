"""Builds and grades an exercise whenever a file in its folder is saved.

First the item is graded that failed last; if it passes, everything is.
Usage: python3 -m harness.learner.watch N      (make ex1-watch)
A save ends the build or grading under way and begins anew. Ctrl+C ends the watch: nothing is left
running, exit code 0.
"""
from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime

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
from harness.system import processes
from harness.system.places import ROOT

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOURCES = (".cpp", ".hpp", ".h")
SETTLED = 0.05
"""Seconds without another event after which a save is complete: editors write, rename and touch."""
CLEARED = SUPERVISOR_SECONDS
"""Seconds that a grading has to clear up when it is ended."""


class Saves(FileSystemEventHandler):
    """Tells through a file descriptor that a source was saved, in whatever way an editor saves."""

    def __init__(self) -> None:
        self.ready, self._told = os.pipe()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in (EVENT_TYPE_CLOSED, EVENT_TYPE_MOVED, EVENT_TYPE_CREATED):
            path = getattr(event, "dest_path", "") or event.src_path
            name = os.path.basename(os.fsdecode(path))
            # Emacs locks a file by a link .#main.cpp
            if name.endswith(SOURCES) and not name.startswith("."):
                os.write(self._told, b".")

    def wait(self) -> None:
        """Wait for a save and until it is complete."""
        select.select([self.ready], [], [])
        while select.select([self.ready], [], [], SETTLED)[0]:
            os.read(self.ready, 4096)


def run(command: list[str], saves: Saves) -> int | None:
    """The exit code of a command; None if a save came first. No process of it is left."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    ended = os.pidfd_open(process.pid)
    try:
        select.select([ended, saves.ready], [], [])
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


def watch(number: int) -> None:
    saves, observer = Saves(), Observer()
    narrow = False  # the first time everything is to be seen
    observer.schedule(saves, str(folder_of(number)))
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
    processes.adopt_orphans()
    for number in ENDS:
        signal.signal(number, signal.default_int_handler)
    try:
        watch(int(sys.argv[1]))
    except KeyboardInterrupt:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        clear()
        print("\nended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
