"""The load beside repeated gradings: it is there meanwhile, and ends."""
from __future__ import annotations

import os
import time

from harness.proof import machine_load
from harness.system import processes


def test_the_load_is_there_meanwhile_and_ends() -> None:
    me = os.getpid()
    before = processes.children(me)
    with machine_load.loaded("cpu") as there:
        [stress] = [pid for pid in processes.children(me) if pid not in before]
        while len(burners := processes.children(stress)) < 2:
            assert there()
            time.sleep(0.01)
    assert not there()
    until = time.monotonic() + 5
    while any(map(processes.alive, (stress, *burners))):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_no_load_starts_nothing() -> None:
    before = processes.children(os.getpid())
    with machine_load.loaded("idle") as there:
        assert there() and processes.children(os.getpid()) == before
