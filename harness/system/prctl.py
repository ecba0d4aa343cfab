"""What a process asks of the kernel for itself, see prctl(2)."""
from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
KEYCTL, KEYCTL_JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1
"""The number of the system call, by machine."""


def adopt_orphans() -> None:
    """From now on a process whose parent dies becomes a child of this one, not of init."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def shut_out_others() -> None:
    """From now on no other process of the same user may trace this one or take its descriptors."""
    prctl(PR_SET_DUMPABLE, 0)


def forgo_privileges() -> None:
    """From now on no program that is executed gets more rights than this process has."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def leave_keyring() -> None:
    """From now on this process and its children have an empty session keyring, see keyctl(2)."""
    number = KEYCTL.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)


def end_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """From now on the kernel sends this process a signal when its parent dies. If the parent has
    died already, the process ends at once."""
    prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(1)


def prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")
