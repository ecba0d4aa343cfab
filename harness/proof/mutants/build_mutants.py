"""Builds mutants, some thirty in one program as wrong programs are; drops those that do not
compile."""
from __future__ import annotations

import re
import subprocess
from typing import Callable, Iterator

from harness.proof.build_programs import together
from harness.proof.mutants.mutate import Mutant
from harness.system.places import ROOT

FOLDER = ROOT / "build/dev/mutants"
AT_ONCE = 30
"""Mutants in one source: more make the compiler need more than a gigabyte."""
MOST_TRIES = 5
"""A compiler may find further errors when the first ones are gone."""
ERROR = re.compile(r"^(?:.*/)?(ex\d-[0-9a-f]{12})\.cpp:\d+:\d+: (?:fatal )?error: ", re.MULTILINE)


class NotBuilt(Exception):
    """The compiler refuses a program, and names no mutant."""


def build(mutants: list[Mutant], tell: Callable[[str], None]) -> list[Mutant]:
    """Returns those that compile; their programs are in FOLDER/bin, by their keys."""
    groups = dict(grouped(mutants))
    for _ in range(MOST_TRIES):
        write_sources(groups)
        tell(f"building {sum(map(len, groups.values()))} mutants")
        # With -k 0 the compiler is shown all of them, though it refuses one.
        made = subprocess.run([str(ROOT / ".ci/build"), "dev", "-k", "0", *groups], cwd=ROOT,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode == 0:
            link_names(groups)
            return [one for group in groups.values() for one in group]
        refused = set(ERROR.findall(made.stdout))
        if not refused:
            raise NotBuilt(made.stdout[-3000:])
        groups = {name: [one for one in group if one.key not in refused]
                  for name, group in groups.items()}
    raise NotBuilt(f"there are still errors after {MOST_TRIES} tries")


def grouped(mutants: list[Mutant]) -> Iterator[tuple[str, list[Mutant]]]:
    """Name of the program → those in it."""
    for number in sorted({one.exercise for one in mutants}):
        own = [one for one in mutants if one.exercise == number]
        for first in range(0, len(own), AT_ONCE):
            yield f"mutants-ex{number}-{first // AT_ONCE}", own[first:first + AT_ONCE]


def write_sources(groups: dict[str, list[Mutant]]) -> None:
    """Files that stay the same keep their time."""
    (FOLDER / "bin").mkdir(parents=True, exist_ok=True)
    for name, group in groups.items():
        file = FOLDER / f"{name}.cpp"
        text = together({one.key: one.source for one in group})
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for stale in set(FOLDER.glob("*.cpp")) - {FOLDER / f"{name}.cpp" for name in groups}:
        stale.unlink()


def link_names(groups: dict[str, list[Mutant]]) -> None:
    for link in (FOLDER / "bin").iterdir():
        if link.is_symlink():
            link.unlink()
    for name, group in groups.items():
        for one in group:
            (FOLDER / "bin" / one.key).symlink_to(name)
