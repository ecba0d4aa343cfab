"""In which order checks are dealt to the processes that run them."""
from __future__ import annotations

from typing import Callable, TypeVar

Check = TypeVar("Check")


def arrange(checks: list[Check], seconds: Callable[[Check], float], needs: Callable[[Check], list[Check]],
            heavy: Callable[[Check], bool]) -> list[Check]:
    """`needs` says which others a check builds on: these stand before it. Otherwise who, with what builds on it, takes longest comes
    first (critical path scheduling: Graham, "Bounds on multiprocessing timing anomalies", 1969, gives the bound of such lists). Heavy
    ones, which run one at a time, are one such path."""
    heavy_path = sum(seconds(one) for one in checks if heavy(one))
    building = {one: [other for other in checks if one in needs(other)] for one in checks}

    def path(one: Check) -> float:
        own = max(seconds(one), 0.01) + (heavy_path if heavy(one) else 0.0)
        return own + max(map(path, building[one]), default=0.0)

    return sorted(checks, key=path, reverse=True)
