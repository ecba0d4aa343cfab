"""What the tasks of exercise 5 must come to, by Python's own arithmetic and hashlib."""
from __future__ import annotations

import hashlib
import time
from typing import Callable, Sequence

from harness.checks.tasks import task_status, tasks
from harness.checks.tasks.task_status import Body
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed
from harness.system import scheduling


def fibonacci(n: int) -> int:
    former, latter = 0, 1
    for _ in range(n):
        former, latter = latter, former + latter
    return former


def is_prime(n: int) -> bool:
    """Miller-Rabin with the first twelve primes, which is proven for n < 3.3 * 10^24 (Sorenson and
    Webster, 2015)."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    if n < 2 or n in bases or any(n % base == 0 for base in bases):
        return n in bases
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(may_be_prime(n, base, odd, twos) for base in bases)


def may_be_prime(n: int, base: int, odd: int, twos: int) -> bool:
    """One round of Miller-Rabin, n - 1 being odd * 2 ** twos."""
    power = pow(base, odd, n)
    if power in (1, n - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % n
        if power == n - 1:
            return True
    return False


def hash_chain(n: int) -> str:
    text = "start"
    for _ in range(n):
        text = hashlib.sha256(text.encode()).hexdigest()
    return text


REFERENCE: dict[str, Callable[[int], object]] = {"fibonacci": fibonacci, "prime": is_prime,
                                                 "hash": hash_chain}


def expect_result(body: Body) -> None:
    wanted, found = REFERENCE[body["type"]](body["n"]), body["result"]
    if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
        listed = ("the JSON value was made with braces, which make a list of it: write "
                  "`Json result = …`") if found == [wanted] else ""
        raise CheckFailed(f"{body['type']} of {body['n']} is {found!r}", expected=repr(wanted),
                          likely=listed)


def expect_largest_prime(cluster: Cluster) -> None:
    """The largest n that is prime takes twice as many divisions as 2^61-1.

    A program that needs four times the processor time of 2^61-1 will not end.
    """
    measured = tasks.await_completed(cluster, [tasks.submit(cluster, "prime", 2 ** 61 - 1)])[0]
    took = measured["durationMs"] / 1000
    name = tasks.submit(cluster, "prime", 2 ** 63 - 25)
    slot = tasks.await_status(cluster, name, "processing", "with a free worker")["worker"]
    worker = worker_slots.find_workers(cluster)[slot]
    before = scheduling.processor_time(worker)
    progress = tasks.Progress(cluster, tasks.LONGEST + 4 * took)
    while (body := task_status.task(cluster, name))["status"] == "processing":
        used = scheduling.processor_time(worker) - before
        if used > 4 * took + 5:
            raise CheckFailed(f"prime of 2^63-25 has not ended after {used:.0f} s of processor "
                              f"time; prime of 2^61-1 took {took:.1f} s",
                              expected="twice as many divisions, then true",
                              likely="d * d overflows before it exceeds n, so that the loop does "
                                     "not end", hint="compare d with n / d")
        progress.refuse_if_none(f"prime of 2^63-25 is not finished, and nobody computes: {body}")
        time.sleep(0.1)
    expect_result(body)


def expect_results(cluster: Cluster, wanted: Sequence[tuple[str, int]]) -> None:
    """Submit them all, wait, and compare each with the reference."""
    connection = cluster.client.connect()
    names = []
    for kind, n in wanted:
        connection = connection if connection.usable else cluster.client.connect()
        names.append(tasks.submit_patiently(cluster, connection, kind, n))
    for (kind, n), body in zip(wanted, tasks.await_completed(cluster, names)):
        if (body["type"], body["n"]) != (kind, n) or isinstance(body["n"], float):
            raise CheckFailed(f"{kind} of {n} was submitted; shown is {body}",
                              expected="type and n as they were sent")
        expect_result(body)
