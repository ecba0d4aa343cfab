"""The order in which checks are dealt out."""
from __future__ import annotations

import random

from grading.order import arrange


def test_a_check_stands_behind_what_it_builds_on_and_none_is_lost() -> None:
    dice = random.Random(1)
    for count in range(40):
        for processes in range(1, 12):
            seconds = {number: dice.random() * 10 for number in range(count)}
            needs = {number: dice.sample(range(number), min(number, dice.choice((0, 0, 1, 2)))) for number in range(count)}
            order = arrange(list(range(count)), seconds.__getitem__, needs.__getitem__, processes)
            assert sorted(order) == list(range(count))
            assert all(order.index(need) < order.index(number) for number in needs for need in needs[number])


def test_each_process_starts_with_one_long_check_and_one_short_one() -> None:
    order = arrange(list(range(20)), float, lambda number: [], 4)
    assert order[0:8:2] == [19, 18, 17, 16] and order[1:8:2] == [0, 1, 2, 3]


def test_a_very_long_check_starts_right_behind_what_it_builds_on() -> None:
    needs = {3: [0], 4: [0], 5: [1], 18: [0], 19: [2]}
    order = arrange(list(range(20)), float, lambda number: needs.get(number, []), 4)
    assert order[0] == 0 and order.index(19) == order.index(2) + 1 and order.index(18) < order.index(1)


def test_with_few_processes_the_shortest_come_first() -> None:
    needs = {12: [3], 15: [12]}
    assert arrange(list(range(20)), lambda number: 20.0 - number, lambda number: needs.get(number, []), 2)[:4] == [3, 12, 19, 18]
