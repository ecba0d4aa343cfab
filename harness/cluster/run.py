"""One run of the harness: its folder for temporary files, its token, its run supervisor, and what
its processes share: results, and how long the program takes to start."""
from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Sequence, cast

from harness.cluster.isolation import Isolation
from harness.cluster.limits import ENOUGH_ROOM, free_bytes
from harness.cluster.program import NoProgram
from harness.cluster.start_supervisor import start_remover, start_supervisor
from harness.judging.verdict import Result
from harness.system.files import remove, write_whole
from harness.system import processes
from harness.system.processes import RUN_MARKER

SUPERVISOR_SECONDS = 20.0
STATE = "CLUSTER_HARNESS_STATE"
"""The variable by which the processes of a run know it: JSON, see Run.of_environment()."""
TIMELINES, START = "timelines", "start"
MEMORY = Path("/dev/shm")


class Run:
    """The run as any of its processes has it: the leading process, and those that run checks."""

    def __init__(self, folder: Path, disk: Path, asking: int, user: int | None = None) -> None:
        """`folder` is for everything but programs: these may only be executed from `disk`. `asking`
        is the descriptor at which the run supervisor is asked: only who has inherited it can do
        that. `user`: as whom programs run; None: as this process's."""
        self.folder, self.disk, self.asking, self.user = folder, disk, asking, user
        self.clusters, self.programs = folder / "clusters", disk / "programs"

    @staticmethod
    def of_environment() -> Run:
        state = json.loads(os.environ[STATE])
        return Run(Path(state["folder"]), Path(state["disk"]), state["asking"], state["user"])

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

    def __init__(self, keep_timelines: bool = False, isolation: Isolation = Isolation()) -> None:
        folder, disk = (Path(tempfile.mkdtemp(prefix="cluster-harness-", dir=where))
                        for where in (in_memory(), None))
        asking, self._asked = socket.socketpair(type=socket.SOCK_SEQPACKET)
        super().__init__(folder, disk, asking.detach(), isolation.user)
        self.isolation, self.token = isolation, uuid.uuid4().hex
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._proc, self._remover = -1, start_remover(folder, disk)
        assert self._remover.stdin is not None
        self._held = self._remover.stdin
        for place in (folder / "results", self.clusters, self.programs,
                      *[folder / TIMELINES] * keep_timelines):
            place.mkdir()
            place.chmod(0o755)  # whatever the umask; the folder above keeps others out
        if isolation.user is not None and not isolation.bubblewrap:
            for place in (folder, disk):  # another user's program must come through
                place.chmod(0o711)
            (folder / "results").chmod(0o700)

    def start(self, shown: Sequence[Path] = ()) -> None:
        """Start the run supervisor. `shown`: what a program sees in its sandbox, beside the system
        and the run's own folders."""
        with self._asked:
            self._supervisor = start_supervisor(self, self._asked, self.isolation, shown,
                                                self._held.fileno())
        self._look_at_programs(self._supervisor.pid)
        os.environ.update({STATE: json.dumps({"folder": str(self.folder), "disk": str(self.disk),
                                              "asking": self.asking, "user": self.user}),
                           RUN_MARKER: self.token})

    def _look_at_programs(self, top: int) -> None:
        """From now on, if there is a sandbox, the processes below that one are looked at, by their
        numbers there."""
        with socket.socket(fileno=os.dup(self.asking)) as asking:
            asking.settimeout(SUPERVISOR_SECONDS)
            received = socket.recv_fds(asking, 64, 1)[1]
        if not received:
            raise NoProgram(f"the run supervisor, which starts the programs, does not start "
                            f"({self.isolation})")
        self._proc = received[0]
        os.set_inheritable(self._proc, False)
        if self.isolation.bubblewrap:
            processes.look_at(f"/proc/self/fd/{self._proc}", top)

    def leave(self) -> None:
        """To be called in a forked child: the run supervisor then does not wait for its end."""
        assert self._supervisor is not None and self._supervisor.stdin is not None
        os.close(self._supervisor.stdin.fileno())
        os.close(self._held.fileno())

    def end(self) -> None:
        """Let the run supervisor clear up, and wait for it."""
        if self._supervisor is not None:
            assert self._supervisor.stdin is not None
            self._supervisor.stdin.close()
            try:
                self._supervisor.wait(SUPERVISOR_SECONDS)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()
        os.close(self.asking)
        if self._proc >= 0:
            processes.look_at(processes.OWN, 0)
            os.close(self._proc)
        for folder in (self.folder, self.disk):
            remove(folder)
        self._held.close()
        with suppress(subprocess.TimeoutExpired):
            self._remover.wait(SUPERVISOR_SECONDS)


def in_memory() -> Path | None:
    """A file system in memory, if there is one with room: a disk that stalls would hold up a
    program that writes its journal."""
    try:
        free = free_bytes(MEMORY)
    except OSError:
        return None
    return MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) and free >= ENOUGH_ROOM else None
