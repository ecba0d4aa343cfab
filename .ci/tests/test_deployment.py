"""A rolling restart is a deployment.

While the program runs, its file is replaced by a program that answers differently.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from shell import ROOT

SOURCE = ROOT / "solutions/ex2_rolling_restart/main.cpp"
WORKERS = 4
PATIENCE = 60  # seconds
Deployed = tuple["subprocess.Popen[str]", str, Path]  # the process, its URL, its file


def build_other(folder: Path) -> Path:
    """The solution with one more field in its answer, compiled by the tree's own command."""
    text = SOURCE.read_text()
    field = '{"version", version}'
    assert text.count(field) == 1
    source = folder / "main.cpp"
    source.write_text(text.replace(field, field + ', {"build", "new"}'))
    commands = json.loads((ROOT / "build/dev/compile_commands.json").read_text())
    command = next(one for one in commands if one["file"] == str(SOURCE))
    words = shlex.split(command["command"])
    words[words.index("-o") + 1], words[words.index("-c") + 1] = str(folder / "main.o"), str(source)
    subprocess.run(words, cwd=command["directory"], check=True)
    flags = subprocess.check_output(["pkg-config", "--libs", "cpp-httplib"], text=True).split()
    library = str(ROOT / "build/dev/common/libcluster.a")
    link = ["g++", "main.o", library, *flags, "-o", "other", "-pthread"]
    subprocess.run(link, cwd=folder, check=True)
    return folder / "other"


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    program = tmp_path / "ex2"
    shutil.copy(ROOT / "build/bin/ex2-solution", program)
    settings = {"PORT": "0", "WORKERS": str(WORKERS), "STARTUP_MS": "100"}
    process = subprocess.Popen([program], text=True, stdout=subprocess.PIPE,
                               start_new_session=True, env={**os.environ, **settings})
    try:
        assert process.stdout
        ready = next((line for line in process.stdout if line.startswith("ready ")), "")
        found = re.search(r"url=(\S+)", ready)
        assert found
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process, found[1], program
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def test_new_workers_answer_as_the_new_program(deployed: Deployed, tmp_path: Path) -> None:
    process, url, program = deployed
    other = build_other(tmp_path)
    answers: list[dict[str, object]] = []
    lost: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                with urlopen(url, timeout=10) as response:
                    answers.append(json.load(response))
            except OSError as why:
                lost.append(str(why))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    other.rename(program)
    process.send_signal(signal.SIGUSR2)
    deadline = time.monotonic() + PATIENCE
    while len({one["worker"] for one in list(answers) if one.get("build") == "new"}) < WORKERS:
        assert time.monotonic() < deadline, "not all workers answer as the new program"
        time.sleep(0.02)
    over.set()
    for client in clients:
        client.join()
    assert not lost, f"{len(lost)} of {len(answers)} requests were lost: {lost[0]}"
    assert {one["version"] for one in answers if "build" in one} == {"1.1.0"}
    assert {one["version"] for one in answers if "build" not in one} == {"1.0.0"}
    assert len(answers) > 100
