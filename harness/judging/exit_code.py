"""The exit code of a grading, computed from its items."""
from __future__ import annotations

from harness.judging.checklist import Checklist

PASS_EXIT, FAIL_EXIT, INCONCLUSIVE_EXIT = 0, 1, 3


def exit_code(checklist: Checklist) -> int:
    """0: all items pass; 1: some fail, or are skipped and none is inconclusive; 3: none fails, but
    some are inconclusive.

    Common ground counts only where no item was chosen.
    """
    results = {item.result for item in checklist.counted or checklist.items}
    if results <= {"pass"}:
        return PASS_EXIT
    if "fail" in results or results <= {"pass", "skipped"}:
        return FAIL_EXIT
    return INCONCLUSIVE_EXIT
