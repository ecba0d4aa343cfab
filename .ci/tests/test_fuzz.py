"""`make fuzz` says what is wrong with its settings; a finding is told so that it can be repeated.

The fuzz targets themselves are a stage of `make test`. Here shell scripts stand in for them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from shell import ROOT, environment

GOOD = """
echo '#900 DONE   cov: 525 ft: 1632 corp: 270/38Kb lim: 301 exec/s: 450 rss: 457Mb'
echo 'Done 900 runs in 2 second(s)'
echo 'stat::average_exec_per_sec:     450'
"""
BAD = """
echo 'ORACLE: it does not hold'
echo 'artifact_prefix=x; Test unit written to build/fuzz/findings/bad-crash-1'
exit 77
"""
BROKEN = "echo 'there is no such library'; exit 127"


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "a minute", "1000000"])
def test_a_bad_number_of_seconds_is_refused_at_once(value: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "fuzz", f"SECONDS={value}"], cwd=ROOT, env=environment(tmp_path / "progress"),
        capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert f"SECONDS='{value}' is not allowed" in done.stderr
    assert "a whole number from 1 to 99999" in done.stderr


def fuzz(root: Path, programs: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs the script in a tree where these programs are the built targets."""
    files = {".ci/build": "", **{f"build/fuzz/bin/{name}": text for name, text in programs.items()}}
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    for name in programs:
        (root / f"common/fuzz/{name}.cpp").parent.mkdir(parents=True, exist_ok=True)
        (root / f"common/fuzz/{name}.cpp").touch()
    shutil.copy(ROOT / ".ci/fuzz", root / ".ci/fuzz")
    return subprocess.run([str(root / ".ci/fuzz"), *words], capture_output=True, text=True,
                          timeout=30)


def test_each_target_has_a_line_with_what_it_has_reached(tmp_path: Path) -> None:
    done = fuzz(tmp_path, {"one": GOOD, "two": GOOD, "three": GOOD}, "2")
    assert (done.returncode, done.stderr) == (0, "")
    head, _, *rows = done.stdout.splitlines()
    assert head == "fuzz targets: 3, each for 2 s"
    words = ["450", "525", "270", "Done", "900", "runs", "in", "2", "second(s)"]
    assert sorted(row.split() for row in rows) == [[name, *words]
                                                   for name in ("one", "three", "two")]


def test_a_finding_names_its_input_and_the_command_that_repeats_it(tmp_path: Path) -> None:
    done = fuzz(tmp_path, {"bad": BAD, "endless": "exec sleep 1000"}, "2")
    assert done.returncode == 1
    assert "FOUND by bad:\nORACLE: it does not hold\n" in done.stderr
    assert "the input:  build/fuzz/findings/bad-crash-1\n" in done.stderr
    assert "to repeat:  build/fuzz/bin/bad build/fuzz/findings/bad-crash-1\n" in done.stderr


def test_a_target_that_does_not_run_shows_what_it_said(tmp_path: Path) -> None:
    done = fuzz(tmp_path, {"broken": BROKEN}, "2")
    assert done.returncode == 1 and "there is no such library" in done.stderr


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    done = fuzz(tmp_path, {"one": GOOD}, "2", "other")
    assert done.returncode == 2 and "no fuzz target 'other'; there are: one" in done.stderr
