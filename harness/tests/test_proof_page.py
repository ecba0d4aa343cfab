"""PROOF.md and the README say what the tables and the counts say; after a change of the tables: make prove."""
from __future__ import annotations

import re

import prove
from proof import build
from proof.grade import subjects

SUBJECTS = [subject for exercise in build.exercises() for subject in subjects(exercise)]
WRONG = [subject.wrong for subject in SUBJECTS if subject.wrong is not None]
README = build.ROOT / "README.md"


def page() -> str:
    return prove.PAGE.read_text(encoding="utf-8")


def test_the_page_has_a_row_for_every_program_and_no_other() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|(?: [^|]* \|){6}$", page(), re.MULTILINE)
    assert [row for row in rows if row not in ("program", "---")] == [subject.name for subject in SUBJECTS]


def test_the_page_says_each_mistake_and_what_follows_from_it() -> None:
    for wrong in WRONG:
        assert f"| {wrong.name} | {wrong.mistake} |" in page()
        for item, why in wrong.also.items():
            assert f"- *{wrong.name}*, item {item}: {why}." in page()


def test_nothing_on_the_page_is_unexpected() -> None:
    kinds = [subject.kind for subject in SUBJECTS]
    for kind, said in (("wrong", "wrong programs caught at their item"), ("solution", "solutions with everything"),
                       ("foreign", "programs in another language with everything"), ("starter", "starters without a point")):
        assert f"{said}: {kinds.count(kind)} of {kinds.count(kind)}" in page()


def test_the_readme_has_the_count() -> None:
    assert f"{len(WRONG)} wrong programs" in " ".join(README.read_text(encoding="utf-8").split())
