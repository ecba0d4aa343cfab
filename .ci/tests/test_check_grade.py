"""Which figures of a starter and of a solution check-grade accepts, and which it refuses."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "check-grade"


def load() -> Any:
    loader = importlib.machinery.SourceFileLoader("check_grade", str(SCRIPT))
    loader_spec = importlib.util.spec_from_loader("check_grade", loader)
    assert loader_spec
    module = importlib.util.module_from_spec(loader_spec)
    loader.exec_module(module)
    return module


check_grade = load()


def group(result: str, seen: str = "it took 2 s") -> dict[str, Any]:
    check = {"result": result, "seen": "" if result == "pass" else seen}
    return {"result": result, "checks": [check]}


def report(
    *results: str, passed: int | None = None, total: int = 5, common: str = "pass"
) -> dict[str, Any]:
    return {
        "passed": results.count("pass") if passed is None else passed,
        "total": total,
        "items": [group(result) for result in results],
        "common": group(common),
    }


ALL = ("pass",) * 5
NONE = ("fail", "fail", "skipped", "skipped", "fail")
OPEN = ("inconclusive", *ALL[1:])
STARTER_OPEN = ("inconclusive", *NONE[1:])


def test_honest_figures_are_accepted() -> None:
    assert check_grade.faults("solution", 0, report(*ALL)) == []
    assert check_grade.faults("starter", 1, report(*NONE, common="fail")) == []


@pytest.mark.parametrize(
    ("which", "code", "seen"),
    [
        pytest.param("solution", 0, {}, id="no report"),
        pytest.param("solution", 1, report(*ALL), id="a solution with exit code 1"),
        pytest.param("solution", 1, report("fail", *ALL[1:]), id="a solution with 4 of 5"),
        pytest.param("solution", 3, report(*OPEN), id="a solution with an item open"),
        pytest.param("solution", 0, report(*ALL, common="fail"), id="no common ground"),
        pytest.param("solution", 0, report(*ALL[:4], total=4), id="a checklist of four"),
        pytest.param("starter", 1, report("pass", *NONE[1:]), id="a starter with 1 of 5"),
        pytest.param("starter", 3, report(*STARTER_OPEN), id="a starter with an item open"),
        pytest.param("starter", 0, report(*NONE), id="a starter with exit code 0"),
        pytest.param("starter", 1, report(*NONE, passed=1), id="a sum that is wrong"),
    ],
)
def test_other_figures_are_refused(which: str, code: int, seen: dict[str, Any]) -> None:
    assert check_grade.faults(which, code, seen)


FAULT = report(*OPEN)
FAULT["items"][0] = group("inconclusive", "the harness itself failed: KeyError")


@pytest.mark.parametrize(
    ("which", "code", "seen"),
    [
        pytest.param("solution", 3, report(*OPEN), id="an item open, the others passed"),
        pytest.param("solution", 0, report(*ALL, common="inconclusive"), id="common ground open"),
        pytest.param("starter", 1, report(*STARTER_OPEN, common="fail"), id="a starter's item"),
    ],
)
def test_what_is_only_open_is_graded_again(which: str, code: int, seen: dict[str, Any]) -> None:
    assert check_grade.undecided(which, code, seen)


@pytest.mark.parametrize(
    ("which", "code", "seen"),
    [
        pytest.param("solution", 1, report("inconclusive", "fail", *ALL[2:]), id="another failed"),
        pytest.param("solution", 3, report(*OPEN, common="fail"), id="the common ground failed"),
        pytest.param("solution", 3, report("inconclusive", "skipped", *ALL[2:]),
                     id="another skipped"),
        pytest.param("solution", 3, report(*OPEN[:4], total=4), id="a checklist of four"),
        pytest.param("solution", 3, report(*OPEN, passed=5), id="a sum that is wrong"),
        pytest.param("solution", -11, report(*OPEN), id="a grader that died"),
        pytest.param("solution", 3, FAULT, id="a fault of the harness"),
        pytest.param("solution", 0, report(*ALL), id="nothing open"),
        pytest.param("solution", 3, {}, id="no report"),
        pytest.param("starter", 1, report("inconclusive", "pass", *NONE[2:]),
                     id="a starter's item passed"),
    ],
)
def test_what_is_also_wrong_is_not(which: str, code: int, seen: dict[str, Any]) -> None:
    assert not check_grade.undecided(which, code, seen)


@pytest.mark.parametrize(
    ("code", "seen", "exit_code"),
    [(0, report(*ALL), 0), (1, report("fail", *ALL[1:]), 1), (3, report(*OPEN), 3)],
    ids=["right", "wrong", "open"],
)
def test_the_exit_code_tells_wrong_from_open(
    monkeypatch: pytest.MonkeyPatch, code: int, seen: dict[str, Any], exit_code: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["check-grade", "solution", "ex1_graceful_shutdown"])
    monkeypatch.setattr(check_grade, "grade", lambda *_: (code, seen | {"seconds": 1.0}))
    assert check_grade.main() == exit_code
