"""Bounds on time, judged fairly: the contract's bound plus the measured delay of the machine."""
from __future__ import annotations

import time
from typing import Callable, NoReturn

from harness.judging.delay_meter import DelayMeter
from harness.judging.verdict import Bound, BoundBroken, Inconclusive

FORGIVABLE = 1.0
"""Seconds by which the machine may make something exceed its bound; beyond that nothing can be
said."""
ABSURD = 5.0
"""Seconds of measured delay within one bound beyond which no program is refused on this machine."""


def expect_within(meter: DelayMeter, bound: float, start: float, end: float, what: str,
                  due: float | None = None) -> None:
    """Fail if more than `bound` seconds lie between the two moments and the machine's delay does
    not account for that.

    `due` is the moment for which it was planned: by default the end of the bound; `start` if there
    was nothing to wait for.
    """
    took = end - start
    if took <= bound:
        return
    allowance = meter.allowance(start, end, start + bound if due is None else due)
    forgiven = took <= bound + allowance
    if forgiven and took - bound <= max(FORGIVABLE, bound / 5):
        meter.excused = max(meter.excused, took - bound)
        return
    if forgiven or allowance > ABSURD:
        raise Inconclusive(f"{what}: took {took:.2f} s (bound {bound:.2f} s), "
                           f"but the machine was {allowance:.2f} s behind then")
    delay = ""
    if allowance >= 0.001:
        delay = f" (the machine's own delay then: {allowance * 1000:.0f} ms)"
    seen = f"{what}: took {took * 1000:.0f} ms, the bound is {bound * 1000:.0f} ms{delay}"
    raise BoundBroken(seen, Bound(start, start + bound, end, what))


def overdue(start: float, bound: float) -> bool:
    """Whether the bound is exceeded by more than a small delay of the machine can explain."""
    return time.monotonic() > overdue_at(start, bound)


def overdue_at(start: float, bound: float) -> float:
    return start + bound * 1.25 + 0.5


def refuse_late(meter: DelayMeter, bound: float, start: float, what: str,
                due: float | None = None) -> NoReturn:
    """Something has still not happened now. Fail, or say that the machine may be the reason."""
    took, not_yet = ": took ", ": not yet after "
    try:
        expect_within(meter, bound, start, time.monotonic(), what, due)
    except BoundBroken as failure:
        raise BoundBroken(failure.seen.replace(took, not_yet, 1), failure.bound) from None
    except Inconclusive as why:
        raise Inconclusive(str(why).replace(took, not_yet, 1)) from None
    raise Inconclusive(f"{what}: it did not happen, "
                       "but the machine was too slow to blame the program")


def expect_not_before(bound: float, start: float, end: float, what: str) -> None:
    """Fail if less than `bound` seconds lie between the two moments."""
    if end - start < bound:
        raise BoundBroken(f"{what}: already after {(end - start) * 1000:.0f} ms, "
                          f"not before {bound * 1000:.0f} ms is right",
                          Bound(start, start + bound, end, what))


def await_true(condition: Callable[[], bool], patience: float, otherwise: str) -> None:
    """Wait for something that is not the program's duty. If it does not come, the check is
    inconclusive."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Inconclusive(otherwise)
        time.sleep(0.005)
