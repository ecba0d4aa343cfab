"""Hands the gradings to a Kubernetes cluster: an Indexed Job, with one index for each submission.

The job is written down, and an instructor gives it to the cluster (see README.md). The kit and OUT
must lie at the same paths on all nodes, in folders that they share.
"""
from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, Callable

from harness.classroom import plan
from harness.classroom.engine import Elsewhere
from harness.classroom.machine_rest import CORES_EACH
from harness.system.files import write_whole
from harness.system.places import ROOT

FILE = "kubernetes.json"
"""In OUT's books; JSON is YAML, too."""
IMAGE = "process-clusters"
"""Made of .devcontainer/Dockerfile."""
INCONCLUSIVE = 3
"""The exit code of a grading that is worth another try."""
AGAIN = 2
MOST_SECONDS = 1200
"""Far above a grading's ten seconds."""
SHARED_MEMORY = "1Gi"
SCRIPT = """cd {root} || exit 1
set -- {numbers}
shift "$JOB_COMPLETION_INDEX"
exec .ci/python -m harness.classroom.grade_submission {how} {out} "$1"
"""


class KubernetesEngine:
    at_once = 0  # as the cluster has room

    def __init__(self, out: Path, *how: str) -> None:
        """`how`: options of each grading, see grade_submission."""
        self.out, self.how = out.absolute(), how

    def grade(self, numbers: list[int], begun: Callable[[int], None],
              done: Callable[[int, str], None]) -> None:
        """Raises Elsewhere where there is something to grade."""
        if not numbers:
            return
        script = SCRIPT.format(root=shlex.quote(str(ROOT)), numbers=" ".join(map(str, numbers)),
                               how=shlex.join(self.how), out=shlex.quote(str(self.out)))
        file = self.out / plan.BOOKS / FILE
        write_whole(file, json.dumps(job(len(numbers), script, self.out), indent=1) + "\n")
        plural = "s" * (len(numbers) != 1)
        raise Elsewhere(f"the job for {len(numbers)} submission{plural} is written. Start it with\n"
                        f"  kubectl create -f {shlex.quote(str(file))}\n"
                        "and give this same command again when it has ended")


def job(count: int, script: str, out: Path) -> dict[str, Any]:
    """See the Kubernetes documentation, "Jobs" and "Pod failure policy". What was inconclusive is
    tried again, at most twice; what was lost with its node does not count as a try. The pod may do
    all that root may: else there is no sandbox in it, and nothing would be graded."""
    share = {"cpu": str(CORES_EACH), "memory": "4Gi"}  # the shared memory counts as its memory
    folders = {"kit": str(ROOT), "results": str(out)}
    container = {
        "name": "grading", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "resources": {"requests": share, "limits": share},
        "securityContext": {"privileged": True, "runAsUser": 0},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in folders.items()]
                        + [{"name": "memory", "mountPath": "/dev/shm"}]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "class-"},
        "spec": {
            "completionMode": "Indexed", "completions": count, "parallelism": count,
            "backoffLimitPerIndex": AGAIN,
            "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [
                    {"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailIndex", "onExitCodes": {
                    "containerName": "grading", "operator": "NotIn", "values": [INCONCLUSIVE]}}]},
            "template": {"spec": {
                "restartPolicy": "Never", "activeDeadlineSeconds": MOST_SECONDS,
                "automountServiceAccountToken": False,
                "containers": [container],
                "volumes": [{"name": name, "hostPath": {"path": path, "type": "Directory"}}
                            for name, path in folders.items()]
                           + [{"name": "memory", "emptyDir": {
                               "medium": "Memory", "sizeLimit": SHARED_MEMORY}}]}}}}
