"""An editor with clangd shows no red line in a kit that was built once."""

import subprocess

import pytest
from shell import ROOT

FILES = [f"{path.relative_to(ROOT)}" for path in sorted(ROOT.glob("exercises/ex[1-5]_*/main.cpp"))]


@pytest.mark.parametrize("file", FILES)
def test_clangd_has_nothing_to_mark(file: str) -> None:
    # What it says of the whole file is wanted; its features are tried on the first line only.
    done = subprocess.run(["clangd", f"--check={file}", "--check-lines=1"], cwd=ROOT, text=True,
                          timeout=300, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0 and "All checks completed, 0 errors" in done.stderr, done.stderr
