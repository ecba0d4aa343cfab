"""What a program is shown of the machine, and how a grading says how it was kept apart."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.cluster import isolation
from harness.cluster.isolation import Isolation, needed_by, shown_for
from harness.cluster.limits import MOST_TASKS
from harness.cluster.program import RUNTIME_FOLDERS, Program
from harness.system.places import ROOT
from harness.tests.sandbox import NEEDS_SANDBOX
from harness.tests.toys import grade, server

CHECKS = '''
class TestItem1:
    """The only item"""
    item = 1
    def test_starts(self, fixture: Fixture) -> None:
        """It answers"""
        answer = fixture.start().client.get("/")
        assert answer.status == 200, answer
'''


def made(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_folder_of_a_script_is_shown(tmp_path: Path) -> None:
    script = made(tmp_path / "mine/ex1.py")
    assert set(needed_by(["/usr/bin/python3", str(script)])) >= {script.parent}


def test_a_runtime_is_shown_with_its_libraries(tmp_path: Path) -> None:
    assert shown_for(made(tmp_path / "node/bin/node"), runtime=True) == [tmp_path / "node"]


def test_the_interpreter_that_a_script_names_is_shown(tmp_path: Path) -> None:
    runtime = made(tmp_path / "lang/bin/run")
    script = made(tmp_path / "mine/ex1", f"#!{runtime}\n")
    assert tmp_path / "lang" in needed_by([str(script)])


def test_the_folder_where_the_grading_was_started_is_not_shown(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in RUNTIME_FOLDERS:
        monkeypatch.delenv(name, raising=False)
    assert tmp_path not in needed_by(["/bin/sh", "-c", "x=", ":"])


@pytest.mark.parametrize("folder", [ROOT, ROOT / "build/bin", ROOT / "solutions", Path.home(),
                                    Path("/tmp"), Path("/")])
def test_a_folder_that_hides_something_is_not_shown(folder: Path) -> None:
    assert isolation.hides(folder)
    assert shown_for(folder, runtime=False) == []


def test_the_way_a_program_ran_is_told() -> None:
    assert str(Isolation(True)) == "in a sandbox (bubblewrap)"
    assert str(Isolation(True, 61184)) == "in a sandbox (bubblewrap), as another user"
    assert str(Isolation(lacking="why")) == "none: why"


def test_the_environment_of_a_program_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("MAVEN_OPTS", "-Dpassword=x")
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    found = Program.environment()
    assert "PATH" in found and found["JAVA_HOME"] == "/opt/java"
    assert "SECRET_TOKEN" not in found and "MAVEN_OPTS" not in found


@NEEDS_SANDBOX
def test_no_isolation_is_told(tmp_path: Path) -> None:
    graded = grade(tmp_path, CHECKS, "--no-isolation")
    assert graded.code == 0 and graded.report["isolation"] == "none: --no-isolation was given"
    assert "Isolation: none: --no-isolation was given" in graded.output


@NEEDS_SANDBOX
def test_where_there_is_no_bubblewrap_it_is_graded_all_the_same(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "rm", "true", "chmod"):
        (tools / name).symlink_to(shutil.which(name) or "")
    graded = grade(tmp_path, CHECKS, PATH=str(tools))
    assert graded.code == 0, graded.output
    assert "there is no bubblewrap" in graded.report["isolation"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
def test_another_user_can_start_only_so_many_threads(tmp_path: Path) -> None:
    limit = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC), flush=True)"
    checks = CHECKS.replace("fixture.start()", "(cluster := fixture.start())") + f'''
        assert cluster.output()[0] == "{(MOST_TASKS, MOST_TASKS)}", cluster.output()
'''
    graded = grade(tmp_path, checks, program=server(tmp_path, limit))
    assert graded.code == 0, graded.output


@NEEDS_SANDBOX
def test_a_file_that_is_not_to_be_seen_is_a_likely_cause(tmp_path: Path) -> None:
    """A command inside of another one is not looked at."""
    program = f"sh -c 'x=$1; shift; exec ${{x}}one ${{x}}two' sh {tmp_path}/no"
    graded = grade(tmp_path, CHECKS, program=program)
    check = graded.check("test_starts")
    assert check["result"] == "fail" and "--no-isolation" in check["likely"], check
