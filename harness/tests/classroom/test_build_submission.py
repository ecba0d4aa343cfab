"""What a submission is built against, and what it can reach meanwhile."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from harness.classroom import build_submission
from harness.cluster.isolation import Isolation
from harness.system.places import ROOT
from harness.tests.sandbox import NEEDS_SANDBOX

BUILD = """
import json, sys
from pathlib import Path
from harness.classroom import build_submission
from harness.cluster.isolation import Isolation, choose
build_submission.SECONDS = int(sys.argv[3])
isolation = choose(True) if sys.argv[2] == "sandbox" else Isolation()
program = Path(sys.argv[1])
built = build_submission.build(sys.stdin.buffer.read(), 1, program, isolation)
print(json.dumps({**vars(built), "made": program.exists()}))
"""
"""In a process of its own, since it leaves the machine's network."""
STARTER = next((ROOT / "exercises").glob("ex1_*")) / "main.cpp"


def build(folder: Path, source: str, how: str = "sandbox", seconds: int = 60) -> dict[str, Any]:
    words = [sys.executable, "-c", BUILD, str(folder / "program"), how, str(seconds)]
    done = subprocess.run(words, cwd=ROOT, input=source, stdout=subprocess.PIPE, text=True,
                          check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("how", [pytest.param("sandbox", marks=NEEDS_SANDBOX), "none"])
def test_a_starter_becomes_a_program(tmp_path: Path, how: str) -> None:
    built = build(tmp_path, STARTER.read_text(encoding="utf-8"), how)
    assert (built["problem"], built["made"]) == ("", True), built
    refused = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True,
                             env={"WORKERS": "none"}, timeout=20)
    assert refused.returncode == 2 and "WORKERS" in refused.stderr


@NEEDS_SANDBOX
@pytest.mark.parametrize("file", [f"{ROOT}/solutions/ex1_graceful_shutdown/main.cpp",
                                  f"{ROOT}/harness/conftest.py", f"{ROOT}/Makefile",
                                  "another's", "/etc/shadow"])
def test_the_compiler_does_not_see_what_is_not_for_it(tmp_path: Path, file: str) -> None:
    if file == "another's":
        file = str(tmp_path / "main.cpp")
        Path(file).write_text("a secret")
    built = build(tmp_path, f'#include "{file}"\nint main() {{}}\n')
    refused = "Permission denied" if file == "/etc/shadow" else "No such file"
    assert Path(file).exists() and not built["made"] and refused in built["log"], built


@pytest.mark.parametrize("how", [pytest.param("sandbox", marks=NEEDS_SANDBOX), "none"])
def test_errors_are_told_without_paths_of_this_machine(tmp_path: Path, how: str) -> None:
    built = build(tmp_path, '#include "cluster/worker.hpp"\nint main() { cluster::Worker x; }', how)
    assert not built["made"] and "does not compile" in built["problem"]
    assert "main.cpp:2:" in built["log"] and "common/include/cluster/worker.hpp" in built["log"]
    assert str(ROOT) not in built["log"] and "/tmp" not in built["log"]


@pytest.mark.parametrize("how", [pytest.param("sandbox", marks=NEEDS_SANDBOX), "none"])
def test_a_build_ends_by_its_time(tmp_path: Path, how: str) -> None:
    waits = '#include "/proc/self/fd/0"\n'  # nothing: standard input is empty
    endless = ("template <int n> struct A { using type = typename A<n + 1>::type; "
               "static constexpr int value = A<n + 1>::value + A<n + 2>::value; };\n"
               "#pragma GCC optimize(\"O3\")\n"
               "constexpr int f(int n) { int s = 0; for (int i = 0; i < n; ++i) "
               "for (int k = 0; k < n; ++k) s ^= k; return s; }\n")
    calls = "".join(f"constexpr int x{n} = f(4000 + {n});\n" for n in range(2000))
    built = build(tmp_path, f"{waits}{endless}{calls}int main() {{}}\n", how, seconds=2)
    assert not built["made"] and not built["in_time"], built["log"][-500:]
    assert "ended after 2 s" in built["problem"]


def test_a_machine_that_builds_nothing_is_no_fault_of_the_source(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_submission, "as_user", lambda _: ["sh", "-c", "echo no disk >&2"])
    with pytest.raises(build_submission.NoBuild, match="no disk"):
        build_submission.build(b"int main() {}", 1, tmp_path / "program", Isolation())
    assert not (tmp_path / "program").exists()


@NEEDS_SANDBOX
@pytest.mark.parametrize("source", ['#include "/dev/zero"\n', '#include "main.cpp"\n',
                                    "char large[3u << 30] = {1};\nint main() {}\n",
                                    'asm(".fill 200000000, 1, 0");\nint main() {}\n'])
def test_what_is_too_large_does_not_compile(tmp_path: Path, source: str) -> None:
    built = build(tmp_path, source)
    assert not built["made"] and "does not compile" in built["problem"]
    assert len(built["log"]) < 300_000


@pytest.mark.parametrize("healthy", (True, False))
def test_a_machine_that_builds_nothing_is_not_the_sources_fault(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, healthy: bool) -> None:
    def run(lines: object, content: IO[bytes], made: IO[bytes], said: IO[bytes],
            isolation: Isolation) -> tuple[int, bool]:
        said.write(f"{build_submission.BEGUN}\n".encode())
        works = healthy and content.read() == build_submission.SMALLEST
        made.write(b"a program" * works)
        return int(not works), True

    monkeypatch.setattr(build_submission, "run", run)
    monkeypatch.setattr(build_submission, "compile_lines", lambda _: [])
    if healthy:
        built = build_submission.build(b"int main(", 1, tmp_path / "program", Isolation())
        assert "does not compile" in built.problem and not (tmp_path / "program").exists()
        return
    with pytest.raises(build_submission.NoBuild):
        build_submission.build(b"int main(", 1, tmp_path / "program", Isolation())
