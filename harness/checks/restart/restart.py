"""A rolling restart: the signal, the exchange of all workers, and its end."""
from __future__ import annotations

import time
from dataclasses import dataclass
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGUSR2
from typing import NoReturn

from harness.checks import process_end
from harness.checks.drain import drain
from harness.checks.restart import newcomers, restart_causes, versions
from harness.checks.restart.one_at_a_time import Sampler, await_settled
from harness.checks.settings import seconds
from harness.clients.exchange import Exchange
from harness.clients.load import Load
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import overdue, overdue_at
from harness.judging.verdict import BoundBroken, CheckFailed, Inconclusive
from harness.system import processes, scheduling

SLACK = 1.0
"""Seconds that a worker may need beyond its simulated start-up, as after a crash."""
DRAIN_SLACK = 4.0
"""Seconds that an old worker may take to leave when it has nothing to do."""
QUIET_WITHIN = 3.0
"""Seconds after which a master is signalled although it is busy."""
LOOK = 0.5
"""Seconds between two looks at what a starter says of its steps."""
QUIET_FOR = 0.05
"""Seconds without a sign of work after which a master has nothing to do. It may look a little later
at what has ended."""
SURELY_UNDER_WAY = 0.1
"""A signal sent so many seconds before the end of the last old worker came during the restart: the
master cannot have seen that end before it saw the signal."""


@dataclass(frozen=True)
class Restart:
    """A rolling restart that a check has asked for."""

    cluster: Cluster
    old: dict[int, int]
    """Slot → pid of the old workers."""
    known: set[int]
    """The master's children before."""
    signalled: float


# ----- its beginning


def begin(cluster: Cluster, old: dict[int, int] | None = None, before: str = "") -> Restart:
    """Begin a rolling restart.

    `old`: slot → pid of the workers, where it is known already. `before`: the version that all of
    them have to serve, if any.
    """
    if old is None:
        old = versions.pids_of(cluster, before)
    known = set(processes.children(cluster.pid))
    return Restart(cluster, old, known, signal_quiet(cluster))


def begin_busy(cluster: Cluster, held: list[Exchange]) -> Restart:
    """Begin a rolling restart while requests are in flight, which the old workers answer."""
    known = set(processes.children(cluster.pid))
    signalled = signal_quiet(cluster)
    answers = [exchange.wait(6) for exchange in held]
    for answer in answers:
        drain.expect_whole(answer)
    old = {answer.worker or 0: answer.pid or 0 for answer in answers}
    cluster.client.close()
    if not set(old.values()) <= known:
        raise CheckFailed("the requests that were sent before SIGUSR2 were answered by "
                          f"(slot: pid) {old}; the old workers are {sorted(known)}",
                          expected="by the old workers")
    if len(old) < cluster.workers:
        raise Inconclusive(f"of {len(held)} requests only the workers {sorted(old)} got any")
    return Restart(cluster, old, known, signalled)


def begin_stuck(cluster: Cluster, slot: int) -> Restart:
    """Begin a rolling restart while the worker in that slot is stopped."""
    old = versions.pids_of(cluster)
    cluster.signal_worker(slot, SIGSTOP)
    return begin(cluster, old)


def signal_quiet(cluster: Cluster) -> float:
    """Signal a master that has nothing to do; returns the moment.

    A master that has not yet noticed the end of the last restart would ignore the signal.
    """
    quiet_since = began = time.monotonic()
    while (now := time.monotonic()) < quiet_since + QUIET_FOR and now < began + QUIET_WITHIN:
        time.sleep(0.01)
        if not_noticed_yet(cluster):
            quiet_since = time.monotonic()
    return cluster.signal(SIGUSR2)


def not_noticed_yet(cluster: Cluster) -> bool:
    """A child has ended and was not reaped, or the master runs, or waits for a processor or for the
    disk."""
    dead = [pid for pid in processes.children(cluster.pid) if processes.state(pid) == "Z"]
    return bool(dead) or any(scheduling.thread_state(cluster.pid, one) in ("R", "D")
                             for one in processes.threads(cluster.pid))


def signal_again(restart: Restart) -> float:
    """Send the signal twice more, the second time when a successor has been started.

    Returns the moment of the last signal.
    """
    restart.cluster.signal(SIGUSR2)
    await_successor(restart)
    return restart.cluster.signal(SIGUSR2)


# ----- its course


def await_successor(restart: Restart) -> tuple[float, int]:
    """Wait for the first successor: when it was started, and its pid."""
    return newcomers.next_newcomer(restart.cluster, restart.known, 5)


def hold_up_successor(restart: Restart, wait: float) -> None:
    """Stop the first successor before it is ready: for so long all old workers stay."""
    cluster, old = restart.cluster, restart.old
    born, successor = await_successor(restart)
    newcomers.signal_starting(cluster, successor, born, SIGSTOP)
    left = cluster.watcher.wait_gone(list(old.values()), wait)
    if len(left) < len(old):
        raise CheckFailed(f"{len(old) - len(left)} old workers have left within {wait} s, although "
                          "the successor was stopped before it was ready",
                          expected="all old workers stay until it is ready")
    newcomers.send(cluster, successor, SIGCONT)


# ----- its end


def longest(cluster: Cluster) -> float:
    """Seconds that a restart of all workers may take when nothing hinders it."""
    return cluster.workers * (seconds(cluster, "STARTUP_MS") + SLACK + DRAIN_SLACK)


def await_replaced(restart: Restart, more: float = 0.0) -> float:
    """Wait until the old workers are gone; returns when the last one was.

    `more`: seconds that something adds to the time that a restart may take.
    """
    cluster, since, old = restart.cluster, restart.signalled, restart.old
    bound = longest(cluster) + more
    patience = overdue_at(since, bound) - time.monotonic()
    end = time.monotonic() + patience
    while True:
        left = cluster.watcher.wait_gone(list(old.values()), min(LOOK, end - time.monotonic()))
        if not left or time.monotonic() >= end:
            break
        cluster.refuse_unfinished(since, "after SIGUSR2 the old workers are still there")
    if left:
        refuse_still_there(restart, left, bound)
    return max(cluster.watcher.gone_at(pid) or since for pid in old.values())


def refuse_still_there(restart: Restart, left: list[int], bound: float) -> NoReturn:
    cluster, since, old = restart.cluster, restart.signalled, restart.old
    slots = [slot for slot, pid in old.items() if pid in left]
    try:
        cluster.refuse_late(bound, since, f"after SIGUSR2 the old workers {slots} are still there, "
                                          f"pids {sorted(left)}", due=since)
    except BoundBroken as late:
        late.likely, late.hint = restart_causes.of_left(cluster, left, old, restart.known)
        raise


def expect_all_new(restart: Restart, wanted: str = "") -> dict[int, int]:
    """The master is the same, every slot has a new process, of that version if one is given.

    Returns slot → pid.
    """
    cluster, old = restart.cluster, restart.old
    try:
        new = versions.pids_of(cluster, wanted)
    except versions.WrongVersions as failed:
        failed.likely, failed.hint = restart_causes.of_versions(failed.found, old.values(), wanted)
        raise
    same = [slot for slot in new if new[slot] in old.values()]
    if same:
        raise CheckFailed(f"the workers {same} are still the same processes: {old} before, {new} "
                          "after (slot: pid)")
    if not processes.alive(cluster.pid):
        raise CheckFailed("the master has ended" + cluster.said(),
                          expected="the master stays the same process")
    return new


def expect_done(restart: Restart, wanted: str = "", more: float = 0.0) -> dict[int, int]:
    """All old workers go, and every slot has a new process; returns slot → pid."""
    await_replaced(restart, more)
    return expect_all_new(restart, wanted)


def complete(cluster: Cluster, wanted: str = "", before: str = "") -> dict[int, int]:
    """A whole rolling restart, from one version to another; returns slot → pid."""
    return expect_done(begin(cluster, before=before), wanted)


def complete_watched(cluster: Cluster) -> tuple[Sampler, dict[int, int]]:
    """A whole rolling restart: what was seen of its processes, and slot → pid of the old ones."""
    with Sampler(cluster) as sampler:
        restart = begin(cluster)
        await_replaced(restart)
    return sampler, restart.old


def complete_busy(cluster: Cluster, held: list[Exchange]) -> tuple[Sampler, dict[int, int]]:
    """As complete_watched(), with requests in flight, which the old workers answer."""
    with Sampler(cluster) as sampler:
        restart = begin_busy(cluster, held)
        await_replaced(restart, more=6.0)
    return sampler, restart.old


def complete_under_load(cluster: Cluster, old: dict[int, int] | None = None
                        ) -> tuple[Restart, float]:
    """A whole rolling restart beside a load; returns when the last old worker was gone, too."""
    restart = begin(cluster, old)
    return restart, await_replaced(restart, more=8.0)


def complete_with_crash(cluster: Cluster, slot: int, wanted: str) -> Sampler:
    """A whole rolling restart in which the worker in that slot is killed.

    All slots come to have a new process of that version, and there is no other process then.
    Returns what was seen of the processes.
    """
    with Sampler(cluster) as sampler:
        restart = begin(cluster)
        await_successor(restart)
        cluster.signal_worker(slot, SIGKILL)
        await_replaced(restart, more=2.0)
        await_version(restart, wanted, more=2.0)
        await_settled(cluster, len(restart.known), restart.signalled, longest(cluster) + 4.0)
    expect_all_new(restart, wanted)
    return sampler


def await_version(restart: Restart, wanted: str, more: float) -> None:
    """Wait until all slots serve that version."""
    bound = longest(restart.cluster) + more
    while set((seen := versions.of(restart.cluster)).values()) != {wanted}:
        if overdue(restart.signalled, bound):
            restart.cluster.refuse_late(bound, restart.signalled,
                                        f"the versions (slot: version) are still {seen}, not all "
                                        f"{wanted}")
        time.sleep(0.02)


def expect_killed_and_done(restart: Restart, slot: int, wanted: str) -> None:
    """The stopped worker in that slot is killed at DRAIN_TIMEOUT_MS, and the restart goes on."""
    cluster, timeout = restart.cluster, seconds(restart.cluster, "DRAIN_TIMEOUT_MS")
    process_end.expect_killed_at(cluster, restart.old[slot], restart.signalled,
                                 seconds(cluster, "STARTUP_MS") + timeout,
                                 f"the stopped old worker {slot}")
    expect_done(restart, wanted, more=timeout)


def expect_both_versions(restart: Restart, done: float, load: Load, first: str,
                         second: str) -> None:
    """Old processes always told the first version, new ones the second; clients saw both.

    `done`: when the last old worker was gone.
    """
    versions.expect_each_process_has_one(load, restart.old.values(), first, second)
    versions.expect_both_seen(load, restart.signalled, done, {first, second})


def expect_only_one(restart: Restart, wanted: str, last: float) -> None:
    """The restart brings that version, and no other one follows. `last`: the last SIGUSR2."""
    cluster = restart.cluster
    if last > await_replaced(restart) - SURELY_UNDER_WAY:
        raise Inconclusive("the harness was so slow that the restart may have been over at the "
                           "last SIGUSR2")
    new = expect_all_new(restart, wanted)
    newcomers.expect_no_newcomer(cluster, {*restart.known, *new.values()},
                                 seconds(cluster, "STARTUP_MS") + 0.4,
                                 "after the restart was over")
    if versions.expect_version(cluster, wanted) != new:
        raise CheckFailed("workers were replaced a second time", expected="one restart")
