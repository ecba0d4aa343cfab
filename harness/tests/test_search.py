"""Fresh connections until every worker has answered: luck, which a slow machine gives fewer tries."""
from __future__ import annotations

from typing import Callable, Iterator

import pytest

from grading import search
from grading.cluster import Cluster
from grading.lab import Lab
from grading.restart import survey
from grading.verdict import CheckFailed

LATE_SECOND = """
import time
class Counted(Handler):
    count = 0
    def do_GET(self):
        Counted.count += 1
        time.sleep(0.02)
        body = json.dumps({"worker": 2 if Counted.count in SECOND else 1, "pid": os.getpid()}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
Handler = Counted
"""
PATIENCE = 0.01
"""Is over long before the last try that the contract grants: each takes 20 ms."""
SEARCHES: tuple[Callable[[Cluster], object], ...] = (
    lambda cluster: search.find_workers(cluster, PATIENCE), lambda cluster: search.connections_to(cluster, 1, patience=PATIENCE),
    lambda cluster: survey(cluster, PATIENCE))
MOST = search.SPREAD * 2


@pytest.fixture
def start(make_lab: Callable[[str], Lab]) -> Iterator[Callable[[str], Cluster]]:
    """A cluster whose second worker gives just these of all answers."""
    labs: list[Lab] = []

    def started(second: str) -> Cluster:
        labs.append(make_lab(LATE_SECOND.replace("SECOND", second)))
        cluster = labs[-1].start()
        cluster.workers = 2
        return cluster
    yield started
    for lab in labs:
        lab.finish()


@pytest.mark.parametrize("find", SEARCHES)
def test_a_search_goes_on_for_as_many_tries_as_the_contract_says(find: Callable[[Cluster], object], start: Callable[[str], Cluster]) -> None:
    find(start(f"range({MOST}, 2 * {MOST})"))


@pytest.mark.parametrize("find", SEARCHES)
def test_and_no_longer(find: Callable[[Cluster], object], start: Callable[[str], Cluster]) -> None:
    with pytest.raises(CheckFailed, match=r"(?s)[45]\d (fresh|kept-alive) connections.*1"):
        find(start("()"))


def test_what_was_found_at_last_is_not_called_missing(start: Callable[[str], Cluster]) -> None:
    """Five of each: that takes longer than the patience, which is over when the last one is found."""
    cluster = start("range(36, 41)")
    assert [len(found) for found in search.connections_to(cluster, 5, patience=PATIENCE).values()] == [5, 5]
