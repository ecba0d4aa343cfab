"""In which order checks are dealt to the processes that run them."""
from __future__ import annotations

from typing import Callable, TypeVar

Check = TypeVar("Check")


def arrange(checks: list[Check], seconds: Callable[[Check], float],
            needs: Callable[[Check], list[Check]], heavy: Callable[[Check], bool]) -> list[Check]:
    """Put each check behind those that it builds on (`needs`); of the rest, the longest path first.

    A path is a check and, after it, the longest path of those that build on it. (This is critical
    path scheduling: Graham, "Bounds on multiprocessing timing anomalies", 1969, gives the bound of
    such lists.) Heavy checks run one at a time, so all of them count as one path.
    """
    heavy_path = sum(seconds(one) for one in checks if heavy(one))
    building = {one: [other for other in checks if one in needs(other)] for one in checks}

    def path(one: Check) -> float:
        own = max(seconds(one), 0.01) + (heavy_path if heavy(one) else 0.0)
        return own + max(map(path, building[one]), default=0.0)

    return sorted(checks, key=path, reverse=True)
