"""The answers of all workers, slot by slot: which process serves there, and with which version."""
from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Collection

from harness.clients import worker_slots
from harness.clients.exchange import Answer, Exchange
from harness.clients.load import Load
from harness.cluster.cluster import Cluster
from harness.judging.time_bounds import expect_not_before
from harness.judging.verdict import CheckFailed


class WrongVersions(CheckFailed):
    """Workers tell another version than the wanted one. `found`: slot → answer."""

    def __init__(self, found: dict[int, Answer], wanted: str) -> None:
        super().__init__(f"the versions (slot: version) are {by_slot(found)}",
                         expected=f"{wanted} from all workers")
        self.found = found


# ----- asking


def survey(cluster: Cluster, patience: float = 5.0) -> dict[int, Answer]:
    """Slot → what the worker there answers now, over fresh connections."""
    began = time.monotonic()
    found: dict[int, Answer] = {}
    tries = 0
    while len(found) < cluster.workers:
        answer = cluster.client.get("/", patience=3)
        tries += 1
        slot, pid = answer.worker, answer.pid
        if answer.outcome != "answer" or answer.status != 200 or slot is None or pid is None:
            raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                              expected="200 to / with `worker` and `pid`")
        found[slot], cluster.slots[slot] = answer, pid
        if (len(found) < cluster.workers
                and worker_slots.searched_enough(cluster, began, patience, tries, answer)):
            cluster.refuse_late(patience, began,
                                f"of {tries} fresh connections only the workers {sorted(found)} "
                                f"of {cluster.workers} answer")
        time.sleep(0.002)
    return found


def survey_at_once(cluster: Cluster) -> dict[int, Answer]:
    """As survey(), when each answer takes its time."""
    found: dict[int, Answer] = {}
    for _ in range(4):
        answers = [exchange.wait(10) for exchange in flood(cluster, 5 * cluster.workers)]
        cluster.client.close()
        bad = [answer for answer in answers if answer.status != 200 or answer.worker is None]
        if bad:
            raise CheckFailed(f"{len(bad)} of {len(answers)} requests failed; the first: {bad[0]}",
                              expected="200 to all")
        found.update({one.worker: one for one in answers if one.worker is not None})
        if len(found) == cluster.workers:
            return found
    raise CheckFailed(f"only the workers {sorted(found)} have answered",
                      expected=f"all {cluster.workers} workers")


def flood(cluster: Cluster, count: int) -> list[Exchange]:
    """`count` requests on fresh connections, spread over all workers, that were read."""
    held = []
    for _ in range(count):
        held.append(cluster.client.start("/"))
        time.sleep(0.003)
    cluster.settle("/")
    return held


def pids(found: dict[int, Answer]) -> dict[int, int]:
    return {slot: answer.pid or 0 for slot, answer in sorted(found.items())}


def pids_of(cluster: Cluster, version: str = "") -> dict[int, int]:
    """Slot → pid now. All have to serve that version, if one is given."""
    return expect_version(cluster, version) if version else pids(survey(cluster))


def of(cluster: Cluster) -> dict[int, object]:
    """Slot → version now."""
    return by_slot(survey(cluster))


def by_slot(found: dict[int, Answer]) -> dict[int, object]:
    return {slot: answer.json.get("version") for slot, answer in sorted(found.items())}


# ----- expectations


def expect_version(cluster: Cluster, wanted: str) -> dict[int, int]:
    """All slots serve that version; returns slot → pid."""
    found = survey(cluster)
    if set(by_slot(found).values()) != {wanted}:
        raise WrongVersions(found, wanted)
    return pids(found)


def expect_versions(cluster: Cluster, wanted: dict[int, object], when: str) -> None:
    seen = of(cluster)
    if seen != wanted:
        raise CheckFailed(f"{when} the versions (slot: version) are {seen}", expected=str(wanted))


def expect_fields(cluster: Cluster, work: float) -> None:
    """Every worker tells `uptime` in seconds and `timestamp` as ISO 8601 in UTC, both true, and
    takes so many seconds for it."""
    before = datetime.now(timezone.utc)
    for answer in survey(cluster).values():
        expect_not_before(work * 0.98, answer.started, answer.ended, "the answer to GET /")
        expect_uptime(answer.json.get("uptime"), time.monotonic() - cluster.started)
        expect_timestamp(answer.json.get("timestamp"), before)


def expect_uptime(uptime: object, running: float) -> None:
    if (isinstance(uptime, bool) or not isinstance(uptime, (int, float))
            or not 0 <= uptime <= running + 0.1):
        raise CheckFailed(f"uptime {uptime!r}; the cluster has been running for {running:.2f} s",
                          expected="seconds since its start")


def expect_timestamp(stamp: object, before: datetime) -> None:
    """`before`: a moment shortly before the answer."""
    try:
        moment = datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))
    except ValueError:
        raise CheckFailed(f"timestamp {stamp!r}", expected="like 2026-01-31T12:34:56Z") from None
    earliest, latest = before - timedelta(seconds=2), before + timedelta(seconds=30)
    if moment.utcoffset() != timedelta(0) or not earliest < moment < latest:
        raise CheckFailed(f"timestamp {stamp!r}, when it is {before.isoformat(timespec='seconds')}",
                          expected="the time in UTC")


def expect_each_process_has_one(load: Load, old: Collection[int], before: str, after: str) -> None:
    """Every process told one version all the time: the old ones `before`, the new ones `after`."""
    told: dict[int | None, set[str | None]] = {}
    for one in load.asked:
        if not one.dropped:
            told.setdefault(one.pid, set()).add(one.version)
    if any(len(found) != 1 for found in told.values()):
        raise CheckFailed(f"the versions that each process has told: {told}",
                          expected="a process has one version")
    wrong = {pid: found for pid, found in told.items()
             if found != {before if pid in old else after}}
    if wrong:
        raise CheckFailed(f"versions by pid: {wrong}; the old workers were {sorted(old)}",
                          expected=f"{before} from old, {after} from new")


def expect_both_seen(load: Load, since: float, until: float, both: set[str]) -> None:
    """Between the two moments clients got answers of both versions."""
    seen = {one.version for one in load.asked if since < one.started < until and not one.dropped}
    if seen != both:
        load.expect_enough(since, until)
        raise CheckFailed(f"during the restart the versions {sorted(map(str, seen))} were seen",
                          expected="both")
