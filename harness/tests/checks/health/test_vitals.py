"""The numbers of GET /health: whatever a program tells, a wrong one is its failure."""
from __future__ import annotations

import pytest

from harness.checks.health import vitals
from harness.clients.exchange import Answer
from harness.judging.verdict import CheckFailed

GOOD = {"uptime": "1.5", "memoryBytes": "4096", "requests": "0", "errors": "0"}


def health(numbers: dict[str, str]) -> Answer:
    fields = {"worker": "1", "pid": "2", **numbers}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    return Answer("answer", "GET", "/health", 1.0, 1.1, 200, {}, body.encode(), 1)


def test_numbers_are_accepted() -> None:
    assert vitals.expect_all(health(GOOD))["memoryBytes"] == 4096


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "Infinity", "true", "null", '"1"'])
def test_no_number_is_a_failure(value: str) -> None:
    with pytest.raises(CheckFailed, match="no number in memoryBytes"):
        vitals.expect_all(health({**GOOD, "memoryBytes": value}))
