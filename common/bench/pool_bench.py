"""A pool of four workers: trivial tasks a second, without HTTP and over it.

Without HTTP every worker has one task in flight. Over HTTP there are 16 clients. Each submits a
task, asks until it is completed, and submits the next.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from report import Measurement, Report, ratio
from servers import PEERS, Recipe, Server, all_running, await_listener, end, exercise, free_port
from wrk import run_wrk, unexpected

CLIENTS = 16


@contextmanager
def beanstalkd() -> Iterator[int]:
    """Runs a queue server that keeps nothing on the disk. Yields its port."""
    port = free_port()
    process = subprocess.Popen(
        ["beanstalkd", "-l", "127.0.0.1", "-p", str(port)], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )
    try:
        await_listener(process, port)
        yield port
    finally:
        end(process)


def rate_of(command: list[str], seconds: float) -> float:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    return float(seen["tasks"] / seen["seconds"])


def run_bare(binaries: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    discipline = "pool of 4, trivial tasks, no HTTP"
    with beanstalkd() as port:
        commands = {
            "pool": [str(binaries / "cluster-bench-pool"), str(seconds)],
            "node cluster": ["node", str(PEERS / "pool_peer.js"), str(seconds)],
            "ProcessPoolExecutor": [sys.executable, str(PEERS / "executor_peer.py"), str(seconds)],
            "beanstalkd": [str(binaries / "cluster-bench-beanstalk"), str(port), str(seconds)],
        }
        results = {name: Measurement(discipline, name, "tasks/s") for name in commands}
        for number in range(rounds):
            for name, command in commands.items():
                tell(f"{discipline}: round {number + 1} of {rounds}, {name}")
                results[name].rounds.append(rate_of(command, seconds))
    bounds = {"node cluster": 1.8, "ProcessPoolExecutor": 5, "beanstalkd": 2.5}
    figures = [
        ratio(f"pool: tasks a second against {name}", results["pool"], results[name], "≥", bound)
        for name, bound in bounds.items()
    ]
    return Report(list(results.values()), figures, [])


def tasks_over_http(server: Server, seconds: float) -> float:
    """Tasks a second."""
    script = str(PEERS / "submit_and_poll.lua")
    output, taken = run_wrk(server, seconds, CLIENTS, "-s", script, threads=CLIENTS)
    found = re.search(r"tasks done: (\d+)", output)
    if not found:
        raise unexpected(server, output)
    return int(found[1]) / taken


def run_http(program: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    discipline = f"pool of 4 over HTTP, {CLIENTS} clients"
    peer = ["node", str(PEERS / "pool_peer.js")]
    recipes = [exercise(program, 4, "/"),
               Recipe("node cluster", peer, {"WORKERS": "4"}, path="/task/")]
    results = {recipe.name: Measurement(discipline, recipe.name, "tasks/s") for recipe in recipes}
    with all_running(recipes) as servers:
        for server in servers:
            tasks_over_http(server, 1)
        for number in range(rounds):
            for server in servers:
                tell(f"{discipline}: round {number + 1} of {rounds}, {server.name}")
                results[server.name].rounds.append(tasks_over_http(server, seconds))
    figure = ratio("pool over HTTP: tasks a second against node cluster",
                   results["exercise 5"], results["node cluster"], "≥", 2)
    return Report(list(results.values()), [figure], [])


def run(binaries: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    report = run_bare(binaries, rounds, seconds / 2, tell)
    report.add(run_http(binaries / "ex5-solution", rounds, seconds, tell))
    return report
