"""The rooms of the harness: which may import which. Arrows go down only, and there is no circle."""
from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Iterator

import pytest

from harness.system.places import HARNESS, ROOT

MAY_IMPORT = {
    "system": set[str](),
    "judging": {"system"},
    "clients": {"system", "judging"},
    "cluster": {"system", "judging", "clients"},
    "checks": {"system", "judging", "clients", "cluster"},
    "telling": {"system", "judging"},
    "picture": {"system", "judging"},
    "plugin": {"system", "judging", "cluster", "telling", "picture"},
    "learner": {"system", "judging", "clients", "cluster", "picture", "plugin"},
    "classroom": {"system", "judging", "cluster", "telling", "plugin"},
    "proof": {"system", "judging", "classroom"},
    "test_ex": {"system", "judging", "clients", "cluster", "checks"},
    "conftest": {"plugin", "learner"},
}
"""Room → the rooms whose modules its own may import.

The checklists and conftest.py stand beside the rooms.
"""
APART = ("tests", "foreign")
"""Tests may import anything. Foreign programs are no part of the harness."""
MOST_LINES = 300
MODULE = re.compile(r"harness(\.\w+)+")


def modules() -> dict[str, Path]:
    """Dotted name → file."""
    files = [file for file in HARNESS.rglob("*.py")
             if not set(APART) & set(file.relative_to(HARNESS).parts)]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files)}


def imported(source: str, known: set[str]) -> set[str]:
    """The modules of the harness that a source imports, wherever in it.

    A string that is a module's name counts too: somebody else loads the module then.
    A name that is put together at run time is not seen: so the checklists are loaded, by the
    plugin and by play.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"imports are absolute, line {node.lineno} is not"
            names |= {node.module or "", *(f"{node.module}.{one.name}" for one in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value} if MODULE.fullmatch(node.value) else set()
    return names & known


def room_of(module: str) -> str:
    place = (module.split(".") + [""])[1]
    return "test_ex" if place.startswith("test_ex") else place


def wrong_arrows(arrows: dict[str, set[str]]) -> Iterator[str]:
    for module, targets in arrows.items():
        for target in sorted(targets):
            room, aim = room_of(module), room_of(target)
            if room != aim and aim not in MAY_IMPORT[room]:
                yield f"{module} → {target}"


def circle(arrows: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    found = modules()
    sources = {name: file.read_text(encoding="utf-8") for name, file in found.items()}
    return {name: imported(source, set(found)) - {name} for name, source in sources.items()}


def test_arrows_go_down_only(arrows: dict[str, set[str]]) -> None:
    assert list(wrong_arrows(arrows)) == []


def test_there_is_no_circle(arrows: dict[str, set[str]]) -> None:
    assert circle(arrows) == []
    assert circle(dict(MAY_IMPORT)) == []


def test_every_room_is_used_and_has_its_tests(arrows: dict[str, set[str]]) -> None:
    rooms = {room_of(name) for name in arrows} - {""}
    assert rooms == set(MAY_IMPORT)
    tests = HARNESS / "tests"
    tested = {file.relative_to(tests).parts[0] for file in tests.glob("*/**/test_*.py")}
    assert tested == rooms - {"test_ex", "conftest"}


@pytest.mark.parametrize(("source", "target"), [
    ("from harness.cluster.fixture import Fixture", "harness.cluster.fixture"),
    ("from harness.cluster import fixture", "harness.cluster.fixture"),
    ("import harness.telling.story", "harness.telling.story"),
    ("def f() -> None:\n    import harness.picture.timeline", "harness.picture.timeline"),
    ("pytest_plugins = ['harness.plugin.hooks']", "harness.plugin.hooks")])
def test_a_forbidden_import_is_found(source: str, target: str) -> None:
    found = wrong_arrows({"harness.judging.toy": imported(source, set(modules()))})
    assert f"harness.judging.toy → {target}" in list(found)


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_a_module_is_short() -> None:
    files = [file for file in (*HARNESS.rglob("*.py"), *HARNESS.rglob("*.js"))
             if "foreign" not in file.parts]  # those are programs, each with one main line
    lengths = {str(file.relative_to(HARNESS)): len(file.read_text(encoding="utf-8").splitlines())
               for file in files}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
