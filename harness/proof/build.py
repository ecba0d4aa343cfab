"""Makes the wrong programs: edits the solutions and has them compiled, all at once; what has not changed is not built again."""
from __future__ import annotations

import importlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .wrong import Wrong, apply

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "build/dev/wrong"


@dataclass(frozen=True)
class Exercise:
    number: int
    folder: str
    """As in exercises/, solutions/ and harness/test_*.py."""
    wrong: tuple[Wrong, ...]


def exercises() -> list[Exercise]:
    found = []
    for main in sorted(ROOT.glob("solutions/ex*/main.cpp")):
        folder = main.parent.name
        number = int(folder[2])
        found.append(Exercise(number, folder, importlib.import_module(f"proof.ex{number}").WRONG))
    return found


def binary(exercise: Exercise, wrong: Wrong) -> Path:
    return SOURCES / f"bin/ex{exercise.number}-{wrong.name}"


def write_sources() -> None:
    """Every wrong program of every exercise, and nothing else; files that stay the same keep their time."""
    SOURCES.mkdir(parents=True, exist_ok=True)
    names = set()
    for exercise in exercises():
        solution = (ROOT / "solutions" / exercise.folder / "main.cpp").read_text(encoding="utf-8")
        for wrong in exercise.wrong:
            file = SOURCES / f"{binary(exercise, wrong).name}.cpp"
            names.add(file.name)
            text = apply(wrong, solution)
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                file.write_text(text, encoding="utf-8")
    for stale in SOURCES.glob("*.cpp"):
        if stale.name not in names:
            stale.unlink()


def build(targets: list[str]) -> None:
    """Throws NoSuchText when an edit does not apply, CalledProcessError when something does not compile; the compiler has said why."""
    write_sources()
    subprocess.run([str(ROOT / ".ci/build"), "dev", *targets], cwd=ROOT, check=True)
