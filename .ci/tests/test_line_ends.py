"""A clone has the same bytes whatever the user's git makes of line ends."""

import subprocess
from pathlib import Path

from shell import ROOT


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def test_a_clone_with_autocrlf_is_the_same(tmp_path: Path) -> None:
    clones = {}
    for how in ("true", "false"):
        clones[how] = tmp_path / how
        git("clone", "-q", "-c", f"core.autocrlf={how}", str(ROOT), str(clones[how]))
    names = git("-C", str(clones["false"]), "ls-files", "-z").split("\0")[:-1]
    assert ".ci/build" in names
    for name in names:
        path = clones["false"] / name
        if path.is_file():
            assert (clones["true"] / name).read_bytes() == path.read_bytes(), name
