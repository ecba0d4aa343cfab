"""One run of the harness: its folder for temporary files, its token, its run supervisor, and what
its processes share: results, and how long the program takes to start."""
from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from harness.cluster.limits import ENOUGH_ROOM, free_bytes
from harness.judging.verdict import Result
from harness.system.files import remove, write_whole
from harness.system.places import ROOT
from harness.system.processes import RUN_MARKER, TOKEN

SUPERVISOR_SECONDS = 20.0
FOLDER, DISK = "CLUSTER_HARNESS_FOLDER", "CLUSTER_HARNESS_DISK"
ASKING = "CLUSTER_HARNESS_ASKING"
TIMELINES, START = "timelines", "start"
MEMORY = Path("/dev/shm")


class Run:
    """The run as any of its processes has it: the leading process, and those that run checks."""

    def __init__(self, folder: Path, disk: Path, token: str, asking: int) -> None:
        """`folder` is for everything but programs: these may only be executed from `disk`. `asking`
        is the descriptor at which the run supervisor is asked: only who has inherited it can do
        that."""
        self.folder, self.disk, self.token, self.asking = folder, disk, token, asking

    @staticmethod
    def of_environment() -> Run:
        return Run(Path(os.environ[FOLDER]), Path(os.environ[DISK]), os.environ[RUN_MARKER],
                   int(os.environ[ASKING]))

    def connect(self, patience: float) -> socket.socket:
        """A connection to a new cluster supervisor. OSError: the run supervisor does not take it
        within so many seconds."""
        own, theirs = socket.socketpair()
        try:
            with theirs, socket.socket(fileno=os.dup(self.asking)) as asking:
                asking.settimeout(patience)
                socket.send_fds(asking, [b"start"], [theirs.fileno()])
        except OSError:
            own.close()
            raise
        return own

    def _file(self, check: str) -> Path:
        return self.folder / "results" / hashlib.sha1(check.encode()).hexdigest()

    def put_result(self, check: str, result: Result) -> None:
        with suppress(OSError):  # a full disk
            write_whole(self._file(check), json.dumps(result))

    def result(self, check: str) -> Result | None:
        """The result of a check that has ended; None if there is none, as on a full disk."""
        try:
            return cast(Result, json.loads(self._file(check).read_text()))
        except FileNotFoundError:
            return None

    def put_start(self, seconds: float) -> None:
        """Keep how long a start took, if it is the first one."""
        file = self.folder / START
        if not file.exists():
            with suppress(OSError):
                write_whole(file, json.dumps(seconds))

    def start_seconds(self) -> float:
        """How long the first start took; 0: there was none yet."""
        try:
            return float(json.loads((self.folder / START).read_text()))
        except FileNotFoundError:
            return 0.0

    def _timeline(self, check: str) -> Path:
        return self.folder / TIMELINES / f"{self._file(check).name}.json"

    @property
    def keeps_timelines(self) -> bool:
        return (self.folder / TIMELINES).exists()

    def put_timeline(self, check: str, timeline: dict[str, Any]) -> None:
        """Keep a check's picture for the process that writes the report."""
        with suppress(OSError):
            self._timeline(check).write_text(json.dumps(timeline))

    def timeline(self, check: str) -> dict[str, Any] | None:
        """The picture of a check; None if the check did not come so far, or the disk was full."""
        try:
            return cast(dict[str, Any], json.loads(self._timeline(check).read_text()))
        except (FileNotFoundError, ValueError):
            return None


class LeadingRun(Run):
    """The run in its leading process, which starts the run supervisor and ends it."""

    def __init__(self, keep_timelines: bool = False) -> None:
        folder, disk = (Path(tempfile.mkdtemp(prefix="cluster-harness-", dir=where))
                        for where in (in_memory(), None))
        asking, asked = socket.socketpair(type=socket.SOCK_SEQPACKET)
        super().__init__(folder, disk, uuid.uuid4().hex, asking.detach())
        for name in ("results", "clusters", *([TIMELINES] if keep_timelines else [])):
            (self.folder / name).mkdir()
        clean = {key: value for key, value in os.environ.items() if key != RUN_MARKER}
        # Not in its arguments: these can be read by every user.
        clean |= {"PYTHONPATH": str(ROOT), TOKEN: self.token}
        with asked:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.cluster.run_supervisor",
                 str(asked.fileno()), str(self.folder), str(self.disk)],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
                env=clean, pass_fds=(asked.fileno(),))
        os.environ.update({FOLDER: str(self.folder), DISK: str(self.disk), RUN_MARKER: self.token,
                           ASKING: str(self.asking)})

    def leave(self) -> None:
        """To be called in a forked child: the run supervisor then does not wait for its end."""
        assert self._supervisor.stdin is not None
        os.close(self._supervisor.stdin.fileno())

    def end(self) -> None:
        """Let the run supervisor clear up, and wait for it."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        try:
            self._supervisor.wait(SUPERVISOR_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
        os.close(self.asking)
        for folder in (self.folder, self.disk):  # the run supervisor itself may have been killed
            remove(folder)


def in_memory() -> Path | None:
    """A file system in memory, if there is one with room: a disk that stalls would hold up a
    program that writes its journal."""
    try:
        free = free_bytes(MEMORY)
    except OSError:
        return None
    return MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) and free >= ENOUGH_ROOM else None
