"""No cheat gains anything; as root both with a grader that is root, and with one that is not."""
from __future__ import annotations

import pytest

from harness.proof import proof_page
from harness.proof.cheats import cheat_page, try_cheats
from harness.tests.sandbox import NEEDS_SANDBOX

KINDS = list(try_cheats.kinds().values())
FAST = [name for name in try_cheats.names()
        if name not in ("outlives_the_grading", "leaves_by_a_namespace")]
"""Without those that make a check wait for an end that does not come."""


@NEEDS_SANDBOX
@pytest.mark.parametrize("user", KINDS)
@pytest.mark.parametrize("name", FAST)
def test_a_cheat_gains_nothing(name: str, user: int | None) -> None:
    assert try_cheats.try_one(name, user).faults == []


def test_the_page_has_what_is_kept() -> None:
    page = proof_page.PAGE.read_text(encoding="utf-8")
    assert "\n".join([*proof_page.cheat_lines(), proof_page.CONTRACT]) in page
    for kind in (cheat_page.OTHER_USER, cheat_page.OWN_USER):
        kept = cheat_page.read()[kind]
        assert sorted(kept) == sorted(try_cheats.names())
        assert not any(said.startswith("NOT") for said in kept.values())
