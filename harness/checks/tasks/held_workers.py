"""Steps of exercise 5 in which workers are stopped, so that tasks stay at work and others wait."""
from __future__ import annotations

from signal import SIGCONT, SIGSTOP
from typing import Iterable, Sequence

from harness.checks.tasks import pool_stats, task_status, tasks
from harness.checks.tasks.task_status import Body
from harness.clients import worker_slots
from harness.cluster.cluster import Cluster
from harness.judging.verdict import CheckFailed


def hold(cluster: Cluster) -> None:
    """Stop all workers while they have nothing to do."""
    pool_stats.await_stats(cluster, lambda body: body["workers"]["available"] == cluster.workers,
                           "before the first task all workers are available", 5.0)
    worker_slots.find_workers(cluster)
    for slot in range(1, cluster.workers + 1):
        cluster.signal_worker(slot, SIGSTOP)


def release(cluster: Cluster, slots: Sequence[int] | None = None) -> None:
    """Let the workers (all, or these) go on."""
    for slot in slots or range(1, cluster.workers + 1):
        cluster.signal_worker(slot, SIGCONT)


def occupy(cluster: Cluster, waiting: int = 0) -> tuple[list[str], list[str]]:
    """All workers stopped, each with a task, and that many waiting: the ids of both."""
    hold(cluster)
    at_work = tasks.submit_all(cluster, cluster.workers)
    for name in at_work:
        tasks.await_status(cluster, name, "processing", "with a free worker for each task")
    queued = tasks.submit_all(cluster, waiting)
    pool_stats.expect_numbers(cluster, "queue",
                              f"with every worker busy and {waiting} tasks more", size=waiting)
    return at_work, queued


def finish(cluster: Cluster, names: Sequence[str], slots: Sequence[int] | None = None
           ) -> list[Body]:
    """Let the workers (all, or these) go on, and wait until these tasks are completed."""
    release(cluster, slots)
    return tasks.await_completed(cluster, names)


def free(cluster: Cluster, slot: int) -> None:
    """Let one of the busy workers go on, and wait until it has finished its task."""
    release(cluster, [slot])
    pool_stats.await_stats(cluster, lambda body: body["workers"]["busy"] == cluster.workers - 1,
                           f"with worker {slot} awake its task should end", tasks.QUIET)


def with_worker(cluster: Cluster, names: Iterable[str]) -> dict[int, str]:
    """Slot → the task that it has."""
    return {task_status.task(cluster, name)["worker"]: name for name in names}


def task_of(cluster: Cluster, slot: int, names: Sequence[str]) -> str:
    """The task, one of these, that this worker has."""
    held = with_worker(cluster, names)
    if slot not in held:
        raise CheckFailed(f"of {len(names)} tasks none is with worker {slot}; "
                          f"(worker: task) {held}", expected="one task on each worker")
    return held[slot]


def expect_one_on_each(cluster: Cluster, names: Iterable[str]) -> None:
    slots = with_worker(cluster, names)
    if sorted(slots) != list(range(1, cluster.workers + 1)):
        raise CheckFailed(f"(worker: task) {slots}", expected="one task on each worker")


def follow(cluster: Cluster, name: str) -> list[Body]:
    """A task that waits, with one worker awake, and when all are: what is shown of it each time."""
    seen = [task_status.task(cluster, name)]
    release(cluster, [1])
    pool_stats.await_stats(cluster, lambda body: body["queue"]["size"] == 0,
                           "with worker 1 awake the queue should be empty", tasks.QUIET)
    seen.append(task_status.task(cluster, name))
    return seen + finish(cluster, [name])


def expect_all_done_by(slot: int, bodies: Iterable[Body]) -> None:
    """This worker, the only one that was awake, has completed all these tasks."""
    others = {body["worker"] for body in bodies} - {slot}
    if others:
        raise CheckFailed(f"the workers {sorted(others)} have completed tasks while they were "
                          "stopped", expected=f"worker {slot} has done them")
