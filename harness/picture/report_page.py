"""The report as one page that needs nothing else: the checklist, and a picture of each check.

What the program under test said is data here: a script element of its own holds it as JSON, and
the page shows it as text.
"""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.picture.timeline_parts import halve
from harness.system.files import write_whole

ASSETS = Path(__file__).resolve().parent / "assets"
DRAWS_TIMELINES = ("layout.js", "drawing.js", "timeline.js")
D3 = Path("/usr/share/nodejs/d3/dist/d3.min.js")
LARGEST = 1_600_000
"""Bytes of the report's data; with the scripts the page stays below 2 MB."""


class NoLibrary(Exception):
    """D3, which draws the pictures, is not there."""


def write(path: Path, report: dict[str, Any]) -> None:
    write_whole(path, page(report))


def page(report: dict[str, Any]) -> str:
    fit(report)
    return filled("page.html", {"report": embedded(report)}, (*DRAWS_TIMELINES, "page.js"))


def filled(template: str, parts: dict[str, str], scripts: tuple[str, ...]) -> str:
    """A page with its parts, its style, D3 and the scripts in their places; `parts` are markup."""
    try:
        d3 = D3.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoLibrary(f"there is no {D3} (Debian's package node-d3)") from None
    texts = [d3, *map(asset, scripts)]
    found = {**parts, "style": asset("style.css"),
             "scripts": "\n".join(f"<script>\n{text}\n</script>" for text in texts)}
    return re.sub(r"\{\{(\w+)\}\}", lambda place: found[place.group(1)], asset(template))


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def embedded(data: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return compact(data).replace("<", "\\u003c")


def compact(data: object) -> str:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def fit(report: dict[str, Any]) -> None:
    """Leave out parts of the largest pictures until the page is not too large.

    Pictures of failures are worth more: they count with a tenth of their size.
    """
    checks = [check for group in (*report["items"], report["common"]) for check in group["checks"]
              if check["timeline"] and "lanes" in check["timeline"]]
    sizes = {check["id"]: size_of(check) for check in checks}
    while sum(sizes.values()) > LARGEST and checks:
        largest = max(checks, key=lambda check: sizes[check["id"]]
                      * (1 if check["result"] == "fail" else 10))
        halve(largest["timeline"])
        smaller = size_of(largest)
        if smaller == sizes[largest["id"]]:
            checks.remove(largest)
        sizes[largest["id"]] = smaller


def size_of(check: dict[str, Any]) -> int:
    return len(compact(check["timeline"]).encode())
