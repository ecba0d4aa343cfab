"""Starts one of the kit's commands, so that no accident around it does harm: a Ctrl+C while its
modules are being loaded, a pipe that nobody reads any more, a terminal that was closed, lacks a
letter or has no width.

Usage: python3 -m harness.system.quiet_start MODULE [ARGUMENT...]
MODULE has a function main() that returns the exit code; or it is `pytest`, which takes Ctrl+C again
when harness.plugin.hooks lets it.
"""
from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
from importlib import import_module
from typing import Callable, TextIO


def main() -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    heeds_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeds_ctrl_c:  # a shell's background ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = sys.argv[1]
    sys.argv[:2] = [name]
    module = import_module(name)
    if name == "pytest":
        return int(module.console_main())  # it knows broken pipes itself
    if heeds_ctrl_c:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return unless_unread(module.main)


def unless_unread(command: Callable[[], int]) -> int:
    """Exit code 1 when nobody reads the output any more. What Python writes at its end goes
    nowhere then."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except OSError as why:
        if why.errno not in (errno.EPIPE, errno.EIO) or not unread(sys.stdout):
            raise  # something else
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def unread(stream: TextIO) -> bool:
    """Whether it is a pipe without a reader, or a terminal that was closed."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
