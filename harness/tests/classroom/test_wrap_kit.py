"""The graders of other systems: what they are given, and what they write."""
from __future__ import annotations

import base64
import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness.classroom import wrap_kit
from harness.classroom.wrap_kit import ASSETS, filled
from harness.system.places import ROOT
from harness.tests.classroom.test_formats import SCHEMAS

BROKEN = "int main( {\n"


def run(script: Path, *words: str, code: int = 0, **environment: str) -> str:
    done = subprocess.run([str(script), *words], capture_output=True, text=True, timeout=300,
                          cwd=ROOT, env={**os.environ, **environment})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def script_in(folder: Path, text: str) -> Path:
    script = folder / "script"
    script.write_text(text)
    script.chmod(0o755)
    return script


def valid(file: Path, schema: str) -> Any:
    found = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    return found


def test_the_zip_for_gradescope_has_the_whole_kit(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrap_kit, "PLACE", tmp_path)
    with zipfile.ZipFile(wrap_kit.gradescope(3)) as packed:
        members = {one.filename: one for one in packed.infolist()}
        assert packed.read("run_autograder").decode().count("--exercise 3") == 1
        assert ".ci/build dev ex3" in packed.read("setup.sh").decode()
    listed = subprocess.run(["git", "ls-files", *wrap_kit.PARTS], cwd=ROOT, capture_output=True,
                            text=True, check=True).stdout.splitlines()
    assert {f"kit/{name}" for name in listed if (ROOT / name).is_file()} <= set(members)
    assert not any("__pycache__" in name or "/build/" in name for name in members)
    for name in ("setup.sh", "run_autograder", "kit/.ci/build", "kit/.ci/python"):
        assert members[name].external_attr >> 16 & 0o111, name


def test_gradescope_finds_its_results(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/kit").symlink_to(ROOT)
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission/main.cpp").write_text(BROKEN)
    script = script_in(tmp_path, filled(ASSETS / "gradescope/run_autograder", 1))
    said = run(script, AUTOGRADER=str(tmp_path))
    found = valid(tmp_path / "results/results.json", "gradescope")
    assert found["score"] == 0 and found["extra_data"]["state"] == "build-failed"
    assert "build-failed" in said


def test_prairielearn_finds_its_results(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    script = script_in(tmp_path, filled(ASSETS / "prairielearn-run.sh", 2))
    run(script, GRADE=str(tmp_path), KIT=str(ROOT))
    found = valid(tmp_path / "results/results.json", "prairielearn")
    assert found["gradable"] and found["message"] == "there is no main.cpp"


def test_github_gets_its_result_as_the_output_of_a_step(tmp_path: Path) -> None:
    workflow = yaml.safe_load(filled(ASSETS / "github-classroom.yml", 1))
    grading, reporter = workflow["jobs"]["autograding"]["steps"][-2:]
    assert workflow["name"] == "Autograding Tests"  # by which the reporter finds its run
    step = reporter["with"]["runners"]
    assert reporter["env"] == {
        f"{step.upper()}_RESULTS": f"${{{{ steps.{grading['id']}.outputs.result }}}}"}
    output = tmp_path / "output"
    script = script_in(tmp_path, f"#!/bin/bash -e\n{grading['run']}")
    run(script, GITHUB_OUTPUT=str(output), RUNNER_TEMP=str(tmp_path))
    name, _, encoded = output.read_text().strip().partition("=")
    assert name == "result"
    (tmp_path / "found").write_bytes(base64.b64decode(encoded))
    found = valid(tmp_path / "found", "github-classroom")
    assert found["status"] == "fail" and found["tests"][0]["name"].startswith("1. ")
