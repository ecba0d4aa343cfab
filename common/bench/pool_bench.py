"""A pool of four workers: trivial tasks a second, without HTTP and over it.

Without HTTP every worker has one task in flight. Over HTTP 16 clients each submit a task, ask until it is completed, and
submit the next.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from report import Measurement, Report, ratio
from servers import PEERS, Recipe, Server, await_listener, end, exercise, free_port, running

CLIENTS = 16


@contextmanager
def beanstalkd() -> Iterator[int]:
    """A queue server of its own, without a file; its port."""
    port = free_port()
    process = subprocess.Popen(["beanstalkd", "-l", "127.0.0.1", "-p", str(port)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        await_listener(process, port)
        yield port
    finally:
        end(process)


def rate_of(command: list[str], seconds: float) -> float:
    output = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    seen = json.loads(output.splitlines()[-1])
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
    figures = [ratio(f"pool: tasks a second against {name}", results["pool"], results[name], "≥", bound)
               for name, bound in (("node cluster", 1.8), ("ProcessPoolExecutor", 5), ("beanstalkd", 2.5))]
    return Report(list(results.values()), figures, [])


def tasks_over_http(server: Server, seconds: float) -> float:
    command = ["wrk", f"-t{CLIENTS}", f"-c{CLIENTS}", f"-d{max(1, round(seconds))}s", "-s", str(PEERS / "submit_and_poll.lua"),
               server.url]
    begun = time.monotonic()
    output = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    taken = time.monotonic() - begun
    found = re.search(r"tasks done: (\d+)", output)
    if not found:
        raise RuntimeError(f"wrk said:\n{output}")
    return int(found[1]) / taken


def run_http(program: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    discipline = f"pool of 4 over HTTP, {CLIENTS} clients"
    recipes = [exercise(program, 4, "/"),
               Recipe("node cluster", ["node", str(PEERS / "pool_peer.js")], {"WORKERS": "4"}, path="/task/")]
    results = {recipe.name: Measurement(discipline, recipe.name, "tasks/s") for recipe in recipes}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-bench-")))
        servers = [stack.enter_context(running(recipe, folder / str(i))) for i, recipe in enumerate(recipes)]
        for server in servers:
            tasks_over_http(server, 1)
        for number in range(rounds):
            for server in servers:
                tell(f"{discipline}: round {number + 1} of {rounds}, {server.name}")
                results[server.name].rounds.append(tasks_over_http(server, seconds))
    figure = ratio("pool over HTTP: tasks a second against node cluster", results["exercise 5"], results["node cluster"], "≥", 2)
    return Report(list(results.values()), [figure], [])


def run(binaries: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    report = run_bare(binaries, rounds, seconds / 2, tell)
    report.add(run_http(binaries / "ex5-solution", rounds, seconds, tell))
    return report
