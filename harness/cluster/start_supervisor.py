"""Starts the run supervisor, in the sandbox if there is one."""
from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Protocol, Sequence

from harness.cluster.isolation import Isolation, sandbox
from harness.cluster.system_calls import filter_file
from harness.system.places import ROOT
from harness.system.processes import TOKEN

MODULES = ("cluster/run_supervisor", "cluster/cluster_supervisor", "system/files", "system/prctl",
           "system/processes")
"""All that a supervisor consists of. It has no part of the kit before its eyes but these."""
MAIN = """
import os, sys
from harness.cluster.run_supervisor import main
os.unlink(sys.path[0])
main()
"""
REMOVE = 'cat >/dev/null; rm -rf -- "$@"'
"""The supervisor cannot remove what it does not see in its sandbox. So that is done outside, when
nobody holds the other end of this command's standard input any more."""


class Started(Protocol):
    """Of a run: what its supervisor has to know."""

    folder: Path
    disk: Path
    clusters: Path
    programs: Path
    token: str


def start_supervisor(run: Started, asked: socket.socket, isolation: Isolation,
                     shown: Sequence[Path], remover: int) -> subprocess.Popen[bytes]:
    """`asked` is the supervisor's end of the socket over which it is asked, `remover` a descriptor
    that it holds as long as it lives."""
    archive = run.disk / "supervisor.zip"
    pack(archive)
    passed = [asked.fileno(), remover]
    # The interpreter itself, since a virtual environment is not shown.
    words = [os.path.realpath(sys.executable), "-I", "-B"]
    if isolation.bubblewrap:
        inside = "/tmp/supervisor.zip"
        passed.append(os.open(archive, os.O_RDONLY))
        passed.append(filter_file())
        words = [*sandbox([run.programs, *shown], [run.clusters], {inside: passed[2]}, passed[3]),
                 *words, inside, str(asked.fileno()), str(run.clusters)]
    else:
        words += [str(archive), str(asked.fileno()), str(run.folder), str(run.disk)]
    # The token is not in the arguments: these can be read by every user.
    environment = {"PATH": os.environ.get("PATH", os.defpath), TOKEN: run.token}
    try:
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                start_new_session=True, env=environment, pass_fds=passed)
    finally:
        for descriptor in passed[2:]:
            os.close(descriptor)


def start_remover(*folders: Path) -> subprocess.Popen[bytes]:
    """A process that removes the folders when nobody holds the other end of its standard input any
    more."""
    return subprocess.Popen(["sh", "-c", REMOVE, "sh", *map(str, folders)], stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True)


def pack(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__main__.py", MAIN)
        for package in ("harness", "harness/cluster", "harness/system"):
            file.writestr(f"{package}/__init__.py", "")
        for module in MODULES:
            file.write(ROOT / f"harness/{module}.py", f"harness/{module}.py")
