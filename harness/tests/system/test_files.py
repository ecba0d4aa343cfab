"""A file is written whole or not at all; a pipe and a link stay what they are."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.system.files import write_whole


def full(file: Path, text: str, **options: str) -> int:
    file.touch()
    raise OSError(28, "No space left on device")


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.json"
    write_whole(file, "old")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(Path, "write_text", full)
        write_whole(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    write_whole(file, "néw")
    assert file.read_text(encoding="utf-8") == "néw" and list(tmp_path.iterdir()) == [file]


def test_a_pipe_and_a_link_stay_what_they_are(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("target")
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "through")
    write_whole(link, "behind")
    assert os.read(reading, 100) == b"through" and pipe.is_fifo()
    assert link.is_symlink() and (tmp_path / "target").read_text() == "behind"
    os.close(reading)


def test_half_of_a_surrogate_pair_is_no_crash(tmp_path: Path) -> None:
    write_whole(tmp_path / "report.json", "a\ud800b")
    assert (tmp_path / "report.json").read_text() == "a?b"
