"""The search for workers over fresh connections: it depends on luck, so a slow machine, which makes
fewer connections in the same time, gets more time."""
from __future__ import annotations

from typing import Callable, Iterator

import pytest

from harness.checks.restart.versions import survey
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.verdict import CheckFailed

LATE_SECOND = """
import time
class Counted(Handler):
    count = 0
    def do_GET(self):
        Counted.count += 1
        time.sleep(0.02)
        self.answer({"worker": 2 if Counted.count in SECOND else 1, "pid": os.getpid()})
Handler = Counted
"""
PATIENCE = 0.01
"""Seconds. It is over long before the last try that the contract grants: each try takes 20 ms."""
SEARCHES: tuple[Callable[[Cluster], object], ...] = (
    lambda cluster: worker_slots.find_workers(cluster, PATIENCE),
    lambda cluster: worker_slots.connections_to(cluster, 1, patience=PATIENCE),
    lambda cluster: survey(cluster, PATIENCE))
MOST = worker_slots.SPREAD * 2


@pytest.fixture
def start(make_fixture: Callable[[str], Fixture]) -> Iterator[Callable[[str], Cluster]]:
    """Starts a cluster whose second worker gives the answers with these numbers; the first worker
    gives all others."""
    fixtures: list[Fixture] = []

    def started(second: str) -> Cluster:
        fixtures.append(make_fixture(LATE_SECOND.replace("SECOND", second)))
        cluster = fixtures[-1].start()
        cluster.workers = 2
        return cluster

    yield started
    for fixture in fixtures:
        fixture.finish()


@pytest.mark.parametrize("find", SEARCHES)
def test_a_search_goes_on_for_as_many_tries_as_the_contract_says(
        find: Callable[[Cluster], object], start: Callable[[str], Cluster]) -> None:
    find(start(f"range({MOST}, 2 * {MOST})"))


@pytest.mark.parametrize("find", SEARCHES)
def test_and_no_longer(find: Callable[[Cluster], object], start: Callable[[str], Cluster]) -> None:
    with pytest.raises(CheckFailed, match=r"(?s)[45]\d (fresh|kept-alive) connections.*1"):
        find(start("()"))


def test_a_worker_that_is_found_at_last_is_not_called_missing(start: Callable[[str], Cluster]
                                                              ) -> None:
    """Five connections to each worker take longer than the patience, which is over when the last
    one is made."""
    found = worker_slots.connections_to(start("range(36, 41)"), 5, patience=PATIENCE)
    assert [len(connections) for connections in found.values()] == [5, 5]
