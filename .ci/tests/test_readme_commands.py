"""Every command that a README shows is run as it is written there.

Commands of make and of the grader run on the first item only (PYTEST_ADDOPTS): what they do in full
is tested elsewhere. The lines of a "Try it by hand" section run in one shell beside the solution,
which has the starter's name there.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from shell import ROOT
from shell import environment as shell_environment

READMES = sorted(path for folder in (".", "exercises", "exercises/*", "solutions/*", "harness",
                                          "harness/classroom")
                 for path in ROOT.glob(f"{folder}/README.md"))
BY_HAND = "Try it by hand"
JOURNAL = "/tmp/journal"  # where the READMEs put it; here it lies in the test's folder
# Long commands, and one that asks a question: each with the form in which it is run here.
SHORTER = {
    "make test": "make test ARGS=steps",
    "make bench": "make --dry-run bench",
    "make fuzz SECONDS=60": "make fuzz SECONDS=2 ARGS=channel",
    "make cheats": "make cheats ARGS='--name reads_a_key'",
    "make ex1-diff": "make ex1-diff FORCE=1",
    "make ex1-reset": "make --dry-run ex1-reset",
    "make class SUBMISSIONS=~/class OUT=~/results EX=1":
        "make --dry-run class SUBMISSIONS=~/class OUT=~/results EX=1",
    "make class SUBMISSIONS=~/class OUT=~/results EX=1 ENGINE=slurm":
        "make --dry-run class SUBMISSIONS=~/class OUT=~/results EX=1 ENGINE=slurm",
    "make class SUBMISSIONS=~/class OUT=~/results EX=1 ENGINE=kubernetes":
        "make --dry-run class SUBMISSIONS=~/class OUT=~/results EX=1 ENGINE=kubernetes",
    "make class SUBMISSIONS=~/class OUT=~/results EX=1 ONLY=ada":
        "make --dry-run class SUBMISSIONS=~/class OUT=~/results EX=1 ONLY=ada",
    "make prove ARGS=--fast": "make prove ARGS='--fast --only 1 --name no-retry-after'",
    "make soak RUNS=10":
        "make soak ARGS='--only 1 --name no-retry-after --load idle --file build/proof/soak.json'",
    ".ci/python -m pytest harness/tests": ".ci/python -m pytest harness/tests -k order",
}
UNTIL_CTRL_C = ("-run", "-watch", "-play SOLUTION=1")
ONE_ITEM = "-p no:cacheprovider -k TestItem1"
# What the lines of an exercise's "Try it by hand" must bring to light, in this order.
SEEN_BY_HAND = {
    "exercises": [
        r'"activeRequests":', r'ex1\b.*\n.*ex1\b.*\n.*ex1\b', r'LISTEN.*:8000', r'ex1\b',
    ],
    "ex1": [
        r'200 OK', r'ex1\b.*\n.*ex1\b.*\n.*ex1\b', r'503 Service Unavailable', r'"delayMs":',
    ],
    "ex2": [
        r'"version":"1\.0\.0"', r'(ex2\b.*\n.*){5}', r'"version":"1\.0\.0"', r'"version":"1\.1\.0"',
    ],
    "ex3": [
        r'"errors":0', r'"uptime":[01]\.', r'\d+ is gone', r'reason=errors', r'reason=silent',
    ],
    "ex4": [
        r'"delivered":\[1,2,3\]', r'good morning', r'"reply":', r'"type":"call"',
        r'"type":"answer"', r'ex4\b', r'"missing":\[2\]', r'"missing":\[\]',
    ],
    "ex5": [
        r'202 Accepted', r'Location: /task/', r'"attempts":1,.*"processing"', r'"attempts":2,',
        r'queue is full', r'"rejected":[1-9]',
    ],
}
QUICK = {
    "COLUMNS": "300",  # some versions of ps cut their lines elsewhere
    "SLOW_MS": "2500",
    "HEARTBEAT_INTERVAL_MS": "500",
    "HEARTBEAT_TIMEOUT_MS": "4000",
    "REPORT_INTERVAL_MS": "3000",
    "REQUEST_TIMEOUT_MS": "2000",
}


@dataclass(frozen=True)
class Block:
    readme: Path
    section: str
    lines: tuple[str, ...]


def blocks_of(readme: Path) -> Iterator[Block]:
    section = ""
    block: list[str] | None = None
    for line in readme.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            if block is not None:
                yield Block(readme, section, tuple(block))
                block = None
            elif line in ("```sh", "```console"):
                block = []
            elif line != "```":
                block = None
        elif block is not None:
            block.append(line)
        elif line.startswith("#"):
            section = line.lstrip("# ")


def commands_of(block: Block) -> list[str]:
    """Without prompts and without the remarks behind them."""
    lines = [line.removeprefix("$ ") for line in block.lines]
    return [command for line in lines if (command := re.sub(r"(^|\s+)#.*", "", line).strip())]


BLOCKS = [block for readme in READMES for block in blocks_of(readme)]
BLOCKS_BY_HAND = [block for block in BLOCKS if block.section == BY_HAND]
COMMANDS = sorted({command for block in BLOCKS if block.section != BY_HAND
                   for command in commands_of(block)})


def environment(shims: Path, **more: str) -> dict[str, str]:
    path = f"{shims}:{os.environ['PATH']}"
    return shell_environment(shims / "progress.json", PATH=path, PYTEST_ADDOPTS=ONE_ITEM, **more)


@pytest.fixture(scope="module", autouse=True)
def shims() -> Iterator[Path]:
    """`python3` means the Python that has the grader's modules, as on a machine with only one."""
    with tempfile.TemporaryDirectory() as path:  # pytest's own folder only its user may enter
        folder = Path(path)
        (folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (folder / "python3").chmod(0o755)
        folder.chmod(0o755)  # a program that is graded may run as another user
        yield folder


def end_group(process: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 8
    assert {block.readme.parent.name for block in BLOCKS_BY_HAND} == {
        "exercises", *(folder.parent.name for folder in ROOT.glob("exercises/*/main.cpp"))}


@pytest.mark.xdist_group("build")  # or they would wait for each other
@pytest.mark.parametrize("command", [one for one in COMMANDS if not one.endswith(UNTIL_CTRL_C)])
def test_command(command: str, shims: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", SHORTER.get(command, command)], cwd=ROOT, env=environment(shims),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )
    said = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    if "in a sandbox, and there is none here" in done.stderr:
        pytest.skip(done.stderr)
    # A starter is not finished, and the command says so.
    grades_starter = "-grade" in command or ("harness/test_" in command and "--" not in command)
    if grades_starter:
        assert done.returncode in (1, 2) and "0 of 1 passed" in done.stdout, said
    else:
        assert done.returncode == 0, said
    if "-solution" in command or "--solution" in command or "--program" in command:
        assert "1 of 1 passed" in done.stdout, said


@pytest.mark.xdist_group("build")
@pytest.mark.parametrize("command", [one for one in COMMANDS if one.endswith(UNTIL_CTRL_C)])
def test_command_until_ctrl_c(command: str, shims: Path) -> None:
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=ROOT, env=environment(shims, PORT="0"), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    runs = re.compile(r"master\[|waiting for a save")
    try:
        assert process.stdout
        first = next((line for line in process.stdout if runs.search(line)), "")
        os.killpg(process.pid, signal.SIGINT)  # what the terminal sends on Ctrl+C
        rest, _ = process.communicate(timeout=30)
        assert first, rest
    finally:
        end_group(process)


def apart() -> list[str]:
    """The words that run a command in namespaces of its own for processes and network.

    There `pkill` and port 8000 harm nobody. Empty where the system gives no such namespaces.
    """
    # Root needs no namespace of users, and in a changed root there is none.
    choices: list[list[str]] = [["--user", "--map-root-user"], []]
    for users in choices:
        words = ["unshare", *users, "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]
        tried = subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True)
        if tried.returncode == 0:
            return [*words, "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    return []


@pytest.mark.parametrize("block", BLOCKS_BY_HAND, ids=lambda block: block.readme.parent.name)
def test_by_hand(block: Block, shims: Path, tmp_path: Path) -> None:
    folder = block.readme.parent.name.partition("_")[0]
    name = "ex1" if folder == "exercises" else folder
    shutil.copy(ROOT / f"build/bin/{name}-solution", tmp_path / name)
    journal = tmp_path / "journal"
    script = f"""
        exec 2>&1
        ./{name} >log & master=$!
        until grep -q '^ready ' log; do kill -0 $master || exit 9; sleep 0.05; done
        {chr(10).join(block.lines).replace(JOURNAL, str(journal))}
        kill -TERM $master 2>/dev/null
        wait $master 2>/dev/null
        cat log
    """
    process = subprocess.Popen(
        [*apart(), "bash", "-c", script], cwd=tmp_path, text=True,
        env=environment(shims, JOURNAL=str(journal), **QUICK),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        end_group(process)
    position = 0
    for pattern in SEEN_BY_HAND[folder]:
        found = re.compile(pattern).search(output, position)
        assert found, f"{pattern!r} did not come, or not in its place:\n{output}"
        position = found.end()
