"""The search for workers: fresh connections until every wanted worker has answered, so that it is
known which process serves in which slot."""
from __future__ import annotations

import math
import time
from typing import NoReturn

from harness.clients.exchange import Answer
from harness.clients.http_client import Connection
from harness.clients.target import Target
from harness.judging.time_bounds import overdue
from harness.judging.verdict import CheckFailed
from harness.system import processes

PAUSE = 0.005
"""Seconds between fresh connections that did not reach the worker that is still wanted."""
SPREAD, LEAST = 20, 5
"""Of SPREAD fresh connections per worker, each worker gets at least LEAST, says the contract."""
LONGEST_SEARCH = 30.0
"""Seconds (and a quarter more) for a search in which every connection is answered."""


def find_workers(cluster: Target, patience: float = 5.0) -> dict[int, int]:
    """Ask over fresh connections until every slot has answered; slot → pid."""
    began = time.monotonic()
    if cluster.exercise.master_serves:
        return _find_listed_workers(cluster, began, patience)
    found: dict[int, int] = {}
    tries = 0
    while len(found) < cluster.workers:
        answer = cluster.client.get(cluster.exercise.probe, patience=2)
        tries += 1
        if answer.worker is not None and answer.pid is not None:
            found[answer.worker] = answer.pid
        if answer.outcome == "answer" and (not answer.by_worker or answer.status != 200):
            _refuse_probe(answer)
        complete = len(found) >= cluster.workers
        if not complete and searched_enough(cluster, began, patience, tries, answer):
            cluster.refuse_late(patience, began,
                                f"of {tries} fresh connections only the workers {sorted(found)} "
                                f"of {cluster.workers} answer; last: {answer}")
        if found and answer.worker is not None:
            time.sleep(PAUSE)
    cluster.slots = found
    return found


def _refuse_probe(answer: Answer) -> NoReturn:
    missing = answer.status == 404
    raise CheckFailed(
        f"{answer}, body {answer.body[:200]!r}",
        expected=f"200 to {answer.path} and a JSON object with `worker` and `pid`",
        likely=f"the workers serve, but have no route for {answer.path} yet" if missing else "")


def _find_listed_workers(cluster: Target, began: float, patience: float) -> dict[int, int]:
    """Ask for the statistics until every slot has a process that lives."""
    while True:
        answer = cluster.client.get("/stats", patience=3)
        listed = answer.json.get("perWorker")
        if (answer.status != 200 or not isinstance(listed, list)
                or not all(isinstance(one, dict) for one in listed)):
            raise CheckFailed(f"{answer}, body {answer.body[:200]!r}",
                              expected="200 to /stats, `perWorker` with an object for each worker",
                              likely="`/stats` does not tell of the workers yet; most checks look "
                                     "there for them",
                              hint="`/stats` first: then these checks can say more")
        found = {one["worker"]: one["pid"] for one in listed
                 if isinstance(one.get("pid"), int) and isinstance(one.get("worker"), int)}
        if len(found) == cluster.workers and all(map(processes.alive, found.values())):
            cluster.slots = found
            return found
        if overdue(began, patience):
            cluster.refuse_late(patience, began, f"/stats lists (slot: pid) {found}, "
                                                 f"not {cluster.workers} workers that live")
        time.sleep(PAUSE)


def connections_to(cluster: Target, each: int, slots: list[int] | None = None,
                   patience: float = 10.0) -> dict[int, list[Connection]]:
    """Open `each` kept-alive connections to every worker (or to the given ones); each of them has
    had one answer."""
    wanted: dict[int, list[Connection]] = {
        slot: [] for slot in slots or range(1, cluster.workers + 1)}
    if cluster.exercise.master_serves:
        return {slot: [cluster.client.connect() for _ in range(each)] for slot in wanted}
    began, tries = time.monotonic(), 0
    while any(len(found) < each for found in wanted.values()):
        connection = cluster.client.connect()
        tries += 1
        answer = connection.get(cluster.exercise.probe, patience=3)
        if answer.status == 200 and answer.worker is not None and answer.pid is not None:
            cluster.slots[answer.worker] = answer.pid
        mine = wanted.get(answer.worker or 0)
        if mine is not None and len(mine) < each and connection.usable and not answer.says_close():
            mine.append(connection)
        else:
            connection.close()
            time.sleep(PAUSE)
        complete = all(len(found) == each for found in wanted.values())
        rounds = tries / math.ceil(each / LEAST)
        if not complete and searched_enough(cluster, began, patience, rounds, answer):
            have = ", ".join(f"worker {slot}: {len(found)} of {each}"
                             for slot, found in wanted.items())
            cluster.refuse_late(patience, began, f"{tries} kept-alive connections, to all workers: "
                                                 f"{have}; last: {answer}")
    return wanted


def searched_enough(cluster: Target, began: float, patience: float, tries: float,
                    last: Answer) -> bool:
    """Whether fresh connections would have reached every worker by now. On a very slow machine the
    patience may be over after only a few of them."""
    enough = (tries >= SPREAD * cluster.workers or last.worker is None
              or overdue(began, LONGEST_SEARCH))
    return overdue(began, patience) and enough


def ask_successor(cluster: Target, slot: int, old: int) -> Answer | None:
    """The first answer that another process in that slot gives now. This asks over several
    connections at once: one alone would reach that slot only by luck."""
    answers = cluster.client.get_at_once(cluster.exercise.probe, 2 * cluster.workers, patience=0.5)
    found = [answer for answer in answers
             if answer.worker == slot and answer.pid not in (old, None) and answer.status == 200]
    return min(found, key=lambda answer: answer.ended) if found else None


def pid_of(cluster: Target, slot: int) -> int:
    if slot not in cluster.slots:
        find_workers(cluster)
    return cluster.slots[slot]
