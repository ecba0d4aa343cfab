"""Makes what another system wants of a grader: for Gradescope a zip file with the kit, for GitHub
Classroom a workflow file, for PrairieLearn the script of a container.

Usage: make gradescope|github-classroom|prairielearn EX=1
"""
from __future__ import annotations

import argparse
import os
import sys
import zipfile
from pathlib import Path
from typing import Iterator

from harness.system.places import HARNESS, ROOT

ASSETS = Path(__file__).parent / "assets"
PLACE = ROOT / "build/classroom"
PARTS = (".ci", "CMakeLists.txt", "Makefile", "common", "exercises", "harness", "solutions")
APART = {"__pycache__", ".mypy_cache", ".pytest_cache"}
EXECUTABLE = 0o100755 << 16
"""Of a member of a zip file."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes what another system wants of a grader.")
    parser.add_argument("system", choices=MAKERS)
    parser.add_argument("--exercise", type=int, choices=range(1, 6), required=True)
    asked = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    print(MAKERS[asked.system](asked.exercise).relative_to(ROOT))
    return 0


def filled(asset: Path, exercise: int) -> str:
    checklist = next(HARNESS.glob(f"test_ex{exercise}_*.py"))
    text = asset.read_text(encoding="utf-8").replace("@EX@", str(exercise))
    return text.replace("@FOLDER@", checklist.stem.removeprefix("test_"))


def gradescope(exercise: int) -> Path:
    file = PLACE / f"gradescope-ex{exercise}.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for asset in sorted((ASSETS / "gradescope").iterdir()):
            member = zipfile.ZipInfo(asset.name)
            member.external_attr = EXECUTABLE
            packed.writestr(member, filled(asset, exercise))
        for path in kit_files():
            packed.write(path, f"kit/{path.relative_to(ROOT)}")
    return file


def kit_files() -> Iterator[Path]:
    for part in PARTS:
        for folder, below, names in os.walk(ROOT / part):
            below[:] = sorted(set(below) - APART)
            yield from (Path(folder) / name for name in sorted(names))
        if (ROOT / part).is_file():
            yield ROOT / part


def github_classroom(exercise: int) -> Path:
    return written("github-classroom.yml", f"github-classroom-ex{exercise}.yml", exercise)


def prairielearn(exercise: int) -> Path:
    file = written("prairielearn-run.sh", f"prairielearn-ex{exercise}.sh", exercise)
    file.chmod(0o755)
    return file


def written(asset: str, name: str, exercise: int) -> Path:
    file = PLACE / name
    file.write_text(filled(ASSETS / asset, exercise), encoding="utf-8")
    return file


MAKERS = {"gradescope": gradescope, "github-classroom": github_classroom,
          "prairielearn": prairielearn}


if __name__ == "__main__":
    sys.exit(main())
