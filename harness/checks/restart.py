"""Steps and expectations of a rolling restart, in the words of the contract."""
from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGSTOP, SIGUSR2, Signals
from typing import Collection

from harness.clients import worker_search
from harness.clients.exchange import Answer, Exchange
from harness.cluster.cluster import CHILD_AGE, Cluster
from harness.cluster.fixture import Fixture
from harness.cluster.program import Program
from harness.judging.time_bounds import await_true, expect_not_before, overdue, overdue_at
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system import processes

SAMPLE_SECONDS = 0.004
ENDED_FIRST = {"likely": "the old worker is ended first, and its successor started afterwards",
               "hint": "start the successor first; the old one goes when the successor is ready"}
NOT_AWAITED = {"likely": "the old worker is told to go when its successor was started: nobody waits until that is ready",
               "hint": "wait until the successor itself says that it is ready"}
READY_MARGIN = 0.05
"""Seconds before it can be ready that a worker must have been signalled."""
SLACK = 1.0
"""Seconds that a worker may need beyond its simulated start-up: as for the replacement of a crashed one."""
QUIET_WITHIN = 3.0
"""Seconds after which a master is signalled although it is busy."""
QUIET_FOR = 0.05
"""Seconds without a sign of work after which it has nothing to do; it may look at what has ended a little later."""
DRAIN_SLACK = 4.0
"""Seconds that an old worker may take to leave when it has nothing to do."""
MOST_LISTS = 40
"""Lists of children that one look takes at most."""
ELF = b"\x7fELF"


def survey(cluster: Cluster, patience: float = 5.0) -> dict[int, Answer]:
    """What every slot answers now, slot → answer, over fresh connections."""
    began = time.monotonic()
    found: dict[int, Answer] = {}
    tries = 0
    while len(found) < cluster.workers:
        answer = cluster.client.get("/", patience=3)
        tries += 1
        if answer.outcome != "answer" or answer.status != 200 or answer.worker is None or answer.pid is None:
            raise CheckFailed(f"{answer}, body {answer.body[:200]!r}", expected="200 to / with `worker` and `pid`")
        found[answer.worker] = answer
        cluster.slots[answer.worker] = answer.pid
        if len(found) < cluster.workers and worker_search.searched_enough(cluster, began, patience, tries, answer):
            cluster.refuse_late(patience, began, f"of {tries} fresh connections only the workers {sorted(found)} of {cluster.workers} answer")
        time.sleep(0.002)
    return found


def flood(cluster: Cluster, count: int) -> list[Exchange]:
    """That many requests in flight on fresh connections, spread over all workers, surely read."""
    held = []
    for _ in range(count):
        held.append(cluster.client.start("/"))
        time.sleep(0.003)
    cluster.settle("/")
    return held


def survey_at_once(cluster: Cluster) -> dict[int, Answer]:
    """As survey(), when each answer takes its time."""
    found: dict[int, Answer] = {}
    for _ in range(4):
        answers = [exchange.wait(10) for exchange in flood(cluster, 5 * cluster.workers)]
        cluster.client.close()
        bad = [answer for answer in answers if answer.status != 200 or answer.worker is None]
        if bad:
            raise CheckFailed(f"{len(bad)} of {len(answers)} requests failed; the first: {bad[0]}", expected="200 to all")
        found.update({answer.worker: answer for answer in answers if answer.worker is not None})
        if len(found) == cluster.workers:
            return found
    raise CheckFailed(f"only the workers {sorted(found)} have answered", expected=f"all {cluster.workers} workers")


def pids(found: dict[int, Answer]) -> dict[int, int]:
    return {slot: answer.pid or 0 for slot, answer in sorted(found.items())}


def versions(found: dict[int, Answer]) -> dict[int, object]:
    return {slot: answer.json.get("version") for slot, answer in sorted(found.items())}


def expect_version(cluster: Cluster, wanted: str) -> dict[int, int]:
    """All slots serve that version; returns their pids."""
    found = survey(cluster)
    if set(versions(found).values()) != {wanted}:
        raise CheckFailed(f"the versions (slot: version) are {versions(found)}", expected=f"{wanted} from all workers")
    return pids(found)


def whole_restart(fixture: Fixture, cluster: Cluster) -> float:
    """Seconds that a restart of all workers may take when nothing hinders it."""
    return cluster.workers * (int(cluster.settings.get("STARTUP_MS", fixture.figure("STARTUP_MS") * 1000)) / 1000 + SLACK + DRAIN_SLACK)


def restart(cluster: Cluster) -> float:
    """Signal a master that has nothing to do: one that has not yet noticed the end of the last restart would ignore it."""
    quiet_since = began = time.monotonic()
    while (now := time.monotonic()) < quiet_since + QUIET_FOR and now < began + QUIET_WITHIN:
        time.sleep(0.01)
        if not_noticed_yet(cluster):
            quiet_since = time.monotonic()
    return cluster.signal(SIGUSR2)


def not_noticed_yet(cluster: Cluster) -> bool:
    """A child has ended and was not reaped, or the master runs, or waits for a processor or for the disk."""
    dead = [pid for pid in processes.children(cluster.pid) if processes.state(pid) == "Z"]
    return bool(dead) or any(processes.thread_state(cluster.pid, one) in ("R", "D") for one in processes.threads(cluster.pid))


def await_replaced(fixture: Fixture, cluster: Cluster, old: dict[int, int], since: float, more: float = 0.0) -> float:
    """Wait until the old workers are gone; returns when the last one was."""
    bound = whole_restart(fixture, cluster) + more
    left = cluster.watcher.wait_gone(list(old.values()), overdue_at(since, bound) - time.monotonic())
    if left:
        slots = [slot for slot, pid in old.items() if pid in left]
        cluster.refuse_late(bound, since, f"after SIGUSR2 the old workers {slots} are still there, pids {sorted(left)}", due=since)
    return max(cluster.watcher.gone_at(pid) or since for pid in old.values())


def expect_all_new(cluster: Cluster, old: dict[int, int], wanted: str = "") -> dict[int, int]:
    """Every slot has another process than before, of the wanted version if one is given."""
    new = expect_version(cluster, wanted) if wanted else pids(survey(cluster))
    same = [slot for slot in new if new[slot] in old.values()]
    if same:
        raise CheckFailed(f"the workers {same} are still the same processes: {old} before, {new} after (slot: pid)")
    return new


def expect_versions(cluster: Cluster, wanted: dict[int, object], when: str) -> None:
    seen = versions(survey(cluster))
    if seen != wanted:
        raise CheckFailed(f"{when} the versions (slot: version) are {seen}", expected=str(wanted))


def await_version(fixture: Fixture, cluster: Cluster, wanted: str, since: float, more: float = 0.0) -> None:
    """Wait until all slots serve that version."""
    bound = whole_restart(fixture, cluster) + more
    while set((seen := versions(survey(cluster))).values()) != {wanted}:
        if overdue(since, bound):
            cluster.refuse_late(bound, since, f"the versions (slot: version) are still {seen}, not all {wanted}")
        time.sleep(0.02)


def signal_starting(cluster: Cluster, pid: int, came: float, number: Signals) -> float:
    """Signal a process that was found just now, before it can be ready."""
    time.sleep(CHILD_AGE)
    while in_vfork(cluster) and time.monotonic() < came + int(cluster.settings["STARTUP_MS"]) / 1000:
        time.sleep(0.002)
    moment = send(cluster, pid, number)
    if number == SIGSTOP:
        await_true(lambda: processes.stopped(pid), 5, "the new worker did not stop")
    expect_in_time(cluster, came, time.monotonic())
    return moment


def in_vfork(cluster: Cluster) -> bool:
    """The master may wait for the exec of a child, which must not be stopped before."""
    return any(processes.thread_state(cluster.pid, one) == "D" for one in processes.threads(cluster.pid))


def expect_in_time(cluster: Cluster, came: float, signalled: float) -> None:
    """The signal was sent before a worker that was started at `came` can be ready."""
    if signalled > came + int(cluster.settings["STARTUP_MS"]) / 1000 - READY_MARGIN:
        raise Inconclusive("the harness was too slow to send a signal before a worker was ready")


def send(cluster: Cluster, pid: int, number: Signals) -> float:
    moment = time.monotonic()
    cluster.log.add("signal", cluster=cluster.number, pid=pid, t=moment, text=number.name, data={"to": "the new worker"})
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise CheckFailed(f"the new process {pid} was gone before it was sent {number.name}" + cluster.said()) from None
    return moment


def await_settled(cluster: Cluster, count: int, since: float, bound: float) -> None:
    """Wait until there are just so many children again: nobody starts, nobody leaves."""
    while len(look(cluster).children) != count:
        if overdue(since, bound):
            cluster.refuse_late(bound, since, f"{count} worker processes again, and no more")
        time.sleep(0.01)


def next_newcomer(cluster: Cluster, known: set[int], patience: float) -> tuple[float, int]:
    """The next new child of the master, and when it was started."""
    began = time.monotonic()
    while True:
        for pid in processes.children(cluster.pid):
            if pid not in known and (born := processes.born(pid)) is not None:
                return born, pid
        if overdue(began, patience):
            cluster.refuse_late(patience, began, "a new worker process (none came)")
        time.sleep(0.002)


def children_of_the_start(cluster: Cluster) -> set[int]:
    """Those that were started so long before the ready line that they can have been waited for."""
    latest = (cluster.ready_at or 0.0) - int(cluster.settings["STARTUP_MS"]) / 2000
    return {pid for pid in look(cluster).children if (processes.born(pid) or 0.0) < latest}


def expect_no_newcomer(cluster: Cluster, known: Collection[int], seconds: float, why: str) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        new = [pid for pid in processes.children(cluster.pid) if pid not in known and processes.alive(pid)]
        if new:
            raise CheckFailed(f"a new process {processes.describe(new)} {why}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Sample:
    t: float
    children: frozenset[int]


def look(cluster: Cluster) -> Sample:
    """The children that live at one moment: two equal lists, and nobody has come or gone between. One list may lack a child while
    another ends (proc(5), "children"), and a child in it may have been replaced before it is asked whether it lives."""
    found: tuple[list[int], Sample] | None = None
    for _ in range(MOST_LISTS):
        now, listed = time.monotonic(), sorted(processes.children(cluster.pid))
        if found is not None and listed == found[0]:
            return found[1]
        found = listed, Sample(now, frozenset(filter(processes.alive, listed)))
    raise Inconclusive("the master's children come and go so fast that the harness cannot count them")


class Sampler(threading.Thread):
    """Looks at the master's children every few milliseconds, from `start` to `stop`."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True, name="sampler")
        self.cluster = cluster
        self.samples = [look(cluster)]
        self._fault: Exception | None = None
        self._ending = threading.Event()

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ending.set()
        self.join()
        if self._fault is not None and kind is None:
            raise self._fault

    def run(self) -> None:
        ending = False
        try:
            while not ending:
                ending = self._ending.wait(SAMPLE_SECONDS)
                self.samples.append(look(self.cluster))  # once more at the end: for the successor of who has left just now
        except Exception as fault:  # told to the thread that judges
            self._fault = fault

    def first_seen(self, pid: int) -> float:
        return next(sample.t for sample in self.samples if pid in sample.children)

    def last_without(self, pid: int) -> float:
        """The last look before it was first seen: it may have come any time since."""
        return max((sample.t for sample in self.samples if sample.t < self.first_seen(pid)), default=0.0)

    def expect_one_at_a_time(self, old: dict[int, int], startup: float) -> None:
        """Never more than one extra process, never fewer than before; no old one leaves before a successor is up.

        With `startup` 0 nothing tells when a successor is up; then no old one leaves before its successor has come.
        """
        before = len(self.samples[0].children)
        most = max(self.samples, key=lambda sample: len(sample.children))
        least = min(self.samples, key=lambda sample: len(sample.children))
        known = self.samples[0].children
        new = sorted((self.first_seen(pid), pid) for pid in {pid for one in self.samples for pid in one.children} - known)
        if len(most.children) > before + 1:
            raise CheckFailed(f"{len(most.children)} worker processes at once: {sorted(most.children)}",
                              expected=f"never more than {before} + 1", **why_too_many(new, startup))
        if len(least.children) < before:
            raise CheckFailed(f"only {len(least.children)} worker processes at one moment: {sorted(least.children)}",
                              expected=f"never fewer than {before}", **ENDED_FIRST)
        gone = sorted((left, pid) for pid in old.values() if (left := self.cluster.watcher.gone_at(pid)) is not None)
        if len(gone) < len(old):
            raise Inconclusive(f"of {len(old)} old workers the harness has seen only {len(gone)} leave")
        for number, ((came, successor), (left, former)) in enumerate(zip(new, gone), start=1):
            not_before = self.last_without(successor)
            if left < not_before:
                raise CheckFailed(f"the old process {former}, the {number}. to leave, left before its successor {successor} had appeared",
                                  **ENDED_FIRST)
            if startup and left - came < startup / 2:
                if left - not_before >= startup:
                    raise Inconclusive(f"the harness did not look for {came - not_before:.2f} s: too long to tell the order")
                raise CheckFailed(f"the old process {former}, the {number}. to leave, left {(left - came) * 1000:.0f} ms after its "
                                  f"successor {successor} had appeared, which needs {startup * 1000:.0f} ms to be ready",
                                  **(ENDED_FIRST if left < came else NOT_AWAITED))
        if len(new) < len(gone):
            raise Inconclusive(f"the harness has seen {len(new)} successors of {len(gone)} old workers")


def why_too_many(new: list[tuple[float, int]], startup: float) -> dict[str, str]:
    """`new`: when each newcomer was first seen, and its pid."""
    if new[1][0] - new[0][0] < startup / 2:
        return {"likely": "all successors are started at once", "hint": "one slot after another: start, wait for `ready`, drain the old one"}
    return {"likely": "the next slot's turn comes while the old worker of the last still drains: nobody waits until it is gone",
            "hint": "wait until the old worker is gone before the next slot"}


def expect_killed_at(cluster: Cluster, pid: int, since: float, bound: float, what: str) -> None:
    """The process is gone no earlier than `bound` after `since` (but for 10 %), and not much later."""
    latest = bound * 1.1 + SLACK
    if cluster.watcher.wait_gone([pid], since + latest * 1.5 + 1 - time.monotonic()):
        cluster.refuse_late(latest, since, f"the end of {what} (still there)", due=since + bound)
    at = cluster.watcher.gone_at(pid)
    if at is None:
        raise Inconclusive(f"the harness was too slow to see when {what} ended")
    cluster.expect_within(latest, since, at, f"the end of {what}", due=since + bound)
    expect_not_before(bound * 0.9 - 0.1, since, at, f"the end of {what}")


# ----- the program on the disk


def is_native(program: Program) -> bool:
    """A program of its own, rather than a script: of that nobody can tell from outside which file was read."""
    with open(program.words[0], "rb") as file:
        return file.read(4) == ELF and len(program.words) == 1


def copy_of(fixture: Fixture) -> tuple[Program, Path]:
    """The program started from a copy of its own file, and that copy."""
    words = fixture.program.words
    folder = fixture.run.disk / f"copy-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    path = folder / Path(words[0]).name
    shutil.copy2(words[0], path)
    return replace(fixture.program, words=[str(path), *words[1:]]), path


def exchange_file(path: Path) -> None:
    """Put another file with the same content in its place, as an installation does."""
    fresh = path.with_suffix(".new")
    shutil.copy2(path, fresh)
    fresh.rename(path)


def expect_running(new: dict[int, int], path: Path) -> None:
    """Every process runs the file that lies there now."""
    wanted = path.stat().st_ino
    for slot, pid in new.items():
        try:
            seen = os.stat(f"/proc/{pid}/exe").st_ino
        except OSError as why:
            raise Inconclusive(f"/proc/{pid}/exe cannot be read: {why}") from None
        if seen != wanted:
            raise CheckFailed(f"the new worker {slot} (pid {pid}) runs {os.readlink(f'/proc/{pid}/exe')}, not the file that lies "
                              f"at {path.name} now", expected="workers are started from the file on disk")
