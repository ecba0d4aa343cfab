"""PROOF.md and the README agree with the tables and the counts; after a change: make prove."""
from __future__ import annotations

import re
from pathlib import Path

from harness.proof import build_programs, contract_table, proof_page, soak_counts
from harness.proof.grade_program import subjects
from harness.system.places import ROOT

SUBJECTS = [subject for exercise in build_programs.exercises() for subject in subjects(exercise)]
WRONG = [subject.wrong for subject in SUBJECTS if subject.wrong is not None]
README = ROOT / "README.md"


def page() -> str:
    return proof_page.PAGE.read_text(encoding="utf-8")


def prose() -> str:
    """The page without its line breaks."""
    return " ".join(page().split())


def test_the_page_has_a_row_for_every_program_and_no_other() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|(?: [^|]* \|){6}$", page(), re.MULTILINE)
    programs = [row for row in rows if row not in ("program", "---")]
    assert programs == [subject.name for subject in SUBJECTS]


def test_the_page_says_each_mistake_and_what_follows_from_it() -> None:
    for wrong in WRONG:
        assert f"| {wrong.name} | {wrong.mistake} |" in page()
        for item, why in wrong.also.items():
            assert f"- *{wrong.name}*, item {item}: {why}." in prose()


def test_nothing_on_the_page_is_unexpected() -> None:
    kinds = [subject.kind for subject in SUBJECTS]
    for kind, said in (("wrong", "wrong programs caught at their item"),
                       ("solution", "solutions with everything"),
                       ("foreign", "programs in another language with everything"),
                       ("starter", "starters without a point")):
        assert f"{said}: {kinds.count(kind)} of {kinds.count(kind)}" in prose()


def test_the_page_has_the_table_of_the_contract() -> None:
    assert "\n".join([proof_page.CONTRACT, "", *contract_table.lines()]).rstrip() in page()


def test_the_page_has_the_mutants_that_are_kept(tmp_path: Path) -> None:
    assert "\n".join([*proof_page.mutant_lines(), proof_page.CHEATS]) in page()
    copy = tmp_path / "PROOF.md"
    copy.write_text(page().replace(" mutants |", " some |"), encoding="utf-8")
    proof_page.renew_mutants(copy)
    assert copy.read_text(encoding="utf-8") == page()


def test_the_page_has_the_counts_that_are_kept() -> None:
    counts = "\n".join(proof_page.soak_lines(soak_counts.read(soak_counts.KEPT)))
    assert counts and counts in page()


def test_counts_are_renewed_and_the_tables_stay(tmp_path: Path) -> None:
    copy = tmp_path / "PROOF.md"
    copy.write_text(page(), encoding="utf-8")
    more = soak_counts.read(soak_counts.KEPT)
    more.seconds += 36000
    proof_page.renew_counts(more, copy)
    renewed = copy.read_text(encoding="utf-8")
    assert renewed != page() and "\n".join(proof_page.soak_lines(more)) in renewed
    proof_page.renew_counts(soak_counts.read(soak_counts.KEPT), copy)
    assert copy.read_text(encoding="utf-8") == page()


def test_the_readme_has_the_counts() -> None:
    said = " ".join(README.read_text(encoding="utf-8").split())
    sums = soak_counts.read(soak_counts.KEPT).sums()
    assert f"{len(WRONG)} wrong programs" in said
    assert f"{sums['all']:,} gradings" in said
    assert f"{soak_counts.false_ones(sums)} wrong verdicts" in said
    assert f"{sums['inconclusive']} inconclusive" in said
