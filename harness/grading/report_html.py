"""The report as one page that needs nothing else: the checklist, and a picture of each check.

What the program under test said is data here: it stands in a script element of its own as JSON, and is shown as text.
"""
from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

from .timeline_parts import halve

ASSETS = Path(__file__).resolve().parent.parent / "report"
D3 = Path("/usr/share/nodejs/d3/dist/d3.min.js")
LARGEST = 1_600_000
"""Bytes of the report's data; with the scripts the page stays below 2 MB."""


class NoLibrary(Exception):
    """There is nothing to draw with."""


def write(path: Path, report: dict[str, Any]) -> None:
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(page(report), encoding="utf-8")
    partial.rename(path)


def page(report: dict[str, Any]) -> str:
    return filled("page.html", {"report": embedded(fitting(report))}, ("style.css", "timeline.js", "page.js"))


def filled(template: str, parts: dict[str, str], assets: tuple[str, ...]) -> str:
    """A page with its parts, assets and D3 in their places; `parts` are markup."""
    try:
        found = {**parts, "d3": D3.read_text(encoding="utf-8")}
    except FileNotFoundError:
        raise NoLibrary(f"there is no {D3} (Debian's package node-d3)") from None
    found.update((name, (ASSETS / name).read_text(encoding="utf-8")) for name in assets)
    return re.sub(r"\{\{([a-z0-9.]+)\}\}", lambda place: found[place.group(1)], (ASSETS / template).read_text(encoding="utf-8"))


def embedded(data: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return compact(data).replace("<", "\\u003c")


def compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace").decode()


def fitting(report: dict[str, Any]) -> dict[str, Any]:
    """The report with so much left out of the largest pictures that the page is not too large; failures go last."""
    found = copy.deepcopy(report)
    checks = [check for group in (*found["items"], found["common"]) for check in group["checks"]
              if check["timeline"] and "lanes" in check["timeline"]]
    sizes = [len(compact(check["timeline"]).encode()) for check in checks]
    while sum(sizes) > LARGEST:
        failures = [0 if check["result"] == "fail" else size for check, size in zip(checks, sizes)]
        largest = sizes.index(max(sizes)) if max(failures) < LARGEST / 100 else failures.index(max(failures))
        halve(checks[largest]["timeline"])
        sizes[largest] = len(compact(checks[largest]["timeline"]).encode())
    return found
