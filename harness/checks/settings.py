"""Settings as a cluster has them."""
from __future__ import annotations

from harness.cluster.cluster import Cluster


def seconds(cluster: Cluster, name: str) -> float:
    """A duration in seconds. Where it is not set, the contract's figure holds."""
    return int(cluster.settings.get(name, cluster.exercise.real[name])) / 1000
