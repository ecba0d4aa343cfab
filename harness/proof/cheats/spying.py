"""Attempts to read, to reach and to run what is not the program's. Each returns what it has gained;
empty: nothing."""
from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from pathlib import Path

from harness.proof.cheats.place import SECRET, Place, contents, others

PTRACE_ATTACH, PIDFD_GETFD, IO_URING_SETUP = 16, 438, 425
SOCKET = 41 if os.uname().machine == "x86_64" else 198


def reads_the_solution(place: Place) -> bytes:
    return contents(f"{place.kit}/solutions/ex1_graceful_shutdown/main.cpp",
                    f"{place.kit}/build/bin/ex1-solution")


def reads_the_harness(place: Place) -> bytes:
    return contents(f"{place.kit}/harness/test_ex1_graceful_shutdown.py", f"{place.kit}/README.md")


def runs_the_solution(place: Place) -> str:
    done = subprocess.run([f"{place.kit}/build/bin/ex1-solution"], env={"PORT": "x"}, timeout=5,
                          stderr=subprocess.PIPE)
    return done.stderr.decode()


def reads_a_key(place: Place) -> bytes:
    return contents(f"{place.home}/.ssh/id_ed25519")


def reads_another_submission(place: Place) -> bytes:
    return contents(f"{place.home}/submissions/alice/main.cpp")


def reads_environments(place: Place) -> str:
    for pid in ("self", *others()):
        if SECRET in contents_whole(f"/proc/{pid}/environ"):
            return f"the environment of {pid}"
    return ""


def contents_whole(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def reads_memory_of_others(place: Place) -> str:
    return next((f"{pid}" for pid in others() if contents(f"/proc/{pid}/mem", f"/proc/{pid}/maps")),
                "")


def traces_others(place: Place) -> str:
    libc = ctypes.CDLL(None)
    return " ".join(str(pid) for pid in others() if libc.ptrace(PTRACE_ATTACH, pid, 0, 0) == 0)


def takes_descriptors(place: Place) -> str:
    libc = ctypes.CDLL(None)
    for pid in others():
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        for number in range(64):
            if libc.syscall(PIDFD_GETFD, handle, number, 0) >= 0:
                return f"{number} of {pid}"
    return ""


def opens_descriptors(place: Place) -> str:
    for pid in others():
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        return f"{names} of {pid}"
    return ""


def speaks_to_named_sockets(place: Place) -> str:
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        name = line.split()[-1]
        if name.startswith("@"):
            with socket.socket(socket.AF_UNIX) as one:
                try:
                    one.connect("\0" + name[1:])
                    return name
                except OSError:
                    continue
    return ""


def reaches_the_machine(place: Place) -> str:
    with socket.create_connection(("127.0.0.1", place.port), 2):
        return "a listener of the machine"


def reaches_the_network(place: Place) -> str:
    """An address that is kept for documents (RFC 5737): to send something there must fail."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return str(one.sendto(b"x", ("192.0.2.1", 9)))


def opens_other_sockets(place: Place) -> str:
    """By AF_VSOCK a virtual machine speaks with its host, by AF_ALG with the kernel."""
    usual = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    high_bits = 1 << 32  # the kernel does not look at them
    return " ".join(str(family) for family in range(64) if family not in usual
                    for number in (family, family | high_bits)
                    for kind in kinds if opens(number, kind))


def opens(family: int, kind: int) -> bool:
    number = ctypes.CDLL(None).syscall(SOCKET, ctypes.c_long(family), kind, 0)
    if number >= 0:
        os.close(number)
    return bool(number >= 0)


def opens_a_ring(place: Place) -> str:
    """By io_uring it would open sockets that no filter of system calls sees."""
    parameters = ctypes.create_string_buffer(120)
    number = ctypes.CDLL(None).syscall(IO_URING_SETUP, 4, parameters)
    return f"descriptor {number}" if number >= 0 else ""


def lists_interfaces(place: Place) -> str:
    return " ".join(name for _, name in socket.if_nameindex() if name != "lo")
