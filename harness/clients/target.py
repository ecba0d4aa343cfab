"""The cluster as its clients see it. (Clients may not import the cluster itself.)"""
from __future__ import annotations

from typing import NoReturn, Protocol

from harness.clients.http_client import Client
from harness.judging.delay_meter import DelayMeter
from harness.judging.events import EventLog
from harness.judging.exercise import Exercise


class Target(Protocol):
    exercise: Exercise
    log: EventLog
    meter: DelayMeter
    client: Client
    number: int
    """The number of the cluster within its check, from 1 on."""
    url: str
    workers: int
    slots: dict[int, int]
    """Which pid was last seen in which slot; the search for workers keeps it up to date."""

    def refuse_late(self, bound: float, start: float, what: str,
                    due: float | None = None) -> NoReturn: ...
