"""Builds a submission against the kit's library, in a sandbox of its own.

The compiler sees the system, the library's headers and the library as it was built, and one file
of the learner: neither the solutions nor the harness nor anybody's home. It has no network. What it
writes it writes into memory; the program comes out through a pipe.
"""
from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.cluster.isolation import Isolation, choose, sandbox
from harness.cluster.system_calls import filter_file
from harness.system.places import ROOT

SECONDS = 60
"""Of the clock, and of processor time for each process. On two cores a build takes about five."""
MOST_MEMORY = 2 * 1024 * 1024 * 1024
"""Bytes of address space of each process. The compiler needs 0.7 GiB."""
MOST_WRITTEN = 64 * 1024 * 1024
"""Bytes of each file; and of all files together, as the sandbox has no more."""
MOST_SAID = 256 * 1024
"""Bytes that are kept of what the compiler says."""
TREE = ROOT / "build/dev"
INSIDE = Path("/tmp/main.cpp")
BEGUN = "the build begins"
"""The first line in the sandbox. Without it the fault is not the source's."""
SMALLEST = b'#include "cluster/cluster.hpp"\nint main() {}\n'


@dataclass(frozen=True)
class Built:
    log: str
    """What the compiler said. Paths of this machine do not stand in it."""
    problem: str = ""
    """Why there is no program; a sentence."""
    in_time: bool = True


class NoBuild(Exception):
    """This machine could not build anything, whatever the source is."""


class NoTree(Exception):
    """The kit itself is not built; the text says what to do."""


def prepare(exercise: int) -> str:
    """Build what submissions are built against, and try it: a fault of the machine must not be
    taken for one of all submissions. Returns how they are isolated. Raises NoTree."""
    done = subprocess.run([str(ROOT / ".ci/build"), "dev", "cluster", "cluster-pch"], cwd=ROOT)
    if done.returncode != 0:
        raise NoTree("the kit's own library does not compile")
    tried = subprocess.run([sys.executable, "-m", "harness.classroom.build_submission",
                            str(exercise)], cwd=ROOT, capture_output=True, text=True)
    if tried.returncode != 0:
        raise NoTree(f"nothing can be built on this machine: {tried.stdout}{tried.stderr}")
    return tried.stdout.strip()


def main() -> int:
    """In a process of its own, as it leaves the machine's network."""
    with tempfile.TemporaryDirectory() as folder:
        isolation = choose(True)
        built = build(SMALLEST, int(sys.argv[1]), Path(folder) / "program", isolation)
        print(isolation if not built.problem else f"{built.problem} {built.log}")
    return 1 if built.problem else 0


def build(source: bytes, exercise: int, program: Path, isolation: Isolation) -> Built:
    """Compile the source, and write the program there if that succeeds. Raises NoBuild."""
    with tempfile.TemporaryFile() as content, tempfile.TemporaryFile() as said:
        content.write(source)
        content.seek(0)
        with open(program, "wb") as made:
            code, in_time = run(compile_lines(exercise), content, made, said, isolation)
        before, begun, log = readable(said).partition(f"{BEGUN}\n")
    if not begun:
        program.unlink()
        raise NoBuild(f"no compiler could be started: {before}")
    if code == 0 and program.stat().st_size > 0:
        program.chmod(0o755)
        return Built(log)
    program.unlink()
    if not in_time:
        return Built(log, f"the build was ended after {SECONDS} s", in_time=False)
    if source != SMALLEST and build(SMALLEST, exercise, program, isolation).problem:
        raise NoBuild("nothing can be built here")
    program.unlink(missing_ok=True)
    return Built(log, "main.cpp does not compile: the first error in the log is the one to mend")


def run(lines: list[list[str]], content: IO[bytes], made: IO[bytes], said: IO[bytes],
        isolation: Isolation) -> tuple[int, bool]:
    """The exit code of the compiler, and whether it ended in time."""
    script = " && ".join(shlex.join(line) for line in lines)
    script = f"echo {BEGUN} >&2; {{ {script}; }} >&2 && exec cat main"
    if isolation.bubblewrap:
        return in_sandbox(script, content, made, said, isolation)
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder) / INSIDE.name, "wb") as file:
            shutil.copyfileobj(content, file)
        if isolation.user is not None:
            os.chown(folder, isolation.user, isolation.user)
        words = [*as_user(isolation), "sh", "-c", script]
        return ended(words, Path(folder), made, said)


def in_sandbox(script: str, content: IO[bytes], made: IO[bytes], said: IO[bytes],
               isolation: Isolation) -> tuple[int, bool]:
    forbidden = filter_file()
    try:
        words = sandbox(needed(), [], {str(INSIDE): content.fileno()}, forbidden)
        words[1:1] = ["--unshare-net"]
        if isolation.user is None:  # there is nobody else to become
            words[-1:-1] = ["--cap-drop", "ALL"]
        script = f"cd {INSIDE.parent} && {script}"
        return ended([*words, *as_user(isolation), "sh", "-c", script], Path("/"), made, said,
                     (content.fileno(), forbidden))
    finally:
        os.close(forbidden)


def as_user(isolation: Isolation) -> list[str]:
    if isolation.user is None:
        return []
    user = str(isolation.user)
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]


def ended(words: list[str], folder: Path, made: IO[bytes], said: IO[bytes],
          passed: tuple[int, ...] = ()) -> tuple[int, bool]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=made, stderr=said,
                          pass_fds=passed, env=environment, start_new_session=True,
                          preexec_fn=limit) as compiler:
        try:
            return compiler.wait(SECONDS), True
        except subprocess.TimeoutExpired:
            return 1, False
        finally:
            if compiler.poll() is None:
                os.killpg(compiler.pid, signal.SIGKILL)


def limit() -> None:
    for kind, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_FSIZE, MOST_WRITTEN),
                       (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def compile_lines(exercise: int) -> list[list[str]]:
    """What ninja runs for the starter, for the file main.cpp in the working directory. Raises
    NoTree."""
    asked = subprocess.run(["ninja", "-C", str(TREE), "-t", "commands", f"ex{exercise}"],
                           capture_output=True, text=True)
    found = [shlex.split(line.removeprefix(": && ").removesuffix(" && :"))
             for line in asked.stdout.splitlines()[-2:]]
    if asked.returncode != 0 or len(found) != 2:
        raise NoTree(f"build the kit first: make ex{exercise}")
    compiler, linker = found
    return [[*kept(compiler, {"-o": "main.o", "-c": INSIDE.name}), "-fdiagnostics-color=never"],
            [*kept(linker, {"-o": "main"}), "-Wl,--strip-debug"]]  # 3 MB instead of 25


def kept(words: list[str], others: dict[str, str]) -> list[str]:
    """The words of a command with other files; without notes on what depends on what, and with no
    warning as an error."""
    found: list[str] = []
    left = iter(words)
    for word in left:
        if word in others:
            next(left)
            found += [word, others[word]]
        elif word in ("-MT", "-MF"):
            next(left)
        elif word.endswith("main.cpp.o"):
            found.append("main.o")
        elif word not in ("-MD", "-Werror"):
            inside = not word.startswith("-") and (TREE / word).exists()
            found.append(str(TREE / word) if inside else word)
    return found


def needed() -> list[Path]:
    """What the compiler has to see of the kit."""
    return [ROOT / "common/include", TREE / "common/libcluster.a",
            TREE / "common/CMakeFiles/cluster-pch.dir"]


def readable(said: IO[bytes]) -> str:
    said.seek(0)
    text = said.read(MOST_SAID + 1).decode(errors="replace")
    cut = "\n… (the rest is left out)\n" if len(text) > MOST_SAID else ""
    return text[:MOST_SAID].replace(f"{ROOT}/", "") + cut


if __name__ == "__main__":
    sys.exit(main())
