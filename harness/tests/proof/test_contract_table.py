"""The table of the contract names checks and wrong programs that there are, and all of them."""
from __future__ import annotations

from harness.judging.checklist import Checklist
from harness.proof import build_programs, contract_table
from harness.proof.grade_program import subjects
from harness.system.places import HARNESS

SENTENCES = contract_table.sentences()


def checks_of(number: int) -> set[str]:
    (file,) = HARNESS.glob(f"test_ex{number}_*.py")
    return {id_.rpartition("::")[2] for id_ in Checklist.of_module(f"harness.{file.stem}").order}


def known_wrong() -> set[str]:
    return {f"{exercise.number}:{subject.wrong.name}" for exercise in build_programs.exercises()
            for subject in subjects(exercise) if subject.wrong is not None}


def test_each_sentence_is_graded_and_proven_or_says_why_not() -> None:
    for one in SENTENCES:
        assert bool(one.why) != bool(one.checks and one.wrong), one


def test_the_checks_are_those_of_the_chapter() -> None:
    for one in SENTENCES:
        numbers = [1, 2, 3, 4, 5] if one.chapter == "Common" else [int(one.chapter.split()[1])]
        there = set().union(*map(checks_of, numbers))
        assert set(one.checks) <= there, set(one.checks) - there


def test_every_check_and_every_wrong_program_stands_for_a_sentence() -> None:
    named = {check for one in SENTENCES for check in one.checks}
    there = set().union(*map(checks_of, range(1, 6)))
    assert there - named == set()
    wrong = {name for one in SENTENCES for name in one.wrong}
    assert wrong == known_wrong()
