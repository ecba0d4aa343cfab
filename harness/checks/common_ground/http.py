"""Checks for every exercise: statuses, bodies, limits."""
from __future__ import annotations

import re

from harness.clients import worker_slots
from harness.clients.exchange import Answer
from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

CAMEL = re.compile(r"^[a-z][a-zA-Z0-9]*$")
KIB = 1024


class HttpChecks:
    """Mixed into an exercise's class for the common ground."""

    @check(expected="404 for an unknown path; 405 with Allow for a wrong method, HEAD and POST "
                    "among them",
           likely="a wrong method falls through to 404, or HEAD is answered like GET",
           hint="look up the path first, then the method", seconds=0.1)
    def test_unknown_path_and_wrong_method(self, fixture: Fixture) -> None:
        """An unknown path is 404, a wrong method 405 with `Allow`"""
        cluster = fixture.start()
        known = fixture.exercise.probe
        identified = not fixture.exercise.master_serves
        expect_error(cluster.client.get("/no-such-path"), 404, identified)
        expect_error(cluster.client.ask("/no-such-path", "POST", b"{}"), 404, identified)
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            answer = cluster.client.ask(known, method, b"{}" if method in ("POST", "PUT") else b"")
            if method == "HEAD":
                expect_status(answer, 405)
            else:
                expect_error(answer, 405, identified)
            if "get" not in answer.headers.get("allow", "").lower():
                raise CheckFailed(f"{answer}, Allow: {answer.headers.get('allow')!r}",
                                  expected=f"405 to {method} {known} with Allow: GET")

    @check(expected="JSON objects with Content-Type application/json, camelCase keys, `worker` and "
                    "`pid` in each that a worker writes; errors have `error`",
           likely="an answer that the library writes by itself, or an error, has no body of that "
                  "form",
           hint="let one function write every answer", seconds=0.2)
    def test_bodies(self, fixture: Fixture) -> None:
        """Every answer is a JSON object that says who answers; errors say what was wrong"""
        cluster = fixture.start()
        workers = worker_slots.find_workers(cluster)
        identified = not fixture.exercise.master_serves
        for answer in (cluster.client.get(fixture.exercise.probe),
                       cluster.client.get("/no-such-path"),
                       cluster.client.ask(fixture.exercise.probe, "POST", b"{}")):
            expect_form(answer, identified)
            if identified and workers.get(answer.worker or 0) != answer.pid:
                raise CheckFailed(f"{answer}: worker {answer.worker}, pid {answer.pid}; the "
                                  f"workers are (slot: pid) {workers}")

    @check(expected="a request head over 16 KiB gets 431, one of 15 KiB is served; also on an "
                    "unknown path",
           likely="the limit is another one, or the connection is closed without an answer",
           hint="count the bytes of the head as they come; answer, then close when the client has "
                "read it", seconds=0.1)
    def test_head_too_large(self, fixture: Fixture) -> None:
        """A request head over 16 KiB gets 431"""
        cluster = fixture.start()
        known, identified = fixture.exercise.probe, not fixture.exercise.master_serves
        expect_status(cluster.client.ask(known, "GET", headers=filler(15 * KIB)), 200)
        for path in (known, "/no-such-path"):
            for headers in (filler(17 * KIB), {"X-Long": "a" * 40 * KIB}):
                expect_error(cluster.client.ask(path, "GET", headers=headers), 431, identified)
        still_serving(cluster)

    @check(expected="a body over 64 KiB gets 413, before 404 and 405; one of 64 KiB does not",
           likely="the path or the method is judged first, or the answer is lost because the body "
                  "was not read", seconds=0.1,
           hint="judge the length first; close lingering, so that the client can read the answer")
    def test_body_too_large(self, fixture: Fixture) -> None:
        """A body over 64 KiB gets 413, before 404 and 405"""
        cluster = fixture.start()
        client, known = cluster.client, fixture.exercise.probe
        identified = not fixture.exercise.master_serves
        expect_error(client.ask("/no-such-path", "POST", b"x" * 64 * KIB), 404, identified)
        for path in (known, "/no-such-path"):
            expect_error(client.ask(path, "POST", b"x" * (64 * KIB + 1)), 413, identified)
            expect_error(client.ask(path, "POST", b"x" * (300 * KIB)), 413, identified)
        chunks = (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n"
        answer = client.ask("/no-such-path", "POST", chunks, {"Transfer-Encoding": "chunked"})
        if answer.status not in (411, 413):
            raise CheckFailed(f"80 KiB in chunks: {answer}", expected="413")
        still_serving(cluster)


def filler(size: int) -> dict[str, str]:
    """Headers of about that many bytes in all. No single one is long."""
    return {f"X-Filler-{number}": "a" * 980 for number in range(size // 1000)}


def expect_status(answer: Answer, status: int) -> None:
    if answer.outcome != "answer" or answer.status != status:
        raise CheckFailed(str(answer), expected=f"{status} to {answer.method} {answer.path}")


def expect_error(answer: Answer, status: int, identified: bool = True) -> None:
    expect_status(answer, status)
    expect_form(answer, identified)


def expect_form(answer: Answer, identified: bool = True) -> None:
    """The body is as the contract says. `identified`: a worker has written it, and says so."""
    if answer.outcome != "answer":
        raise CheckFailed(str(answer))
    kind = answer.headers.get("content-type", "")
    bad = [] if kind.lower().startswith("application/json") else [f"Content-Type {kind!r}"]
    if not answer.json:
        bad.append("no JSON object")
    else:
        who = (("worker", answer.worker), ("pid", answer.pid)) if identified else ()
        bad += [f"no number `{key}`" for key, value in who if value is None]
        bad += [f"the key {key!r} is not camelCase" for key in answer.json if not CAMEL.match(key)]
        error = answer.json.get("error")
        if answer.status >= 400 and not (isinstance(error, str) and error):
            bad.append("no text in `error`")
    if bad:
        raise CheckFailed(f"{answer}: {', '.join(bad)}; body {answer.body[:300]!r}")


def still_serving(cluster: Cluster) -> None:
    expect_status(cluster.client.get(cluster.exercise.probe), 200)
