"""The watcher tells which processes of a cluster are new."""
from __future__ import annotations

import os
import subprocess
import time

from harness.cluster.watcher import SCAN_SECONDS, Watcher
from harness.judging.events import EventLog
from harness.system import processes


def test_a_newcomer_was_started_afterwards_not_only_seen_late() -> None:
    watcher = Watcher(os.getpid(), os.getpid(), EventLog(), 1, lambda count: None)
    before = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            while ((born := processes.born(child.pid)) is None
                    or time.monotonic() < born + 2 * processes.BIRTH_TICK):
                pass
            since = time.monotonic()
            watcher.scan()
            while time.monotonic() < watcher.seen[child.pid].first + SCAN_SECONDS:
                watcher.scan()
            assert child.pid in [one.pid for one in watcher.newcomers(before)]
            assert child.pid not in [one.pid for one in watcher.newcomers(since)]
        finally:
            child.kill()
            for one in watcher.seen.values():
                os.close(one.handle)
