"""Why a rolling restart has not brought what it should: told by the processes that were started."""
from __future__ import annotations

import re
from typing import Collection

from harness.checks.journal_tells import left_when_ready, ready_at, spawned
from harness.clients.exchange import Answer
from harness.cluster.cluster import Cluster

FIRST_VERSION = "1.0.0"
VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){2}")
Cause = tuple[str, str]
"""The likely cause, and a hint; two empty texts: nothing is known."""
NOT_PROMOTED = (
    "the successor never becomes the slot's worker: so the old one, which was told to go, is "
    "replaced as if it had crashed",
    "promote() the successor before the old worker is told to go")
OLD_VARIABLES = (
    "the successors are started with the variables of the first start, so that the new version "
    "does not get to them; or the version is a constant",
    "give start() the variables of the version that the restart brings")
NEVER_TOLD = (
    "the old worker is never told to go (SIGTERM), or does not heed it: its successor is ready, "
    "and it is still there", "after promote() send SIGTERM to the process that had the slot before")
SUCCESSORS_TOLD = (
    "the successors were told to go, not the old workers: all of these are still there, and new "
    "ones have become ready and left",
    "ask which worker the slot has before its successor is promoted")


def of_versions(found: dict[int, Answer], old: Collection[int], wanted: str) -> Cause:
    """New processes (`old`: the pids of the former workers) tell another version than the wanted
    one."""
    told = {str(answer.json.get("version")) for answer in found.values()}
    if any(answer.pid in old for answer in found.values()) or any(
            later(version, wanted) for version in told):
        return "", ""
    if wanted in told:
        return NOT_PROMOTED
    return OLD_VARIABLES if told == {FIRST_VERSION} else ("", "")


def later(version: str, than: str) -> bool:
    """Whether both are versions, and the first is the higher one."""
    numbers = [[int(part) for part in one.split(".")] if VERSION.fullmatch(one) else []
               for one in (version, than)]
    return all(numbers) and numbers[0] > numbers[1]


def of_left(cluster: Cluster, left: Collection[int], old: dict[int, int], known: set[int]) -> Cause:
    """Old workers (slot → pid) are still there; `known`: the master's children before."""
    young = {slot: set(spawned(cluster, slot)) - known for slot in old}
    if len(left) == len(old) and any(left_when_ready(cluster, pid)
                                     for some in young.values() for pid in some):
        return SUCCESSORS_TOLD
    replaced = any(ready_at(cluster, pid) is not None
                   for slot, former in old.items() if former in left for pid in young[slot])
    return NEVER_TOLD if replaced else ("", "")
