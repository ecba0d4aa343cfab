"""Makes a file of one picture of a report: an SVG without any script, for light and dark.

Usage: python3 -m harness.picture.svg_file PAGE CHECK FILE, for example with
build/reports/ex1/index.html test_long_requests_are_cut picture.svg
"""
from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from selenium.webdriver import Chrome

from harness.picture.browser import browser
from harness.picture.report_page import asset

WIDTH = 860
RUN = """
const report = JSON.parse(document.getElementById("report").textContent);
const checks = [...report.items, report.common].flatMap((item) => item.checks);
const check = checks.find((one) => one.id.endsWith("::" + arguments[0]));
return check && check.timeline && staticPicture(
  check.timeline, {result: check.result, label: check.title}, arguments[1], arguments[2]);
"""


def svg_of(chrome: Chrome, page: Path, check: str) -> str:
    """The picture of the check with that name; empty if there is none."""
    chrome.get(page.resolve().as_uri())
    css = asset("style.css")
    script = asset("static.js")
    return str(chrome.execute_script(script + RUN, check, WIDTH, colours(css)) or "")


def colours(css: str) -> str:
    """The rules that a picture needs: the palette, and those between `.timeline text` and print."""
    palette = css[:css.index("\nbody {")]
    pictures = css[css.index(".timeline text {"):css.index("@media print")]
    return re.sub(r"\n+", "\n", palette + pictures)


def main() -> int:
    parser = argparse.ArgumentParser(description="make an SVG file of one picture of a report")
    parser.add_argument("page", type=Path, help="a report's index.html")
    parser.add_argument("check", help="the name of the check's function")
    parser.add_argument("file", type=Path, help="the SVG file to write")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as chrome:
        found = svg_of(chrome, wanted.page, wanted.check)
    if not found:
        parser.error(f"{wanted.page} has no picture of a check {wanted.check}")
    wanted.file.write_text(found + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
