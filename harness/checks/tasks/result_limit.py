"""RESULT_LIMIT of exercise 5: so many finished tasks can be asked for, older ones are forgotten."""
from __future__ import annotations

from typing import Sequence

from harness.checks.common_ground.http import expect_error
from harness.checks.tasks import held_workers, pool_stats, task_status, tasks
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed


def expect_kept(cluster: Cluster, names: Sequence[str], count: int, done: int) -> None:
    """When `done` tasks are completed, exactly `count` of `names` can be asked for.

    The others are 404.
    """
    pool_stats.expect_numbers(cluster, "tasks", f"with {done} tasks done", completed=done)
    answers = [cluster.client.get(f"/task/{name}") for name in names]
    known = sum(answer.status != 404 for answer in answers)
    if known != count:
        raise CheckFailed(f"of {len(names)} finished tasks {known} are not 404",
                          expected=f"{count}: the last that were finished")
    for answer, name in zip(answers, names):
        if answer.status != 404:
            task_status.shown(answer, name)
        else:
            expect_error(answer, 404, identified=False)


def submit_waiting(cluster: Cluster, count: int) -> list[str]:
    """Tasks of which all but a few wait for a while, with the workers stopped."""
    held_workers.hold(cluster)
    names = tasks.submit_all(cluster, count)
    held_workers.release(cluster)
    return names


def complete_many(cluster: Cluster, count: int) -> None:
    """That many small tasks, as quickly as the program takes them."""
    connection = cluster.client.connect()
    done = pool_stats.stats(cluster)["tasks"]["completed"]
    for number in range(count):
        connection = connection if connection.usable else cluster.client.connect()
        tasks.submit_patiently(cluster, connection, "fibonacci", number % 5)
    pool_stats.await_stats(cluster, lambda body: body["tasks"]["completed"] == done + count,
                           f"{count} more tasks should be completed", 10.0)
