"""A Slurm cluster on this machine: one controller, and nodes that all run here."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from harness.system.processes import descendants
from harness.tests.toys import await_true

PATIENCE = 60.0
CONFIGURATION = """
ClusterName=class
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node-%n.pid
SlurmctldLogFile={folder}/log/controller
SlurmdLogFile={folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2
ReturnToService=2
SlurmdTimeout=10
MpiDefault=none
{nodes}
PartitionName=class Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=6000"


def lacking() -> list[str]:
    return [name for name in ("munged", "slurmctld", "slurmd", "sbatch")
            if shutil.which(name, path=f"/usr/sbin:{os.environ['PATH']}") is None]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class SlurmCluster:
    folder: Path
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start_node(self, name: str) -> None:
        self.nodes[name] = self.start("slurmd", "-D", "-N", name)

    def start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with open(self.folder / "log/output", "ab") as output:
            return subprocess.Popen([f"/usr/sbin/{program}", *words], stdin=subprocess.DEVNULL,
                                    stdout=output, stderr=output, env=self.environment,
                                    start_new_session=True)

    def kill_node(self, name: str) -> None:
        """All at once, as a machine that fails."""
        running = [self.nodes[name].pid, *descendants(self.nodes[name].pid),
                   *self.tasks_of(name)]
        for pid in running:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.nodes.pop(name).wait()

    def tasks_of(self, name: str) -> list[int]:
        """What runs in the tasks of a node: the steps' daemons leave their parent."""
        listed = subprocess.run(["pgrep", "-f", rf"slurmstepd: .*|{name}/job"], text=True,
                                capture_output=True).stdout.split()
        steps = [int(pid) for pid in listed
                 if f"SLURMD_NODENAME={name}" in environment_of_children(int(pid))]
        return [*steps, *(pid for step in steps for pid in descendants(step))]

    def idle(self) -> int:
        said = subprocess.run(["sinfo", "-h", "-o", "%D", "-t", "idle"], capture_output=True,
                              text=True, env=self.environment).stdout
        return sum(map(int, said.split()))


def environment_of_children(pid: int) -> str:
    found = ""
    for child in descendants(pid):
        try:
            found += Path(f"/proc/{child}/environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
    return found


@contextmanager
def slurm_cluster(folder: Path, nodes: int) -> Iterator[SlurmCluster]:
    for name in ("state", "munge", "log"):
        (folder / name).mkdir(parents=True)
    munge, host = folder / "munge", socket.gethostname().partition(".")[0]
    munge.chmod(0o700)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    names = [f"node{number}" for number in range(1, nodes + 1)]
    listed = "\n".join(NODE.format(name=name, host=host, port=free_port()) for name in names)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(
        host=host, folder=folder, port=free_port(), user="root", nodes=listed))
    cluster = SlurmCluster(folder)
    started = []
    try:
        started.append(cluster.start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket",
            f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"))
        assert await_true(lambda: (munge / "socket").exists(), PATIENCE)
        started.append(cluster.start("slurmctld", "-D"))
        for name in names:
            cluster.start_node(name)
        assert await_true(lambda: cluster.idle() == nodes, PATIENCE), (
            (folder / "log/output").read_text())
        yield cluster
    finally:
        subprocess.run(["scancel", "--user=root"], env=cluster.environment, capture_output=True)
        for process in [*cluster.nodes.values(), *reversed(started)]:
            process.terminate()
        deadline = time.monotonic() + 10
        for process in [*cluster.nodes.values(), *reversed(started)]:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
