"""The files for containers and for continuous integration elsewhere: they name what is there."""

import json
import re
from pathlib import Path

import yaml  # type: ignore
from shell import ROOT

FOLDER = ROOT / ".devcontainer"
README = (ROOT / "README.md").read_text()


def test_the_container_of_an_editor_is_built_from_the_dockerfile() -> None:
    found = json.loads((FOLDER / "devcontainer.json").read_text())
    assert (FOLDER / found["build"]["dockerfile"]).is_file()
    assert (FOLDER / found["build"]["context"]).resolve() == ROOT
    assert found["forwardPorts"] == [int(found["containerEnv"]["PLAY_PORT"])]
    assert found["postCreateCommand"] == "make ex1"
    assert f"useradd --create-home --shell /bin/bash {found['remoteUser']}" in dockerfile()


def dockerfile() -> str:
    return (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")


def test_the_dockerfile_copies_what_it_needs_and_no_more() -> None:
    (copied,) = re.findall(r"^COPY (.*) /tmp/kit/$", dockerfile(), re.MULTILINE)
    assert copied.split() == [".ci/packages", ".ci/packages.txt"]
    assert all((ROOT / name).is_file() for name in copied.split())
    assert "/tmp/kit/packages learner" in dockerfile()


def test_the_workflow_runs_the_two_commands_on_both_debians() -> None:
    (path,) = Path(ROOT / ".github/workflows").glob("*.yml")
    job = yaml.safe_load(path.read_text())["jobs"]["test"]
    assert job["strategy"]["matrix"]["image"] == ["debian:12", "debian:13"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    for command in ("make ex1-grade", "make test"):
        assert any(one.startswith(command) for one in commands), commands
        assert re.search(rf"^{command} +#", README, re.MULTILINE)
