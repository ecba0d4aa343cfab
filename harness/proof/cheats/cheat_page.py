"""The part of the proof's page on cheats."""
from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Callable

from harness.proof.cheats import harming, posing, spying
from harness.proof.cheats.place import Place

KEPT = Path(__file__).with_name("gained.json")
"""Kind of user → name of the cheat → what came of it."""
OTHER_USER, OWN_USER = "as another user", "as the grader's own user"


def read() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found


def lines() -> list[str]:
    """Names of cheats are sentences about what the program does."""
    kept = read()
    told = ["| the program | the grader is root | the grader is an ordinary user |",
            "|---|---|---|"]
    for name in kept.get(OWN_USER, {}):
        cells = [first_sentence(kept.get(kind, {}).get(name, ""))
                 for kind in (OTHER_USER, OWN_USER)]
        told.append(f"| {what_it_does(name)} | {cells[0]} | {cells[1]} |")
    intro = ("Right programs of exercise 1 that try to do harm before they start, each in one "
             "way (`make cheats`, `harness/proof/cheats/`), in the sandbox: as another "
             "user, or as the grader's own. A fail says what was seen, a note is for the "
             "instructor. What a program has gained "
             "would be told here; that a process, a file or a listener of the grading user was "
             "reached, too.")
    return [*textwrap.wrap(intro, 110), "", *told]


def attempts() -> dict[str, Callable[[Place], object]]:
    """By name."""
    found = {**vars(spying), **vars(harming), **vars(posing)}
    return {name: one for name, one in found.items() if inspect.isfunction(one)
            and list(inspect.signature(one).parameters) == ["place"]}


def what_it_does(name: str) -> str:
    doc = inspect.getdoc(attempts()[name]) or ""
    return name.replace("_", " ") + (f": {doc.splitlines()[0]}" if doc else "")


def first_sentence(said: str) -> str:
    """Without numbers that differ from time to time."""
    if said == "nothing gained" or said.startswith("noted: ") or not said:
        return said
    return "FAIL: " + re.sub(r":? not yet after.*|\d+ \((sleep \d+)\)", r"\1", said)[:90]
