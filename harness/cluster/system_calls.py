"""The system calls that a sandbox does not let a program make, since they lead out of it."""
from __future__ import annotations

import errno
import os
import socket
import tempfile

FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""Kinds of sockets that a program needs. They are of the sandbox's own network, or have a name in a
folder that it sees. By others it gets out: by AF_VSOCK a virtual machine speaks with its host
(vsock(7))."""
MOST_FAMILIES = 64
"""More than any kernel has (AF_MAX in linux/socket.h)."""
LOW_HALF = 0xFFFFFFFF
"""The kernel looks at these bits of a number that is an int; a filter sees 64."""


def filter_file() -> int:
    """A file with the filter for bubblewrap, see seccomp(2). Calls of another instruction set than
    the machine's own, as of 32-bit programs, end the program. ImportError, OSError, RuntimeError:
    there can be none here."""
    import seccomp  # not where there is no sandbox

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for family in set(range(MOST_FAMILIES)) - set(FAMILIES):
        for call in ("socket", "socketpair"):
            rules.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), call,
                           seccomp.Arg(0, seccomp.MASKED_EQ, LOW_HALF, family))
    # It opens sockets, too, and no filter sees what it is told.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "io_uring_setup")
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return os.dup(file.fileno())
