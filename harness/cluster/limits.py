"""The limits of a program while it is graded. Each figure is far above the needs of a right program
in any language.

A program that goes beyond a limit is ended, and the check fails: other programs, the harness and
the machine must not suffer from it.
"""
from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from harness.system import memory, processes

MIB = 1024 * 1024
MOST_PROCESSES = 500
"""Processes of one cluster at once. The contract allows 64 workers; a runtime that adds some
helpers to each stays far below."""
MOST_THREADS = 4096
"""Threads of all its processes."""
MOST_MEMORY = 2048 * MIB
"""Bytes of memory that all its processes have for themselves. 64 workers of a runtime that needs
30 MiB each stay below."""
MOST_HIDDEN = 512 * MIB
"""Bytes in files that have no name."""
MOST_SOCKETS = 5_000
"""Sockets of all its processes. A check opens at most 1,000 connections and some, and a program may
need three sockets for each. (A sandbox has one network, and 28,232 ports for those who ask for any.
Who takes them all only harms the other checks of his own grading.)"""
OPEN_SECONDS = 0.5
"""Seconds between two looks at what is open: a program may have thousands of descriptors."""
MOST_OUTPUT = 512 * MIB
"""Bytes on standard output and error in one check. Four lines for each of 1,000 requests a second
are 12 MiB in half a minute."""
MOST_BYTES = 128 * MIB
"""Bytes in the cluster's folder: its working directory, its TMPDIR and its journal, which needs
about 1 KiB a request."""
MOST_FILES = 10_000
"""Files in the same folder. The contract wants none but the journal."""
SIDE_BY_SIDE = 8
"""Checks that run at once (see pytest.ini)."""
MOST_TASKS = SIDE_BY_SIDE * MOST_THREADS
"""Threads of a user who runs nothing but the clusters of one grading. The kernel gives no more, so
that between two looks a program cannot start as many as it likes."""
ENOUGH_ROOM = SIDE_BY_SIDE * MOST_BYTES
"""Bytes that must be free where clusters write, so that a program reaches its own limit before the
disk is full."""
NEARLY_FULL = MIB
"""Free bytes on the disk below which nothing that is written there can be relied upon."""


def too_many_processes(count: int) -> str:
    if count <= MOST_PROCESSES:
        return ""
    return f"the program had {count} processes at once; it was ended at {MOST_PROCESSES}"


def too_many_threads(pids: list[int]) -> str:
    count = sum(len(processes.threads(pid)) for pid in pids)
    if count <= MOST_THREADS:
        return ""
    return f"the program had {count} threads at once; it was ended at {MOST_THREADS}"


def too_much_memory(pids: list[int]) -> str:
    if sum(map(memory.memory, pids)) <= MOST_MEMORY:
        return ""
    size = sum(map(memory.memory_share, pids))
    if size <= MOST_MEMORY:
        return ""
    return f"the program took {size // MIB} MiB of memory; it was ended at {MOST_MEMORY // MIB} MiB"


def too_much_open(pids: list[int]) -> str:
    """Sockets, and files without a name: they were removed, or never had one (memfd_create(2))."""
    hidden: dict[tuple[int, int], int] = {}
    sockets: set[int] = set()
    for pid in pids:
        for file in memory.open_files(pid):
            if stat.S_ISREG(file.st_mode) and file.st_nlink == 0:
                hidden[file.st_dev, file.st_ino] = file.st_blocks * 512
            elif stat.S_ISSOCK(file.st_mode):
                sockets.add(file.st_ino)
    size = sum(hidden.values())
    if size > MOST_HIDDEN:
        return (f"the program has {size // MIB} MiB in files without a name; it was ended at "
                f"{MOST_HIDDEN // MIB} MiB")
    if len(sockets) > MOST_SOCKETS:
        return f"the program had {len(sockets)} sockets at once; it was ended at {MOST_SOCKETS}"
    return ""


def too_much_output(count: int) -> str:
    if count <= MOST_OUTPUT:
        return ""
    return (f"the program wrote {count // MIB} MiB to its output; "
            f"it was ended at {MOST_OUTPUT // MIB} MiB")


def too_much_stored(folder: Path) -> str:
    count, size = usage(folder)
    with suppress(OSError):  # a journal with holes takes no room, but it is read
        size = max(size, os.lstat(folder / "journal.jsonl").st_size)
    if size > MOST_BYTES:
        return (f"the program wrote {size // MIB} MiB into its TMPDIR, working directory and "
                f"journal; it was ended at {MOST_BYTES // MIB} MiB")
    if count > MOST_FILES:
        return f"the program made more than {MOST_FILES} files; it was ended then"
    return ""


def usage(folder: Path) -> tuple[int, int]:
    """The number of files below the folder and the bytes that they take on the disk. The count
    stops beyond MOST_FILES."""
    count, size = 0, 0
    folders = [str(folder)]
    while folders and count <= MOST_FILES:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if count > MOST_FILES:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError as why:
            if why.errno == errno.ENAMETOOLONG:  # it is nested so deep that it cannot be counted
                return MOST_FILES + 1, size
    return count, size


def largest_file(folder: Path) -> int:
    """RLIMIT_FSIZE of a program, in bytes: no single file can fill the disk between two looks.
    (Some runtimes map a sparse file as large as their heap, so it may not be small.)"""
    return max(free_bytes(folder) // 2, MOST_BYTES)


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def nearly_full(folder: Path) -> bool:
    found = os.statvfs(folder)
    too_few_files = 0 < found.f_files and found.f_favail < 16
    return found.f_bavail * found.f_frsize < NEARLY_FULL or too_few_files
