"""What a starter says of its steps, in its log or in an answer: `STEP 7 is still to do: …`."""
from __future__ import annotations

import re
from typing import Iterable

STILL_TO_DO = re.compile(r"STEP \d+ is still to do")


def step_to_do(texts: Iterable[str]) -> str:
    """The first such message; empty without one."""
    said = (STILL_TO_DO.search(text) for text in texts)
    return next((found.group() for found in said if found), "")
