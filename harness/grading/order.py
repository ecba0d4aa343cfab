"""In which order checks run, given that pytest-xdist deals them out in pairs and each process keeps its order.

Checks that others build on come first, and very long ones right behind what they build on. Then each process gets a long check and a
short one; the rest follows, longest first, to whoever is free. With few processes the shortest come first instead. A check only ever
waits for one that stands before it, so that nothing waits for ever.
"""
from __future__ import annotations

from typing import Callable, TypeVar

Check = TypeVar("Check")
VERY_LONG = 8.0
"""Seconds from which on a check decides how long the whole takes."""


FEW = 2
"""With so few processes little is won by an order, and somebody waits for the first verdict: the shortest come first."""


def arrange(checks: list[Check], seconds: Callable[[Check], float], needs: Callable[[Check], list[Check]],
            processes: int) -> list[Check]:
    """`needs` says which others a check builds on; among these they stand before those that build on them."""
    needed = [need for one in checks for need in needs(one)]
    first = [one for one in checks if one in needed]
    if processes <= FEW:
        return first + sorted((one for one in checks if one not in needed), key=seconds)
    rest = sorted((one for one in checks if one not in needed), key=seconds, reverse=True)
    very_long = [one for one in rest if first and seconds(one) >= VERY_LONG]
    if very_long:
        rest = rest[len(very_long):]
        for one in reversed(very_long):
            first.insert(1 + max((first.index(need) for need in needs(one)), default=0), one)
    places = max(0, 2 * processes - len(first))
    if len(rest) <= places:
        return first + rest
    long_ones = rest[:(places + 1) // 2]
    short_ones = rest[len(rest) - places // 2:] if places // 2 else []
    middle = rest[len(long_ones):len(rest) - len(short_ones)]
    dealt: list[Check] = []
    short_next = len(first) % 2 == 1
    while long_ones or short_ones:
        source = short_ones if (short_next and short_ones) or not long_ones else long_ones
        dealt.append(source.pop(0) if source is long_ones else source.pop())
        short_next = not short_next
    # What is dealt next waits behind a very long one: let that be the shortest.
    return first + dealt + (middle[-1:] + middle[:-1] if very_long else middle)
