"""Makes the wrong programs: edits the solutions and has them compiled, all at once.

A program that has not changed is not built again.
"""
from __future__ import annotations

import importlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.proof.wrong_program import Wrong, apply
from harness.system.places import HARNESS, ROOT

SOURCES = ROOT / "build/dev/wrong"
FOREIGN = ROOT / "harness/proof/foreign"
GO = ROOT / "build/go"


@dataclass(frozen=True)
class Exercise:
    number: int
    folder: str
    """As in exercises/, solutions/ and harness/test_*.py."""
    wrong: tuple[Wrong, ...]


def exercises() -> list[Exercise]:
    found = []
    for checklist in sorted(HARNESS.glob("test_ex*.py")):
        folder = checklist.stem.removeprefix("test_")
        number = int(folder[2])
        module = importlib.import_module(f"harness.proof.wrong_programs.ex{number}")
        found.append(Exercise(number, folder, module.WRONG))
    return found


def source(exercise: Exercise) -> Path:
    """All wrong programs of an exercise are one program: the name by which it is called says which
    it is."""
    return SOURCES / f"wrong-ex{exercise.number}.cpp"


def binary(exercise: Exercise, wrong: Wrong) -> Path:
    return SOURCES / f"bin/ex{exercise.number}-{wrong.name}"


def write_sources() -> None:
    """One file an exercise, and nothing else; files that stay the same keep their time."""
    SOURCES.mkdir(parents=True, exist_ok=True)
    kept = set()
    for exercise in exercises():
        solution = (ROOT / "solutions" / exercise.folder / "main.cpp").read_text(encoding="utf-8")
        file = source(exercise)
        kept.add(file)
        text = together({binary(exercise, wrong).name: apply(wrong, solution)
                         for wrong in exercise.wrong})
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for stale in set(SOURCES.glob("*.cpp")) - kept:
        stale.unlink()


def together(programs: dict[str, str]) -> str:
    """Name → source, as one source: each in a namespace of its own, so that the headers that they
    share are compiled once (a sixth of the time)."""
    includes: dict[str, None] = {}
    spaces, choices = [], []
    for name, text in programs.items():
        space = name.replace("-", "_")
        lines = text.split("\n")
        includes.update({line: None for line in lines if line.startswith("#include")})
        body = "\n".join("" if line.startswith("#include") else line for line in lines)
        spaces.append(f'namespace {space} {{\n#line 1 "{name}.cpp"\n{body}}}  '
                      f"// namespace {space}\n")
        choices.append(f'  if (called == "{name}") return {space}::main(argc, argv);\n')
    return "".join(["#include <cstdio>\n", *(f"{line}\n" for line in includes), *spaces,
                    "int main(int argc, char** argv) {\n",
                    "  const std::string called = program_invocation_short_name;\n", *choices,
                    '  std::fputs("there is no wrong program of this name\\n", stderr);\n',
                    "  return 2;\n}\n"])


def link_names() -> None:
    """Links that are right stay as they are: nobody who grades one meanwhile misses it."""
    wanted = {binary(exercise, wrong): source(exercise).stem
              for exercise in exercises() for wrong in exercise.wrong}
    programs = set(wanted.values())
    for found in (SOURCES / "bin").iterdir():
        right = found.is_symlink() and wanted.get(found) == os.readlink(found)
        if found.name not in programs and not right:
            found.unlink()
    for link, name in wanted.items():
        if not link.is_symlink():
            link.symlink_to(name)


def go_binary(number: int) -> Path:
    return GO / f"bin/ex{number}"


def build_go(number: int) -> None:
    """Raises CalledProcessError when it does not compile; the compiler has said why."""
    environment = {**os.environ, "GOCACHE": str(GO / "cache"), "GOPROXY": "off",
                   "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", str(go_binary(number)), "."], check=True,
                   cwd=FOREIGN / f"ex{number}", env=environment)


def build(targets: list[str]) -> None:
    """Raises NoSuchText when an edit does not apply, CalledProcessError when a program does not
    compile; the compiler has said why."""
    write_sources()
    subprocess.run([str(ROOT / ".ci/build"), "dev", *targets], cwd=ROOT, check=True)
    link_names()
