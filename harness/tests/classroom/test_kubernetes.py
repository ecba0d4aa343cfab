"""The job for a Kubernetes cluster: its form, and that each index grades its submission. In a
cluster it was not tried."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema

from harness.system.places import ROOT
from harness.tests.classroom.test_class import BROKEN, command, result, submit
from harness.tests.classroom.test_formats import SCHEMAS


def run(tmp_path: Path, code: int) -> str:
    done = subprocess.run([*command(tmp_path), "--engine", "kubernetes"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == code, done.stdout
    return done.stdout


def run_index(job: dict[str, Any], index: int) -> int:
    """As the cluster does it, with the command of the job."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return subprocess.run(container["command"],
                          env={**os.environ, "JOB_COMPLETION_INDEX": str(index)}).returncode


def test_each_index_grades_one_submission_and_the_same_command_collects(tmp_path: Path) -> None:
    submit(tmp_path, ada=BROKEN, **{"b o'b": BROKEN + "x", "eve": BROKEN + "y"})
    said = run(tmp_path, 3)
    file = tmp_path / "out/.class/kubernetes.json"
    assert f"kubectl create -f {file}" in said and "for 3 submissions" in said
    job = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.validate(job, json.loads((SCHEMAS / "kubernetes-job.json").read_text()))
    assert job["spec"]["completions"] == 3
    assert [run_index(job, index) for index in (0, 2)] == [0, 0]
    assert "for 1 submission " in run(tmp_path, 3), "the job is for those that are left"
    job = json.loads(file.read_text(encoding="utf-8"))
    assert job["spec"]["completions"] == 1 and run_index(job, 0) == 0
    assert "3 of 3 submissions have a result: 3 build-failed" in run(tmp_path, 0)
    assert all(result(tmp_path, name)["gradings"] == 1 for name in ("ada", "b o'b", "eve"))


def test_only_what_was_inconclusive_is_tried_again(tmp_path: Path) -> None:
    submit(tmp_path, ada=BROKEN)
    run(tmp_path, 3)
    spec = json.loads((tmp_path / "out/.class/kubernetes.json").read_text(encoding="utf-8"))["spec"]
    lost, failed = spec["podFailurePolicy"]["rules"]
    assert failed == {"action": "FailIndex", "onExitCodes": {
        "containerName": "grading", "operator": "NotIn", "values": [3]}}
    assert lost["action"] == "Ignore" and spec["backoffLimitPerIndex"] == 2
