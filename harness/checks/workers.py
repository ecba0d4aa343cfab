"""The workers of a cluster as they answer."""
from __future__ import annotations

from harness.checks.who_answers import note_holder
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed
from harness.system import processes


def expect_children(cluster: Cluster, count: int, found: dict[int, int] | None = None) -> None:
    """So many workers answer, each a child of the master with a pid of its own. (Whether each has
    its own connections is noted for the instructor.)

    `found`: slot → pid, where the workers have answered already.
    """
    found = found or worker_slots.find_workers(cluster)
    children = processes.children(cluster.pid)
    slots = list(range(1, count + 1))
    if cluster.workers != count or sorted(found) != slots or len(set(found.values())) != count:
        raise CheckFailed(f"the ready line says {cluster.workers} workers; answers came from "
                          f"(slot: pid) {found}")
    if not set(found.values()) <= set(children):
        raise CheckFailed(f"answers came from the pids {sorted(found.values())}; the master's "
                          f"children are {sorted(children)}")
    note_holder(cluster)
