"""Checks of exercise 5 on the task types: their results, and the input that is refused."""
from __future__ import annotations

from harness.checks.common_ground.http import expect_error
from harness.checks.tasks import held_workers, pool_stats, task_results, task_status, tasks
from harness.cluster.fixture import Fixture
from harness.judging.exercise import check
from harness.judging.verdict import CheckFailed

SMALL = (*range(32), 49, 121, 169, 961, 7919, 7919 * 7919, 99991 * 99989, 65521 * 65537)
LARGE = (2 ** 31 - 1, 2 ** 31, 2 ** 32 + 15, 46337 * 46349, 2 ** 53 + 5, 2147483647 * 2,
         2 ** 61 - 1, 2 ** 63 - 1)
"""Numbers about which programs err: edges, squares, products of two primes, large primes."""
NUMBERS = (("9223372036854775807", 2 ** 63 - 1), ("9007199254740993", 2 ** 53 + 1), ("40.0", 40),
           ("4e1", 40), ("0", 0))
"""n as JSON has it, and the number that it is."""
BAD_BODIES = (
    b"", b"{", b"null", b"[]", b'"fibonacci"', b"{}", b'{"type":"fibonacci"}', b'{"n":1}',
    b'{"type":"sleep","n":1}', b'{"type":7,"n":1}', b'{"type":null,"n":1}',
    b'{"type":"Fibonacci","n":1}', b'{"type":"fibonacci","n":"1"}',
    b'{"type":"fibonacci","n":null}', b'{"type":"fibonacci","n":true}',
    b'{"type":"fibonacci","n":[1]}', b'{"type":"fibonacci","n":1.5}',
    b'{"type":"fibonacci","n":-1}', b'{"type":"fibonacci","n":51}',
    b'{"type":"fibonacci","n":4294967297}', b'{"type":"prime","n":-2}',
    b'{"type":"prime","n":9223372036854775808}', b'{"type":"prime","n":18446744073709551617}',
    b'{"type":"prime","n":1e300}', b'{"type":"prime","n":1e16}',
    b'{"type":"prime","n":9007199254740995.0}', b'{"type":"hash","n":0}',
    b'{"type":"hash","n":10000001}',
    b'{"type":"fibonacci","n":NaN}', b'{"type":"fibonacci","n":1} x',
    b'{"type":"fibonacci","n":1}\x00', b"\xff\xfe{}", b"[" * 30000)
"""Bodies of requests that are no task."""


class TaskTypeChecks:
    """Mixed into the item on task types, as its first checks."""

    @check(expected="fibonacci(0) = 0, fibonacci(1) = 1 … fibonacci(40) = 102334155, as numbers",
           likely="the recursion starts with 1, 1, or the result is a text, or it has only 32 bits",
           hint="fibonacci(0) is 0", seconds=3)
    def test_fibonacci(self, fixture: Fixture) -> None:
        """Fibonacci numbers from 0 to 40"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        # 47 is beyond 32 bits, and takes half a minute.
        further = [*range(31, 41), 47] if fixture.real_time else [34, 40]
        task_results.expect_results(cluster, [("fibonacci", n) for n in [*range(31), *further]])

    @check(expected="0 and 1 are no primes, 2 is; 2^31-1 and 2^61-1 are; squares and products of "
                    "two primes are not",
           likely="0 and 1 count as primes, or the loop ends before the square root, or overflows "
                  "before it", hint="divide as long as d * d <= n, without computing d * d",
           seconds=7.5)
    def test_primes(self, fixture: Fixture) -> None:
        """Primes: edges, squares, products, large ones"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        task_results.expect_results(cluster, [("prime", n) for n in [*reversed(LARGE), *SMALL]])
        if fixture.real_time:
            task_results.expect_largest_prime(cluster)

    @check(expected="n hashes in all: SHA-256 of `start`, then of the last lower-case hex digest",
           likely="the raw bytes are hashed instead of the hex digits, or it is one hash too many "
                  "or too few", hint="the first of the n hashes is that of `start`", seconds=1)
    def test_hash_chains(self, fixture: Fixture) -> None:
        """Hash chains as Python's hashlib has them"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        lengths = (1, 2, 3, 10, 100, 1000, 50_000)
        task_results.expect_results(cluster, [("hash", n) for n in lengths])

    @check(expected="bodies that are no task get 400 with an error, and nothing is stored",
           likely="a missing, fractional or too large n is taken for 0 or cut off, or a bad body "
                  "ends the connection or the master",
           hint="look at each of `type` and `n`: is it there, is it of the right kind, is it in "
                "the range?", seconds=0.5)
    def test_bad_input_is_refused(self, fixture: Fixture) -> None:
        """Bad input is refused with 400"""
        cluster = fixture.start()
        connection = cluster.client.connect()
        for body in BAD_BODIES:
            one = connection if connection.usable else cluster.client.connect()
            length = {"Content-Length": str(len(body))}
            answer = one.send("/task", "POST", body, length).wait(5)
            if answer.status != 400:
                raise CheckFailed(f"{answer}, body of the request {body[:80]!r}", expected="400")
            expect_error(answer, 400, identified=False)
        pool_stats.expect_numbers(cluster, "tasks", "after bad input only", submitted=0,
                                  completed=0)
        done = tasks.await_completed(cluster, [tasks.submit(cluster, "fibonacci", 9)])
        task_results.expect_result(done[0])

    @check(expected="n is shown exactly, beyond 2^53 too; 40.0 is 40; the edges of each range are "
                    "accepted", likely="n is kept as a floating-point number",
           hint="read a whole number as a 64-bit integer", seconds=0.3)
    def test_numbers_are_exact(self, fixture: Fixture) -> None:
        """`n` is kept exactly; 40.0 is 40"""
        cluster = fixture.start({"MAX_QUEUE": 100})
        held_workers.hold(cluster)
        for sent, wanted in NUMBERS:
            body = f'{{"type":"prime","n":{sent}}}'.encode()
            answer = cluster.client.ask("/task", "POST", body)
            shown = task_status.task(cluster, tasks.accepted(answer))["n"]
            if shown != wanted or isinstance(shown, float) and wanted > 2 ** 53:
                raise CheckFailed(f"n was sent as {sent}, shown is {shown!r}",
                                  expected=str(wanted))
        for kind, n in (("fibonacci", 50), ("fibonacci", 0), ("hash", 1), ("hash", 10_000_000)):
            tasks.submit(cluster, kind, n)
