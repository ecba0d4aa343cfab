"""The report is written where it should be, and never costs the verdict."""
from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from harness.judging.checklist import Checklist, Item
from harness.judging.exercise import Exercise
from harness.judging.report import as_json
from harness.judging.verdict import Record
from harness.picture import report_page
from harness.picture.timeline_parts import Bar, Lane, Timeline
from harness.plugin.publish import alone_in, publish
from harness.tests.toys import grade

CHECK = '''
class TestItem1:
    """The first item"""
    item = 1
    def test_good(self, fixture: Fixture) -> None:
        """It answers"""
        assert fixture.start().client.get("/").status == 200
'''


def checklist(*results: str) -> Checklist:
    exercise = Exercise(number=9, name="toy", folder="x", start_first="")
    found = Checklist(exercise, [Item(1, "First")])
    for number, result in enumerate(results):
        found.items[0].planned[str(number)] = f"Check {number}"
        found.add(Record(str(number), 1, "", "fail" if result == "fail" else "pass"))
    return found


def timeline(count: int = 1) -> dict[str, Any]:
    bars = [Bar(0, float(number), number + 0.5, "ok", "GET /", "200", "worker 1")
            for number in range(count)]
    return Timeline(0.0, float(count), lanes=[Lane(1, "client", "client 1")], bars=bars).as_json()


def published(folder: Path) -> str:
    passed = checklist("pass")
    return publish(folder, passed, as_json(passed, "x", 1.0), lambda _: timeline())


def test_two_gradings_publish_one_after_the_other(tmp_path: Path) -> None:
    done = threading.Event()

    def second() -> None:
        published(tmp_path)
        done.set()

    with alone_in(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        waited = not done.wait(0.3)
        assert waited and not list(tmp_path.iterdir())
    thread.join(10)
    assert {file.name for file in tmp_path.iterdir()} == {"index.html", "trace.json"}


def test_it_can_be_elsewhere_or_switched_off(tmp_path: Path) -> None:
    graded = grade(tmp_path, CHECK, "--report-dir", "there")
    assert graded.code == 0 and "as pictures: there/index.html" in graded.output
    assert (tmp_path / "there/trace.json").exists()
    graded = grade(tmp_path, CHECK, "--report-dir=")
    assert graded.code == 0 and "pictures" not in graded.output
    assert not (tmp_path / "build").exists()


def test_a_part_leaves_the_page_of_all_checks(tmp_path: Path) -> None:
    more = CHECK + '''
    def test_too(self, fixture: Fixture) -> None:
        """It answers again"""
        assert fixture.start().client.get("/").status == 200
'''
    reports = "build/reports/ex9-program"
    assert f"as pictures: {reports}/index.html" in grade(tmp_path, more).output
    whole = (tmp_path / reports / "index.html").read_text()
    part = grade(tmp_path, more, "-k", "test_good")
    assert f"as pictures: {reports}-part/index.html" in part.output
    assert (tmp_path / reports / "index.html").read_text() == whole


def test_without_the_library_a_line_says_why(tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.html").write_text("an old page")
    monkeypatch.setattr(report_page, "D3", tmp_path / "missing.js")
    said = published(tmp_path)
    assert said.startswith("No pictures were written")
    assert "missing.js" in said and "node-d3" in said
    assert not (tmp_path / "index.html").exists() and (tmp_path / "trace.json").exists()


def test_a_folder_that_cannot_be_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = published(tmp_path / "file")
    assert said.startswith("No report was written")


def test_a_check_without_a_picture_has_its_line(tmp_path: Path) -> None:
    timelines: dict[str, dict[str, Any] | None] = {"0": None, "1": {"fault": "it broke"}}
    passed = checklist("pass", "pass")
    said = publish(tmp_path, passed, as_json(passed, "x", 1.0), timelines.get)
    assert said.endswith(f"{tmp_path}/index.html")
    assert "it broke" in (tmp_path / "index.html").read_text()


def test_a_page_is_never_too_large_and_failures_keep_most(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[dict[str, Any]] = [
        {"id": str(number), "result": result, "timeline": timeline(4000)}
        for number, result in enumerate(("pass", "fail", "pass"))]
    monkeypatch.setattr(report_page, "LARGEST", 300_000)
    report_page.fit({"items": [{"checks": checks}], "common": {"checks": []}})
    assert sum(map(report_page.size_of, checks)) <= 300_000
    kept = [len(check["timeline"]["bars"]["rows"]) for check in checks]
    assert kept[1] == 4000 and kept[0] == kept[2] < 4000
    assert checks[0]["timeline"]["leftOut"] == {"bars": 4000 - kept[0]}


def test_what_a_program_says_cannot_end_the_script() -> None:
    assert "<" not in report_page.embedded({"seen": "</script><!--", "bad": "\ud800"})
