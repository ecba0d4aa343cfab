"""The examples in the headers, and the C++ of the READMEs, compile."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from shell import ROOT

HEADERS = sorted((ROOT / "common/include/cluster").glob("*.hpp"))
ALL_IN_ONE = "cluster.hpp"  # only includes others
READMES = [ROOT / "common/README.md", ROOT / "exercises/README.md"]
# What a snippet of a README may take for granted.
ASSUMED = """
#include <cluster/cluster.hpp>
#include <cluster/state_table.hpp>
#include <cluster/system.hpp>
#include <cluster/time_span.hpp>
#include <fcntl.h>
#include <unistd.h>
#include <csignal>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
"""


def example_of(header: Path) -> str:
    """The indented lines below `// Example:`, at the top of the header."""
    found = re.match(r"#pragma once\n\n// Example:\n//\n((//   .*\n|//\n)+)\n", header.read_text())
    if not found:
        raise AssertionError(f"{header.name} does not begin with an example")
    return "".join(line.removeprefix("//").removeprefix("   ") + "\n"
                   for line in found[1].splitlines())


def snippets_of(readme: Path) -> list[str]:
    return re.findall(r"^```cpp\n(.*?)^```$", readme.read_text(), re.DOTALL | re.MULTILINE)


def compiler_command() -> list[str]:
    """That of an exercise, up to its source file; it only checks the syntax."""
    entries = json.loads((ROOT / "build/dev/compile_commands.json").read_text())
    entry = next(one for one in entries if one["file"].endswith("ex1_graceful_shutdown/main.cpp"))
    words = shlex.split(entry["command"])
    words = words[:words.index("-o")]
    return [*words, "-fsyntax-only", "-Wno-unused", "-Werror", "-x", "c++", "-"]


def compiles(parts: dict[str, str]) -> None:
    """Each part is a whole program, a list of definitions, or the body of a function."""
    source = ASSUMED
    for name, text in parts.items():
        is_body = not re.search(r"^(class|struct|int|void|template|bool)\b.*\{", text, re.MULTILINE)
        body = f"void example() {{\n{text}\n}}" if is_body else text
        space = re.sub(r"\W", "_", name)
        source += f'namespace example_{space} {{\n#line 1 "{name}"\n{body}\n}}\n'
    done = subprocess.run(compiler_command(), input=source, capture_output=True, text=True,
                          cwd=ROOT / "build/dev", timeout=300)
    assert done.returncode == 0, done.stderr


def test_each_header_opens_with_an_example() -> None:
    examples = {header.name: example_of(header) for header in HEADERS if header.name != ALL_IN_ONE}
    assert len(examples) >= 18
    for name, text in examples.items():
        assert len(text.splitlines()) <= 12, f"{name}: a long example"
    compiles(examples)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_the_code_of_a_page_compiles(readme: Path) -> None:
    snippets = snippets_of(readme)
    assert snippets
    compiles({f"{readme.parent.name} {index}": text for index, text in enumerate(snippets, 1)})
