"""Attempts to change, to end and to use up what is not the program's. Each returns what it has
gained; empty: nothing."""
from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

from harness.proof.cheats.place import MIB, Place, others, write_to

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000


def kills_others(place: Place) -> str:
    return signals(signal.SIGKILL)


def stops_others(place: Place) -> str:
    return signals(signal.SIGSTOP)


def signals(number: int) -> str:
    reached = []
    for pid in others():
        try:
            os.kill(pid, number)
            reached.append(str(pid))
        except OSError:
            continue
    reached = [pid for pid in reached if pid != "1"]  # the first process of a sandbox ignores it
    return " ".join(reached)


def limits_others(place: Place) -> str:
    """A limit of one second of processor time would kill a process later."""
    reached = []
    for pid in others():
        try:
            resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1))
            reached.append(str(pid))
        except OSError:
            continue
    return " ".join(reached)


def writes_into_the_kit(place: Place) -> str:
    return write_to(f"{place.kit}/harness/conftest.py", f"{place.kit}/build/state/ex1.made",
                    f"{place.kit}/build/progress.json", f"{place.kit}/Makefile")


def poisons_bytecode(place: Place) -> str:
    folders = [f"{place.kit}/build/pycache", "/usr/lib/python3/dist-packages",
               "/usr/lib/python3.11"]
    return write_to(*(f"{folder}/h11.py" for folder in folders))


def puts_modules_beside_itself(place: Place) -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    return write_to(*(f"{here}/{name}" for name in ("conftest.py", "h11.py", "json.py")))


def rewrites_results(place: Place) -> str:
    """The results of the checks lie beside the folders of the clusters."""
    run = Path(os.environ["JOURNAL"]).parents[2]
    found = [path for path in run.rglob("*") if path.is_file() and "clusters" not in path.parts]
    return write_to(*map(str, found))


def mounts_something(place: Place) -> str:
    libc = ctypes.CDLL(None)
    return "mounted" if libc.mount(b"none", b"/usr", b"tmpfs", 0, None) == 0 else ""


def becomes_root(place: Place) -> str:
    for call in (os.setuid, os.seteuid):
        try:
            call(0)
            return "user 0" if os.stat("/proc/self").st_uid == 0 and os.listdir("/root") else ""
        except OSError:
            continue
    done = subprocess.run(["su", "-c", "id -u"], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=5)
    return done.stdout.decode()


def changes_the_kernel(place: Place) -> str:
    return write_to("/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory",
                    "/proc/sysrq-trigger", "/sys/devices/system/cpu/cpu1/online")


def fills_memory_file_systems(place: Place) -> str:
    written = 0
    for folder in ("/tmp", "/dev/shm", "/", "/dev", "/var/tmp", "/run"):
        try:
            with open(f"{folder}/big", "wb", buffering=0) as file:
                while written < 1024 * MIB:
                    written += file.write(bytes(4 * MIB))
        except OSError:
            continue
    return f"{written // MIB} MiB" if written > 256 * MIB else ""


def outlives_the_grading(place: Place) -> str:
    """A daemon in a session of its own, without the grading's mark. Whether it is gone afterwards
    is looked at from outside."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(3):
                os.dup2(os.open("/dev/null", os.O_RDWR), number)
            os.execve("/bin/sleep", ["sleep", "86399"], {"PATH": "/bin"})
        os._exit(0)
    return ""


def leaves_by_a_namespace(place: Place) -> str:
    if os.fork() == 0:
        os.setsid()
        ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNS)
        if os.fork() == 0:
            os.execve("/bin/sleep", ["sleep", "86399"], {"PATH": "/bin"})
        os._exit(0)
    return ""


def writes_escape_sequences(place: Place) -> str:
    """The title of the terminal, a clear screen, an 8-bit control, HTML; and then it dies."""
    os.write(1, b"\x1b]0;gained\x07\x1b[2J\x9b31m\xc2\x9b31m<script>alert(1)</script>\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def makes_a_pipe_of_the_journal(place: Place) -> str:
    """Who reads it waits without end."""
    journal = os.environ["JOURNAL"]
    os.unlink(journal)
    os.mkfifo(journal)
    return ""


def makes_a_link_of_the_journal(place: Place) -> str:
    """Who reads the journal reads a key, who removes the folder a home."""
    journal = Path(os.environ["JOURNAL"])
    journal.unlink()
    journal.symlink_to(f"{place.home}/.ssh/id_ed25519")
    link = Path(os.environ["TMPDIR"]) / "home"
    link.symlink_to(place.home)
    return ""


def moves_its_folders(place: Place) -> str:
    """The folder that will be removed is another one then."""
    folder = Path(os.environ["JOURNAL"]).parent
    os.rename(folder / "tmp", folder / "moved")
    (folder / "tmp").symlink_to(place.home)
    return ""


def fills_memory_without_a_name(place: Place) -> str:
    """Memory files: no process has them in its resident set."""
    for number in range(10):
        handle = os.memfd_create(f"file{number}")
        for _ in range(25):
            os.write(handle, bytes(4 * MIB))
        time.sleep(0.1)
    return ""


def removes_files_that_are_open(place: Place) -> str:
    """What it has written has no name, and takes room all the same."""
    for number in range(10):
        path = Path(os.environ["TMPDIR"]) / f"file{number}"
        handle = os.open(path, os.O_CREAT | os.O_RDWR)
        path.unlink()
        for _ in range(25):
            os.write(handle, bytes(4 * MIB))
        time.sleep(0.1)
    return ""


def writes_a_journal_with_a_hole(place: Place) -> str:
    """Who reads it reads two gigabytes."""
    with open(os.environ["JOURNAL"], "ab") as journal:
        journal.truncate(2000 * MIB)
    time.sleep(0.3)
    return ""


def limits_the_first_process(place: Place) -> str:
    """The kernel kills who has used up his processor time, the first process of a sandbox, too."""
    resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))
    time.sleep(1)
    return ""


def locks_memory(place: Place) -> str:
    """Memory that the kernel may not swap out."""
    block = mmap.mmap(-1, 512 * MIB)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    return "512 MiB" if ctypes.CDLL(None).mlock(ctypes.c_void_p(address), 512 * MIB) == 0 else ""
