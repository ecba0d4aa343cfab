"""A class on a Slurm cluster: `make class-test`."""
from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from harness.classroom import plan
from harness.system.places import ROOT
from harness.tests.classroom import test_class
from harness.tests.classroom.slurm_cluster import SlurmCluster, lacking, slurm_cluster
from harness.tests.toys import await_true

pytestmark = pytest.mark.skipif(
    "SLURM_TEST" not in os.environ or bool(lacking()) or os.geteuid() != 0,
    reason="it takes minutes, and wants root, slurm-wlm and munge: make class-test")
STUDENTS = 8


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), 2) as found:
        yield found


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    test_class.submit(tmp_path, **{f"student-{number}": test_class.BROKEN + "x" * number
                                   for number in range(STUDENTS)})
    return tmp_path


def grade(cluster: SlurmCluster, folder: Path) -> str:
    done = subprocess.run([*test_class.command(folder), "--engine", "slurm"], cwd=ROOT, text=True,
                          capture_output=True, env=cluster.environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def begin(cluster: SlurmCluster, folder: Path) -> subprocess.Popen[str]:
    """Returns when the first result is there."""
    run = subprocess.Popen([*test_class.command(folder), "--engine", "slurm"], cwd=ROOT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=cluster.environment, preexec_fn=test_class.heed_ctrl_c)
    assert run.stdout is not None
    while "exercise 1" not in (line := run.stdout.readline()):
        assert line, "it has ended"
    return run


def queue(cluster: SlurmCluster) -> str:
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True,
                          env=cluster.environment).stdout


def expect_once_each(folder: Path) -> None:
    assert [row[6] for row in test_class.table(folder)[1:]] == ["build-failed"] * STUDENTS
    assert [test_class.result(folder, f"student-{number}")["gradings"]
            for number in range(STUDENTS)] == [1] * STUDENTS


def test_the_results_are_those_of_one_machine(cluster: SlurmCluster, submitted: Path) -> None:
    test_class.submit(submitted, ada=test_class.STARTER.read_text(encoding="utf-8"))
    assert "2 at a time" in grade(cluster, submitted)
    there = test_class.table(submitted)
    (submitted / "out").rename(submitted / "there")
    test_class.grade(submitted)
    assert test_class.table(submitted) == there
    assert "0 to grade" in grade(cluster, submitted)


@pytest.mark.parametrize("nodes", (1, 4))
def test_each_node_gets_its_share(tmp_path_factory: pytest.TempPathFactory, submitted: Path,
                                  nodes: int) -> None:
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), nodes) as cluster:
        assert f"{nodes} at a time" in grade(cluster, submitted)
        for name in cluster.nodes:
            assert "Launching batch job" in (cluster.folder / "log" / name).read_text(), name
    expect_once_each(submitted)


def test_a_command_that_was_killed_goes_on(cluster: SlurmCluster, submitted: Path) -> None:
    run = begin(cluster, submitted)
    run.kill()
    run.wait()
    grade(cluster, submitted)
    expect_once_each(submitted)
    assert queue(cluster) == ""
    assert not (submitted / "out" / plan.BOOKS / "slurm.job").exists()


def test_ctrl_c_cancels_the_tasks(cluster: SlurmCluster, submitted: Path) -> None:
    run = begin(cluster, submitted)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130
    assert await_true(lambda: queue(cluster) == "", 30), queue(cluster)


def test_a_node_that_fails_loses_nothing(cluster: SlurmCluster, submitted: Path) -> None:
    run = begin(cluster, submitted)
    cluster.kill_node("node2")
    try:
        assert run.stdout is not None
        said = run.stdout.read()
        assert run.wait(240) == 0, said
    finally:
        cluster.start_node("node2")
    expect_once_each(submitted)
