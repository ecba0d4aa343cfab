"""How a program that is graded is kept from everything but itself.

- A sandbox by bubblewrap: the program sees the system and its own folders, but neither the kit nor
  anybody's home; no process but those of its grading; a network that has only the loopback, and
  no sockets that lead past it.
- Another user, where the grader is root: the program can neither signal nor trace the grader.

The network is the grader's, too, so that it can speak with the program: see enter_network().
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import random
import re
import shlex
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Mapping, Sequence

from harness.cluster.program import RUNTIME_FOLDERS, NoProgram
from harness.cluster.system_calls import filter_file
from harness.system import processes
from harness.system.places import ROOT

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt",
          "/nix/store", "/sys/devices/system/cpu")
"""What a program sees of the machine, as far as it is there. /opt and /nix/store have runtimes."""
USERS = range(61184, 65520)
"""User numbers that systemd keeps for services without a fixed user (DynamicUser): no account has
one of them."""
MOST_IN_MEMORY = 64 * 1024 * 1024
"""Bytes that the program may write into its /tmp, and as many into its /dev/shm."""
CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_DAC_OVERRIDE", "CAP_FOWNER")
"""What the supervisors need, where they are root, to start programs as another user, to end them,
and to remove their files."""
TRY_SECONDS = 10


@dataclass(frozen=True)
class Isolation:
    bubblewrap: bool = False
    user: int | None = None
    """The number of the program's user and of its group; None: the grader's own."""
    lacking: str = ""
    """Why there is no sandbox."""

    def __str__(self) -> str:
        """As the program ran."""
        other = self.user is not None
        if self.bubblewrap:
            return "in a sandbox (bubblewrap)" + ", as another user" * other
        return f"{'as another user, but in no sandbox' if other else 'none'}: {self.lacking}"


def choose(wanted: bool) -> Isolation:
    """The best isolation that this machine allows. To be called early in the leading process, while
    it has one thread: the network is left here."""
    if not wanted:
        return Isolation(lacking="--no-isolation was given")
    user = free_user() if os.geteuid() == 0 else None
    if user is not None and not allowed(partial(try_user, user)):
        user = None
    if not allowed(enter_network):
        return Isolation(user=user, lacking="this machine does not allow a network of its own")
    enter_network()
    if shutil.which("bwrap") is None:
        return Isolation(user=user, lacking="there is no bubblewrap (as root: apt-get install "
                                            "bubblewrap)")
    try:
        forbidden = filter_file()
    except (ImportError, OSError, RuntimeError) as why:
        return Isolation(user=user, lacking=f"system calls cannot be filtered ({why}; as root: "
                                            "apt-get install python3-seccomp)")
    try:
        tried = subprocess.run([*sandbox([], [], {}, forbidden), "true"], capture_output=True,
                               text=True, timeout=TRY_SECONDS, pass_fds=[forbidden])
    except (OSError, subprocess.TimeoutExpired) as why:
        return Isolation(user=user, lacking=f"this machine does not allow it ({why})")
    finally:
        os.close(forbidden)
    if tried.returncode != 0:
        said = " ".join(tried.stderr.split())
        return Isolation(user=user, lacking=f"this machine does not allow it ({said})")
    return Isolation(True, user)


def allowed(action: Callable[[], None]) -> bool:
    """Whether it can be done; it is tried in a process of its own, so that nothing is left half
    done."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(BaseException):
            action()
            code = 0
        os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def try_user(user: int) -> None:
    """What is done when a program is started as another user. Raises OSError."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, user, user)
        subprocess.run(["true"], user=user, group=user, extra_groups=(), check=True)


def free_user() -> int:
    """A user number of which no process runs."""
    used = set()
    for pid in processes.everyone():
        try:
            used.add(os.stat(f"/proc/{pid}").st_uid)
        except OSError:
            continue
    return random.choice([user for user in USERS if user not in used])


def enter_network() -> None:
    """Leave this machine's network for one that has only the loopback. Processes that are started
    from now on are there, too."""
    user, group = os.geteuid(), os.getegid()
    kinds = CLONE_NEWNET if user == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if ctypes.CDLL(None, use_errno=True).unshare(kinds) != 0:
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    if user != 0:  # the same user as before, see user_namespaces(7)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as any_socket:  # see netdevice(7)
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def sandbox(shown: Sequence[Path], writable: Sequence[Path],
            copied: Mapping[str, int], forbidden: int) -> list[str]:
    """The first words of a command line that is to run in a sandbox, where its process has the
    number 1. It sees the files and folders in `shown`, and may change those in `writable`.
    `copied`: files that it has for itself, by descriptors of their contents. `forbidden`: a
    descriptor of what system_calls.filter_file() made."""
    words = ["bwrap", "--die-with-parent", "--as-pid-1", "--unshare-pid", "--unshare-ipc",
             "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    if os.geteuid() == 0:
        words += ["--cap-drop", "ALL"]
        words += [word for name in CAPABILITIES for word in ("--cap-add", name)]
    for place in SYSTEM:
        words += [*ways_to(Path(place)), "--ro-bind-try", place, place]
    if under_system(ROOT):
        words += ["--tmpfs", str(ROOT)]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(MOST_IN_MEMORY), "--tmpfs", place]
    for option, paths in (("--ro-bind", shown), ("--bind", writable)):
        for path in paths:
            words += [*ways_to(path), option, str(path), str(path)]
    for place, content in copied.items():
        words += ["--file", str(content), place]
    for place in ("/dev", "/", *[str(ROOT)] * under_system(ROOT)):
        words += ["--remount-ro", place]
    return [*words, "--seccomp", str(forbidden), "--chdir", "/", "--"]


def ways_to(path: Path) -> list[str]:
    """The folders above it, which every user may pass."""
    return [word for folder in reversed(path.parents[:-1])
            for word in ("--perms", "0755", "--dir", str(folder))]


def under_system(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in SYSTEM)


def needed_by(words: list[str]) -> list[Path]:
    """The files and folders that a command line wants to see: the folders of the files that it
    names, and those of its runtime."""
    found: dict[Path, None] = {}
    runtime, *rest = [words[0], *interpreter_of(words[0]), *words[1:]]
    named = [part for word in rest for part in re.split("[:=,]", word)]
    folders = [os.environ[name] for name in RUNTIME_FOLDERS if name in os.environ]
    places = [runtime, *interpreter_of(runtime), *named, *":".join(folders).split(":")]
    for index, word in enumerate([*places, sys.base_prefix]):  # the last is the supervisors' own
        if not word:
            continue  # its real path would be the folder where the grading was started
        for path in dict.fromkeys((Path(word), Path(os.path.realpath(word)))):
            if path.is_absolute() and os.path.exists(path) and (
                    not under_system(path) or path.is_relative_to(ROOT)):
                found.update(dict.fromkeys(shown_for(path, runtime=index < 2)))
    return list(found)


def interpreter_of(file: str) -> list[str]:
    """The program that the first line of a script names."""
    try:
        with open(file, "rb") as script:
            words = os.fsdecode(script.readline(256)).split()
    except OSError:
        return []
    if not words or not words[0].startswith("#!"):
        return []
    name = words[0][2:] or (words[1:] or [""])[0]
    if name.endswith("/env"):
        name = next((word for word in words[1:] if not word.startswith("-")), "")
    return [found] if (found := shutil.which(name)) else []


def refuse_unreadable(words: list[str]) -> None:
    """NoProgram: another user, as which programs are run, could not read the files that the command
    names."""
    named = [path for word in words for path in (Path(word), Path(word).parent)
             if path.is_absolute() and os.path.exists(path) and not under_system(path)]
    shown = set(needed_by(words))
    for path in named:
        mode = path.stat().st_mode
        readable = mode & stat.S_IROTH and (mode & stat.S_IXOTH or not path.is_dir())
        if path in shown and not readable:
            name = shlex.quote(str(path))
            raise NoProgram(f"programs run as another user here, who may not read {name}. Allow it "
                            f"with `chmod -R o+rX {name}`, or grade with --no-isolation")


def shown_for(path: Path, runtime: bool) -> list[Path]:
    """The folder of a file, if it has nothing to hide; else the file alone. A folder that has
    something to hide is not shown."""
    folder = path if path.is_dir() else path.parent
    if runtime and folder.name in ("bin", "shims") and not hides(folder.parent):
        folder = folder.parent
    if not hides(folder):
        return [folder]
    return [] if path.is_dir() else [path]


def hides(folder: Path) -> bool:
    """Whether others than the program have something in the folder: homes, temporary files, the
    kit's solutions and what was built."""
    homes = (Path.home(), *(Path(user.pw_dir) for user in pwd.getpwall() if user.pw_uid >= 1000))
    private = (ROOT, *homes, Path("/tmp"), Path("/dev/shm"), *map(Path, SYSTEM))
    return (any(place.is_relative_to(folder) for place in private)
            or any(folder.is_relative_to(ROOT / name) for name in ("build", "solutions")))
