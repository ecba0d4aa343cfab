"""Checks of exercise 5 that belong to the common ground."""
from __future__ import annotations

from signal import SIGKILL

from harness.checks.common_ground.http import expect_error
from harness.checks.tasks import tasks
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed


class PoolChecks:
    """Mixed into the class for the common ground, as its last checks."""

    @check(expected="405 with Allow to GET /task and to POST /stats",
           likely="a path is looked up together with its method, so that a wrong method is 404",
           hint="look up the path first, then the method", seconds=0.7)
    def test_wrong_methods(self, fixture: Fixture) -> None:
        """A wrong method on a path of the pool is 405 with `Allow`"""
        cluster = fixture.start()
        for method, path, allowed in (("GET", "/task", "post"), ("DELETE", "/task", "post"),
                                      ("POST", "/stats", "get")):
            answer = cluster.client.ask(path, method, b"{}" if method == "POST" else b"")
            expect_error(answer, 405, identified=False)
            allow = answer.headers.get("allow")
            if allowed not in (allow or "").lower():
                raise CheckFailed(f"{answer}, Allow: {allow!r}",
                                  expected=f"Allow: {allowed.upper()}")

    @check(expected="after SIGKILL of the master all workers are gone within 1 s, those too that "
                    "are computing",
           likely="a worker notices the death of its master only when it reads the next message",
           hint="PR_SET_PDEATHSIG: the kernel ends a worker whose parent is gone", seconds=0.3)
    def test_workers_go_with_their_master(self, fixture: Fixture) -> None:
        """Workers that compute are gone within 1 s of their master's death"""
        cluster = fixture.start()
        for name in [tasks.submit(cluster, *tasks.ENDLESS) for _ in range(2)]:
            tasks.await_status(cluster, name, "processing", "with a free worker")
        killed = cluster.signal(SIGKILL)
        cluster.expect_processes_gone(killed, 1.0)
