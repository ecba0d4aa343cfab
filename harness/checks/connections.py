"""Kept-alive connections to workers. Each has had one answer."""
from __future__ import annotations

from harness.clients import worker_slots
from harness.clients.http_client import Connection
from harness.cluster.cluster import Cluster


def to_one(cluster: Cluster, slot: int) -> Connection:
    return worker_slots.connections_to(cluster, 1, [slot])[slot][0]


def to_each(cluster: Cluster) -> dict[int, Connection]:
    """Slot → a connection to its worker."""
    return {slot: found[0] for slot, found in worker_slots.connections_to(cluster, 1).items()}


def to_all(cluster: Cluster, each: int) -> list[Connection]:
    """That many connections to every worker."""
    return [one for found in worker_slots.connections_to(cluster, each).values() for one in found]


def leave_idle(cluster: Cluster, used: int, unused: int) -> None:
    """Open connections that have no request under way.

    `used`: to each worker, after one answer. `unused`: in all, without a request so far.
    """
    to_all(cluster, used)
    for _ in range(unused):
        cluster.client.connect()
