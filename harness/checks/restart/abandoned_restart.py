"""A rolling restart that has to be abandoned, since a successor does not become ready."""
from __future__ import annotations

from signal import SIGKILL, SIGSTOP

from harness.checks import process_end, replacement
from harness.checks.drain.forced_end import expect_log_after
from harness.checks.restart import newcomers, restart, versions
from harness.checks.restart.restart import Restart
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed

WHY_NONE = "although the restart had to be abandoned"


def stop_second_successor(under_way: Restart, timeout: float) -> None:
    """Stop the successor in the second slot before it is ready: it is killed after so many seconds,
    and no other process is started."""
    cluster, known = under_way.cluster, under_way.known
    _, first = restart.await_successor(under_way)
    born, second = newcomers.next_newcomer(cluster, {*known, first}, 8)
    newcomers.signal_starting(cluster, second, born, SIGSTOP)
    process_end.expect_killed_at(cluster, second, born, timeout,
                                 "the successor that was stopped before it was ready")
    newcomers.expect_no_newcomer(cluster, {*known, first, second}, 0.3, WHY_NONE)


def expect_slots_keep_their_versions(cluster: Cluster) -> None:
    """One slot was done. A crash in it, and one in another slot, change no slot's version."""
    wanted = versions.of(cluster)
    done = [slot for slot, version in wanted.items() if version == "1.1.0"]
    kept = [slot for slot, version in wanted.items() if version == "1.0.0"]
    if len(done) != 1 or len(kept) != 3:
        raise CheckFailed("after a restart that was abandoned at the second slot the versions "
                          f"(slot: version) are {wanted}",
                          expected="1.1.0 in the slot that was done, 1.0.0 in the others")
    for slot in (done[0], kept[0]):
        replacement.expect_replaced_when_killed(cluster, slot, within=1.3)
    versions.expect_versions(cluster, wanted,
                             f"after crashes in the slots {done[0]} and {kept[0]}")


def kill_successor(under_way: Restart) -> float:
    """Kill the first successor before it is ready: no other process is started.

    Returns the moment of the kill.
    """
    born, successor = restart.await_successor(under_way)
    killed = newcomers.signal_starting(under_way.cluster, successor, born, SIGKILL)
    newcomers.expect_no_newcomer(under_way.cluster, {*under_way.known, successor}, 1.0, WHY_NONE)
    return killed


def expect_old_serve_on(under_way: Restart, since: float) -> None:
    """The master has logged something since then, and the old workers serve 1.0.0."""
    expect_log_after(under_way.cluster, since, "that the restart was abandoned")
    if versions.expect_version(under_way.cluster, "1.0.0") != under_way.old:
        raise CheckFailed(f"workers were replaced {WHY_NONE}", expected="the old ones stay")
