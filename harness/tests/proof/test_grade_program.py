"""What the outcome of a grading is called."""
from __future__ import annotations

from typing import Any

import pytest

from harness.plugin import run_check
from harness.proof import soak_counts
from harness.proof.grade_program import ITEMS, How, Subject, Verdict, judge
from harness.tests.proof.subjects import SOLUTION, STARTER, WRONG


def report(results: dict[int, str], likely: str = "no timer") -> dict[str, Any]:
    """A report with these results of items (0: common ground); all others pass."""
    def group(number: int) -> dict[str, Any]:
        result = results.get(number, "pass")
        check = {"id": f"TestItem{number}::test_it", "result": result, "likely": likely,
                 "seen": "what was seen"}
        return {"item": number, "result": result, "checks": [check]}

    return {"seconds": 1.0, "items": [group(number) for number in ITEMS], "common": group(0)}


def judged(subject: Subject, told: dict[str, Any], how: How = How()) -> Verdict:
    verdict = Verdict(subject)
    judge(verdict, told, how)
    return verdict


@pytest.mark.parametrize("subject, results, outcome", [
    (SOLUTION, {}, "right"),
    (SOLUTION, {2: "fail"}, "false refusal"),
    (SOLUTION, {0: "fail"}, "false refusal"),
    (SOLUTION, {3: "inconclusive"}, "inconclusive"),
    (SOLUTION, {3: "inconclusive", 4: "fail"}, "false refusal"),
    (STARTER, {1: "fail", 2: "skipped", 3: "skipped", 4: "fail", 5: "skipped"}, "right"),
    (STARTER, {1: "fail", 2: "skipped", 3: "skipped", 4: "fail"}, "false acceptance"),
    (WRONG, {4: "fail", 5: "fail"}, "right"),
    (WRONG, {4: "fail", 5: "skipped"}, "right"),
    (WRONG, {5: "fail"}, "false acceptance"),
    (WRONG, {4: "inconclusive", 5: "fail"}, "inconclusive"),
    (WRONG, {4: "fail"}, "right"),
    (WRONG, {4: "fail", 5: "inconclusive"}, "inconclusive"),
    (WRONG, {1: "fail", 4: "fail", 5: "fail"}, "false refusal"),
])
def test_an_outcome_is_called_by_its_name(subject: Subject, results: dict[int, str], outcome: str
                                          ) -> None:
    verdict = judged(subject, report(results))
    assert verdict.outcome == outcome, verdict.faults
    assert bool(verdict.faults) == (outcome != "right")


def test_a_failure_must_name_the_mistake() -> None:
    verdict = judged(WRONG, report({4: "fail", 5: "fail"}, likely="something else"))
    assert verdict.outcome == "unexplained"


def test_a_fault_of_the_harness_is_not_called_inconclusive() -> None:
    told = report({3: "inconclusive"})
    told["items"][2]["checks"][0]["seen"] = run_check.harness_fault(KeyError("x"))
    verdict = judged(SOLUTION, told)
    assert verdict.outcome == "harness fault" and "harness fault" in soak_counts.FALSE


def test_of_a_wrong_program_only_its_item_can_be_asked_for() -> None:
    verdict = judged(WRONG, report({4: "fail", 1: "fail"}), How(item_only=True))
    assert verdict.outcome == "right"
