"""What a starter says of its steps, in its log or in an answer: `STEP 7 is still to do: …`."""
from __future__ import annotations

import re
from typing import Iterable

STILL_TO_DO = re.compile(r"STEP (\d+) is still to do")


def step_to_do(texts: Iterable[str]) -> str:
    """The message of the first step that is still to do, whichever message came first; empty
    without one."""
    said = [found for found in map(STILL_TO_DO.search, texts) if found]
    first = min(said, key=lambda found: int(found[1][:9]), default=None)
    return first[0] if first else ""
