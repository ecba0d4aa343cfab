"""What a drain's failure says."""
from __future__ import annotations

from typing import Any

import pytest

from grading import drain
from grading.http_client import Answer
from grading.verdict import Bound, BoundBroken

HEADERS = {"connection": "close", "retry-after": "1"}


class Late:
    def expect_within(self, within: float, start: float, end: float, what: str) -> None:
        raise BoundBroken(what, Bound(start, start + within, end, what))


def test_a_503_that_is_late_has_its_bound_for_the_picture() -> None:
    answer = Answer("answer", "GET", "/", 1.0, 2.0, 503, HEADERS, b"{}", 1)
    cluster: Any = Late()
    with pytest.raises(BoundBroken, match="the 503 to GET /") as failure:
        drain.expect_turned_away(cluster, answer, 0.1, 0.5, [])
    assert failure.value.bound == Bound(1.0, 1.1, 2.0, failure.value.seen)
    assert "the 503 waits" in failure.value.likely and "say 503 where" in failure.value.hint
