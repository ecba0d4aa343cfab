"""The page about a class, in a browser, and the pairs that are alike."""
from __future__ import annotations

import re
from typing import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from harness.classroom import overview, similar
from harness.classroom.points import Points
from harness.classroom.results import Result, State, Submission
from harness.picture.browser import browser
from harness.system.places import ROOT

HOSTILE = "</td><script>document.title='owned'</script><img src=x onerror=\"document.title='o'\">"
NAMES = [HOSTILE, 'q"uo\'te', "zwölf 漢字", "a b#c?d%e", "\x1b[31mred", "x" * 150]
SOLUTION = next(ROOT.glob("solutions/ex1_*/main.cpp")).read_text(encoding="utf-8")
STARTER = next(ROOT.glob("exercises/ex1_*/main.cpp")).read_text(encoding="utf-8")
COUNT = 300


def one(number: int) -> tuple[Submission, Result]:
    name = NAMES[number] if number < len(NAMES) else f"student {number:03}"
    state: State = "graded" if number % 10 else "build-failed"
    items = [{"item": item, "title": f"Title {item}", "why": f"why <b>{item}</b>",
              "result": "fail" if item and item <= number % 6 else "pass"} for item in range(6)]
    folder = name.replace("/", "_")
    submission = Submission(name, 1, f"int x{number};".encode(), folder=folder)
    return submission, Result(name, 1, state, "a sentence", items=items if number % 10 else [],
                              seconds={"build": 4.0, "grading": number / 10})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    folder = tmp_path_factory.mktemp("class")
    graded = [one(number) for number in range(COUNT)]
    for submission, _ in graded:
        (folder / submission.folder).mkdir()
        (folder / submission.folder / "report.html").write_text(
            f"<title>of {len(submission.student)}</title>")
    alike = Submission("one more", 1, SOLUTION.encode(), folder="more")
    other = Submission("copy", 1, re.sub(r"\bwaiting\b", "pending", SOLUTION).encode(),
                       folder="copy")
    overview.write([*(submission for submission, _ in graded), alike, other], graded, Points(),
                   folder)
    with browser(tmp_path_factory.mktemp("profile")) as found:
        found.get((folder / overview.FILE).as_uri())
        yield found


def texts(page: Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(one => one.textContent)"
    return [text.strip() for text in page.execute_script(script, selector)]


def test_each_student_has_a_line_and_harms_nobody(page: Chrome) -> None:
    assert page.title == "The class"
    names = texts(page, "#students td.student")
    assert len(names) == COUNT
    assert names[:4] == NAMES[:4] and names[4] == "\\x1b[31mred"
    assert page.get_log("browser") == []
    assert "2 not graded yet" in texts(page, "p")[0]


def test_a_verdict_is_a_sign_and_not_only_a_colour(page: Chrome) -> None:
    cells = texts(page, "#students tr:nth-child(3) td.item")
    assert cells == ["✗", "✗", "✓", "✓", "✓", "✓"]
    title = page.find_element(By.CSS_SELECTOR, "#students tr:nth-child(3) td.fail")
    assert title.get_attribute("title") == "fail: why <b>1</b>"


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_name_leads_to_its_report(page: Chrome, number: int) -> None:
    here = page.current_url
    page.find_elements(By.CSS_SELECTOR, "#students td.student a")[number].click()
    assert page.title == f"of {len(NAMES[number])}"
    page.get(here)


def test_what_fails_is_counted_among_those_that_have_a_verdict(page: Chrome) -> None:
    bars = texts(page, "#bars tr")
    assert len(bars) == 6
    graded = COUNT - COUNT // 10
    failed = sum(number % 6 >= 1 for number in range(COUNT) if number % 10)
    assert re.search(rf"item 1: Title 1\s+{failed} of {graded}$", bars[1])
    assert texts(page, "#causes tr")[0].startswith(str(failed))


def test_the_two_that_are_alike_are_named(page: Chrome) -> None:
    (pair,) = texts(page, "#alike tr")
    assert "one more" in pair and "copy" in pair


def test_names_do_not_hide_a_copy_and_the_starter_is_none() -> None:
    renamed = re.sub(r"\b(begun|counts|until|waiting|held)\b", r"my_\1", SOLUTION)
    (pair,) = similar.pairs([STARTER, SOLUTION, STARTER, renamed], STARTER)
    assert (pair.one, pair.other) == (1, 3) and pair.share > 0.9


def test_different_programs_are_not_alike() -> None:
    others = [file.read_text(encoding="utf-8") for file in ROOT.glob("solutions/ex*/main.cpp")]
    assert similar.pairs(others, STARTER) == []
