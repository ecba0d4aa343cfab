"""The order in which checks are dealt out."""
from __future__ import annotations

import random

from grading.order import arrange


def test_needed_checks_come_first_and_none_is_lost() -> None:
    dice = random.Random(1)
    for count in range(40):
        for processes in range(1, 12):
            seconds = {number: dice.random() for number in range(count)}
            needed = {number for number in range(count) if dice.random() < 0.1}
            order = arrange(list(range(count)), seconds.__getitem__, needed.__contains__, processes)
            assert sorted(order) == list(range(count))
            assert set(order[:len(needed)]) == needed


def test_each_process_starts_with_one_long_check_and_one_short_one() -> None:
    order = arrange(list(range(20)), float, lambda number: False, 4)
    assert order[0:8:2] == [19, 18, 17, 16] and order[1:8:2] == [0, 1, 2, 3]


def test_a_very_long_check_starts_right_behind_the_first() -> None:
    order = arrange(list(range(20)), float, lambda number: number in (0, 1, 2), 4)
    assert order[:5] == [0, 19, 18, 17, 16] and set(order) == set(range(20))
