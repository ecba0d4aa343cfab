"""The cluster's drain begins while one worker leaves by itself."""
from __future__ import annotations

import time
from signal import SIGTERM

from harness.checks import process_end
from harness.checks.drain import drain, turned_away
from harness.checks.replacement import HEARD_WITHIN
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import BoundBroken


class GivingWayChecks:
    """Mixed into exercise 1's class for what all workers do together."""

    @check(expected="SIGTERM to the only worker, then SIGTERM to the master while that worker "
                    "still finishes a request: new requests get 503 until it is answered; exit 0",
           likely="a worker that leaves does not accept again when the whole cluster drains",
           hint="a worker that is told to drain while it leaves gives way: it accepts again, and "
                "turns requests away like the others", seconds=2.5,
           needs=("test_eight_in_flight_get_answers", "test_new_connections_get_503",
                  "test_own_sigterm_of_one_worker"))
    def test_leaving_worker_gives_way(self, fixture: Fixture) -> None:
        """SIGTERM to the master while a worker leaves: new requests are turned away all the same"""
        cluster = fixture.start({"WORKERS": 1})
        held = drain.hold(cluster, 1, [1])
        cluster.signal_worker(1, SIGTERM)
        time.sleep(HEARD_WITHIN)
        draining = drain.begin(cluster, held)
        try:
            turned_away.expect_on_new_connections(draining)
        except BoundBroken as late:
            late.likely = late.hint = ""  # nobody has answered: those of this check are likelier
            raise
        process_end.expect_end(cluster, 0, held[0].wait(1).ended, drain.AFTER_LAST_ANSWER)
