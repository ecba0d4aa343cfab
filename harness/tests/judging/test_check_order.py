"""The order in which checks are dealt."""
from __future__ import annotations

import random

from harness.judging.check_order import arrange


def test_a_check_stands_behind_what_it_builds_on_and_none_is_lost() -> None:
    dice = random.Random(1)
    for count in range(40):
        for _ in range(12):
            seconds = {number: dice.choice((0.0, dice.random() * 10)) for number in range(count)}
            needs = {number: dice.sample(range(number), min(number, dice.choice((0, 0, 1, 2))))
                     for number in range(count)}
            order = arrange(list(range(count)), seconds.__getitem__, needs.__getitem__,
                            lambda number: number % 5 == 0)
            assert sorted(order) == list(range(count))
            assert all(order.index(need) < order.index(number)
                       for number in needs for need in needs[number])


def test_the_longest_come_first_with_what_they_build_on() -> None:
    needs = {18: [0], 19: [2]}
    order = arrange(list(range(20)), float, lambda number: needs.get(number, []),
                    lambda number: number in (7, 12))
    assert order[:7] == [12, 7, 2, 19, 0, 18, 17], "heavy checks, which run one at a time, first"
