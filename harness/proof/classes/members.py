"""A class whose verdicts are known: solutions, starters, wrong programs, cheats, broken sources,
folders without one, archives, and names that no registrar would give."""
from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path

from harness.proof.build_programs import Exercise, exercises
from harness.proof.wrong_program import apply
from harness.system.places import ROOT

NUMBER = 1
"""The exercise that the class has handed in."""
TOO_LONG = 1024 * 1024 + 1
"""Bytes: one more than a submission may have."""
HEAD = "".join(f"#include <{name}>\n" for name in (
    "unistd.h", "csignal", "cstdio", "fstream", "string", "vector"))
CHEATS = {
    "runs_the_solution": f'int main() {{ execl("{ROOT}/build/bin/ex1-solution", "ex1", nullptr); '
                         'execl("build/bin/ex1-solution", "ex1", nullptr); }',
    "writes_results": "int main() { for (auto name : {\"result.json\", \"../result.json\", "
                      '"/tmp/result.json", "report.html"}) std::ofstream(name) << '
                      "\"{\\\"state\\\": \\\"graded\\\"}\"; }",
    "forks_without_end": "int main() { for (;;) fork(); }",
    "takes_all_memory": "int main() { std::vector<char*> all; for (;;) { "
                        "all.push_back(new char[1 << 24]()); } }",
    "shows_the_environment": "extern char** environ; int main() { for (auto one = environ; *one; "
                             'one++) puts(*one); for (auto name : {"/etc/shadow", '
                             '"/etc/gshadow"}) { std::ifstream file(name); std::string line; '
                             "while (std::getline(file, line)) puts(line.c_str()); } }",
    "writes_escapes": 'int main() { puts("\\x1b[2J\\x1b]0;gone\\x07<script>alert(1)</script>'
                      '=cmd()"); }',
    "leaves_a_process": "int main() { if (fork() == 0) { setsid(); if (fork() == 0) "
                        "sleep(600); } }",
    "never_begins": "int main() { for (;;) pause(); }",
    "ends_at_once": "int main() {}",
    "ends_its_group": "int main() { kill(0, SIGKILL); }",
}
"""What is made of each gets no item."""
SLOW = ("forks_without_end", "never_begins")
"""They take a minute, and some seconds."""
BROKEN = {
    "a brace is missing": b"int main() {\n",
    "unknown names": b'#include "cluster/cluster.hpp"\nint main() { return cluster::nothing(); }\n',
    "no main": b'#include "cluster/cluster.hpp"\nint helper() { return 1; }\n',
    "empty": b"",
    "no text": bytes(range(256)) * 16,
    "UTF-16": "int main() {}\n".encode("utf-16"),
    "includes the solution": b'#include "../../solutions/ex1_graceful_shutdown/main.cpp"\n',
    "embeds the solution": f'asm(".incbin \\"{ROOT}/build/bin/ex1-solution\\"");\n'.encode(),
    "includes itself": b"#include __FILE__\n#include __FILE__\nint main() {}\n",
    "includes a device": b'#include "/dev/zero"\nint main() {}\n',
    "a large array": b"char large[2LL << 30] = {1}; int main() {}\n",
    "too long": b"/" * TOO_LONG,
    "says what must not be shown": b'#error "\x1b[2J<script>alert(1)</script>"\nint main() {}\n',
}
NAMES = (
    "Ada Lovelace", "O'Neill", 'Robert "Bob" Tables', "..hidden", "a..b", "...", "-rf", "~root",
    "$(touch gone)", "`id`", "=HYPERLINK(0)", "+1", "@sum", "<img src=x onerror=alert(1)>",
    "&amp;", "semi;colon", "new\nline", "tab\there", "\x1b[31mred", "Ünïcode", "李小龙", "Мария",
    "👩‍🎓", "e\u0301 and \u00e9", "\u202egnp.exe", "x" * 200, "é" * 100, "percent%2e%2e",
    "back\\slash", "con", "star*?", "ADA LOVELACE")


@dataclass(frozen=True)
class Member:
    kind: str
    files: dict[str, bytes]
    """Below the student's folder."""
    states: tuple[str, ...] = ("graded",)
    passes: int | None = None
    """So many items, and no other number."""
    fails: int | None = None
    """This item does not pass; 0: the common ground."""
    packed: str = ""
    """zip or tar.gz: the student's folder is such an archive."""


def members(count: int) -> list[tuple[str, Member]]:
    """The students and what they hand in: all kinds, those that are graded once more, and then what
    is graded quickly. No two of the latter have the same checksum."""
    found = [*names_and_oddities()]
    graded = [*right(), *wrong(), *cheats()]
    quick = [right()[1], *(one for one in cheats() if one.kind not in SLOW)]
    more = chain(graded, graded, cycle(quick))
    for number, one in enumerate(islice(more, max(0, count - len(found)))):
        source = one.files["main.cpp"] + f"\n// student {number}\n".encode()
        kept = Member(one.kind, {"main.cpp": source}, one.states, one.passes, one.fails)
        found.append((f"student-{number:03}", kept))
    return found[:count]


def exercise() -> Exercise:
    return next(one for one in exercises() if one.number == NUMBER)


def main_of(top: str) -> bytes:
    return (ROOT / top / exercise().folder / "main.cpp").read_bytes()


def right() -> list[Member]:
    return [Member("solution", {"main.cpp": main_of("solutions")}, passes=5),
            Member("starter", {"main.cpp": main_of("exercises")}, passes=0)]


def wrong() -> list[Member]:
    solution = main_of("solutions").decode()
    return [Member(one.name, {"main.cpp": apply(one, solution).encode()}, fails=one.item)
            for one in exercise().wrong if not one.real_time]


def cheats() -> list[Member]:
    return [Member(name, {"main.cpp": f"{HEAD}{text}\n".encode()}, passes=0)
            for name, text in CHEATS.items()]


def names_and_oddities() -> list[tuple[str, Member]]:
    solution, starter = right()
    failed = ("build-failed",)
    broken = [Member(name, {"main.cpp": text}, failed) for name, text in BROKEN.items()]
    endless = Member("compiles without end", {"main.cpp": (
        "template <unsigned long long N, int D> struct T : T<2 * N, D - 1>, T<2 * N + 1, D - 1> "
        "{};\ntemplate <unsigned long long N> struct T<N, 0> {};\nT<1, 40> t;\n"
        "int main() {}\n").encode()}, ("build-timeout", "build-failed"))
    without = [Member("no file", {}, failed),
               Member("other files", {"Makefile": b"all:\n\ttouch gone\n"}, failed),
               Member("another exercise", {"ex2/main.cpp": solution.files["main.cpp"]}, failed)]
    more = {"Makefile": b"all:\n\ttouch gone\n", "conftest.py": b"raise SystemExit(0)\n",
            "harness/test_ex1_graceful_shutdown.py": b"def test_all(): pass\n"}
    beside = [Member("solution with a harness", {**solution.files, **more}, passes=5),
              Member("starter with a harness", {**starter.files, **more}, passes=0)]
    packed = [Member(f"{one.kind} in {kind}", one.files, one.states, one.passes, packed=kind)
              for kind in ("zip", "tar.gz") for one in (solution, starter)]
    bad = Member("damaged archive", {"main.cpp": b"\0" * 100}, failed, packed="damaged")
    plain = [*beside, *broken, endless, *without, *packed, bad]
    odd = zip(NAMES, cycle([*cheats(), starter, *broken]))
    return [*((one.kind.replace(" ", "-"), one) for one in plain), *odd]


def write(students: list[tuple[str, Member]], place: Path) -> None:
    place.mkdir(parents=True)
    for name, one in students:
        if one.packed:
            (place / f"{name}.{one.packed.replace('damaged', 'zip')}").write_bytes(packed(one))
            continue
        (place / name).mkdir()
        for file, content in one.files.items():
            path = place / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def packed(one: Member) -> bytes:
    made = io.BytesIO()
    if one.packed == "tar.gz":
        with tarfile.open(fileobj=made, mode="w:gz") as tar:
            for name, content in one.files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return made.getvalue()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in one.files.items():
            archive.writestr(name, content)
    return made.getvalue()[:-30] if one.packed == "damaged" else made.getvalue()
