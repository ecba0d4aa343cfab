"""The page that a grading leaves, in a browser."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator
from xml.etree import ElementTree

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from harness.judging.checklist import Checklist, Item
from harness.judging.exercise import Exercise
from harness.judging.report import as_json
from harness.judging.verdict import Record
from harness.picture import report_page
from harness.picture.browser import browser
from harness.picture.svg_file import svg_of
from harness.picture.timeline_parts import Arrow, Bar, Lane, Span, Timeline
from harness.plugin.publish import publish
from harness.tests.toys import Graded, grade, server

HOSTILE = ("</script><script>document.title='owned'</script>"
           "<img src=x onerror=\"document.title='owned'\">")
STUBBORN = f'''
import time
answer = Handler.do_GET
Handler.do_GET = lambda self: time.sleep(60) if self.path == "/hang" else answer(self)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print({HOSTILE!r}, flush=True)
'''
CHECKS = f'''
from signal import SIGTERM

class TestItem1:
    """The first item"""
    item = 1
    @check(expected="{HOSTILE.replace('"', "'")}")
    def test_late(self, fixture: Fixture) -> None:
        """It ends in `time`"""
        cluster = fixture.start()
        held = cluster.client.start("/hang")
        signalled = cluster.signal(SIGTERM)
        held.ended.wait(2.5)
        cluster.refuse_late(0.2, signalled, "the end of GET /hang after the signal (still open)")
    def test_good(self, fixture: Fixture) -> None:
        """It answers"""
        assert fixture.start().client.get("/").status == 200
'''
MANY = 5000
PATIENCE = 10.0


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graded, Path]:
    folder = tmp_path_factory.mktemp("graded")
    done = grade(folder, CHECKS, program=server(folder, STUBBORN))
    return done, folder / "build/reports/ex9-program"


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(chrome: Chrome, graded: tuple[Graded, Path]) -> Iterator[Chrome]:
    """The page as it is after loading. No test makes the browser complain."""
    visit(chrome, graded[1] / "index.html")
    yield chrome
    assert chrome.get_log("browser") == []


def visit(chrome: Chrome, page: Path) -> None:
    chrome.get(page.as_uri())
    WebDriverWait(chrome, PATIENCE).until(
        lambda _: chrome.find_elements(By.CSS_SELECTOR, ".timeline > svg .bar"))


def one(where: Chrome | WebElement, selector: str) -> WebElement:
    (found,) = where.find_elements(By.CSS_SELECTOR, selector)
    return found


def number(element: WebElement, attribute: str) -> float:
    return float(element.get_attribute(attribute) or 0)


def width(element: WebElement) -> float:
    return number(element, "width")


def test_the_page_is_named_and_written_with_a_trace(graded: tuple[Graded, Path]) -> None:
    done, folder = graded
    assert done.code == 1 and "as pictures: build/reports/ex9-program/index.html" in done.output
    assert sorted(file.name for file in folder.iterdir()) == ["index.html", "trace.json"]


def test_the_checklist_with_the_failure_open(page: Chrome) -> None:
    assert one(page, "h1").text == page.title == "Exercise 9: 0 of 1 passed"
    assert one(page, "h2").text == "1. The first item FAIL"
    assert "a part of the checklist" not in one(page, "#summary").text
    details = page.find_elements(By.TAG_NAME, "details")
    assert [each.get_attribute("open") for each in details] == ["true", None]
    told = one(page, "details.fail dl").text
    for part in ("not yet after", "the bound is 200 ms", "kill -TERM $master", "test_late",
                 "the hints for item 1 in", "\nwrote\n</script>"):
        assert part in told, part


def test_a_part_says_that_it_is_one(chrome: Chrome, tmp_path: Path) -> None:
    exercise = Exercise(number=9, name="toy", folder="", start_first="")
    chosen = Checklist(exercise, [Item(1, "First", {"a": "It starts", "b": "It ends"})])
    chosen.choose({"a"})
    chosen.add(Record("a", 1, "It starts", "pass"))
    publish(tmp_path, chosen, as_json(chosen, "x", 1.0), lambda _: None)
    chrome.get((tmp_path / "index.html").as_uri())
    assert one(chrome, "#summary").text == "a part of the checklist, x, 1.0 s"


def test_what_a_program_says_is_text(page: Chrome) -> None:
    assert HOSTILE.replace('"', "'") in one(page, "details.fail dl").text
    assert page.title != "owned" and not page.find_elements(By.TAG_NAME, "img")


def test_the_network_is_left_alone(page: Chrome) -> None:
    script = "return performance.getEntriesByType('resource').map((one) => one.name)"
    assert page.execute_script(script) == []
    policy = one(page, "meta[http-equiv]").get_attribute("content") or ""
    assert policy.startswith("default-src 'none';") and "http" not in policy


def test_the_failure_is_seen(page: Chrome) -> None:
    bar, band, due, judged = (one(page, f"details.fail {selector}") for selector in (
        ".bar.blamed.outcome-waiting", ".timeline > svg .broken", ".due", ".judged.fail"))
    assert width(bar) > width(band) > 100, "nearly all of the time was too late"
    assert number(due, "x1") == pytest.approx(number(band, "x"))
    assert number(judged, "x1") >= number(band, "x") + width(band) - 1
    labels = {text.text for text in page.find_elements(By.CSS_SELECTOR, "details.fail svg text")}
    assert {"SIGTERM → master", "verdict: fail", "due after 200 ms", "no answer",
            "draining"} <= labels


def test_the_legend_explains_what_occurs(page: Chrome) -> None:
    entries = page.find_elements(By.CSS_SELECTOR, "details.fail .legend > span")
    told = {entry.text for entry in entries}
    assert {"no answer yet", "the request that the verdict speaks of", "time allowed",
            "time after the bound", "a process ended", "output, connection or journal"} <= told
    assert "message" not in told
    assert len(page.find_elements(By.CSS_SELECTOR, "details.fail .legend path")) == 3


def test_pointing_at_things_tells_about_them(page: Chrome) -> None:
    tip = one(page, "details.fail .tip")
    assert not tip.is_displayed()
    ActionChains(page).move_to_element(one(page, ".bar.blamed")).perform()
    assert tip.is_displayed() and "GET /hang" in tip.text and "no answer" in tip.text
    assert "The verdict speaks of this request" in tip.text
    ActionChains(page).move_to_element(one(page, ".span.state-draining")).perform()
    assert "master" in tip.text and "draining" in tip.text


def test_the_keyboard_zooms_moves_and_steps(page: Chrome) -> None:
    svg, tip = one(page, "details.fail .timeline > svg"), one(page, "details.fail .tip")
    bound = one(page, "details.fail .timeline > svg .broken")
    before = width(bound)
    svg.send_keys("+", "+")
    assert width(bound) == pytest.approx(before * 1.5 * 1.5, rel=0.01)
    at = number(bound, "x")
    svg.send_keys(Keys.ARROW_RIGHT)
    assert number(bound, "x") < at - 50
    svg.send_keys("0")
    assert width(bound) == pytest.approx(before, rel=0.01)
    told = []
    for _ in range(12):
        svg.send_keys(Keys.ARROW_DOWN)
        told.append(tip.text)
    assert tip.is_displayed()
    assert any("GET /hang" in text for text in told)
    assert any("signal SIGTERM" in text for text in told)
    svg.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


def test_a_collapsed_check_is_drawn_when_it_is_opened(page: Chrome) -> None:
    passed = one(page, "details.pass")
    assert not passed.find_elements(By.TAG_NAME, "svg")
    one(passed, "summary").click()
    WebDriverWait(page, PATIENCE).until(
        lambda _: passed.find_elements(By.CSS_SELECTOR, ".bar.outcome-ok"))
    assert not passed.find_elements(By.CSS_SELECTOR, ".broken")


def test_dark_and_light(page: Chrome) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    before = page.execute_script(paper)
    one(page, "#theme").click()
    assert page.execute_script(paper) != before


def test_a_picture_as_a_file(page: Chrome, graded: tuple[Graded, Path]) -> None:
    found = svg_of(page, graded[1] / "index.html", "test_late")
    svg = "http://www.w3.org/2000/svg"
    assert len(found) < 60_000 and "<script" not in found
    assert "http://" not in found.replace(f'xmlns="{svg}"', "")
    root = ElementTree.fromstring(found)
    texts = {"".join(text.itertext()) for text in root.iter(f"{{{svg}}}text")}
    assert {"It ends in `time`", "SIGTERM → master", "verdict: fail", "no answer", "starting",
            "time after the bound"} <= texts
    assert svg_of(page, graded[1] / "index.html", "test_nothing") == ""


def large_timeline() -> Timeline:
    """MANY requests and messages, of 40 clients and two processes."""
    bars = [Bar(2 + number % 40, number / 500, number / 500 + 0.05, "ok", "GET /", "200",
                "worker 1") for number in range(MANY - 500)]
    arrows = [Arrow(0, 1, number / 50, number / 50 + 0.001, "heartbeat", str(number // 2))
              for number in range(500)]
    lanes = [Lane(1, "master", "master", 1), Lane(1, "worker", "worker 1", 2, 1)]
    lanes += [Lane(1, "client", f"client {number}") for number in range(40)]
    spans = [Span(lane, 0.0, 10.0, "ready") for lane in (0, 1)]
    return Timeline(0.0, 10.0, 9.0, "too slow", lanes=lanes, spans=spans, bars=bars, arrows=arrows)


def test_a_page_with_many_events_opens_quickly(chrome: Chrome, tmp_path: Path) -> None:
    check = {"id": "a", "title": "Many", "result": "fail", "seconds": 10.0, "expected": "",
             "seen": "too slow", "likely": "", "hint": "", "rerun": "", "done": [], "notes": [],
             "timeline": large_timeline().as_json()}
    report: dict[str, Any] = {
        "exercise": 9, "program": "x", "seconds": 1.0, "passed": 0, "total": 1,
        "common": {"checks": []},
        "items": [{"item": 1, "title": "First", "result": "fail", "checks": [check]}]}
    report_page.write(tmp_path / "index.html", report)
    assert (tmp_path / "index.html").stat().st_size < 2_000_000
    visit(chrome, tmp_path / "index.html")
    assert len(chrome.find_elements(By.CSS_SELECTOR, ".bar")) == MANY - 500
    drawing = chrome.execute_script("""
        const element = document.createElement("div");
        const data = JSON.parse(document.getElementById("report").textContent);
        document.body.append(element);
        const began = performance.now();
        drawTimeline(element, data.items[0].checks[0].timeline, {});
        element.getBoundingClientRect();
        return performance.now() - began;""")
    print(f"{MANY} events drawn in {drawing:.0f} ms")
    assert drawing < 5000, "one second is wanted; this allows for a busy machine"
