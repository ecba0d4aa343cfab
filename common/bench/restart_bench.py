"""Rolling restarts and crashes.

Three disciplines: the requests that rolling restarts drop under load, the time of one rolling
restart, and the time from the crash of a worker to the first answer of its successor.

Clients of two makes, wrk and Node's, load each server as hard as they can, on kept-alive and on
fresh connections, while the server is restarted again and again. gunicorn and nginx restart on
SIGHUP (`nginx -s reload` sends it). Node's cluster restarts in its usual way: it forks another
worker, waits until that listens, and disconnects the old worker.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from http_bench import answer_of
from report import Figure, Measurement, Report
from servers import (PEERS, Recipe, Server, exercise, fetch, gunicorn, nginx, node,
                     running)

WORKERS = 4
RESTARTS = 100
LEAST_SECONDS = 90.0
MOST_SECONDS = 180.0
CONNECTIONS = 16
OLD_GONE_WITHIN = 30.0
ROUNDS = 20


@dataclass
class Count:
    requests: int = 0
    dropped: int = 0
    classes: str = ""

    def __add__(self, other: "Count") -> "Count":
        classes = " ".join(filter(None, (self.classes, other.classes)))
        return Count(self.requests + other.requests, self.dropped + other.dropped, classes)


def start_wrk(url: str, fresh: bool) -> "subprocess.Popen[str]":
    header = ["-H", "Connection: close"] if fresh else []
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1h", *header, url]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE)


def stop_wrk(wrk: "subprocess.Popen[str]") -> Count:
    wrk.send_signal(signal.SIGINT)
    output, _ = wrk.communicate(timeout=30)
    requests = re.search(r"(\d+) requests in", output)
    errors = re.search(r"errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    names = ("connect", "read", "write", "timeout")
    kinds = dict(zip(names, map(int, errors.groups()))) if errors else {}
    kinds["status"] = int(status[1]) if status else 0
    told = " ".join(f"{name} {count}" for name, count in kinds.items() if count)
    return Count(int(requests[1]) if requests else 0, sum(kinds.values()), told)


def start_node(url: str) -> "subprocess.Popen[str]":
    command = ["node", str(PEERS / "load_client.js"), url, str(CONNECTIONS)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE)


def stop_node(client: "subprocess.Popen[str]") -> tuple[Count, Count]:
    """What became of the requests on kept-alive and on fresh connections."""
    client.send_signal(signal.SIGINT)
    output, _ = client.communicate(timeout=30)
    counts = json.loads(output)
    kept, fresh = (
        Count(counts[kind]["requests"], sum(counts[kind]["dropped"].values()),
              " ".join(f"{name} {count}" for name, count in counts[kind]["dropped"].items()))
        for kind in ("kept", "fresh")
    )
    return kept, fresh


def restart(server: Server, number: int) -> None:
    """One restart, until the last of the old workers is gone."""
    old = [one for one in server.processes()[1:] if one.status() != psutil.STATUS_ZOMBIE]
    os.kill(server.process.pid, number)
    _, left = psutil.wait_procs(old, timeout=OLD_GONE_WITHIN)
    if left:
        raise RuntimeError(f"{server.name}: {len(left)} old workers are still there "
                           f"after {OLD_GONE_WITHIN:.0f} s")


def count_drops(recipe: Recipe, number: int, folder: Path,
                tell: Callable[[str], None]) -> tuple[int, Count, Count]:
    """The restarts that were done, and the counts on kept-alive and on fresh connections."""
    with running(recipe, folder) as server:
        loads = [start_wrk(server.url, fresh) for fresh in (False, True)]
        client = start_node(server.url)
        time.sleep(0.5)
        begun, done, elapsed = time.monotonic(), 0, 0.0
        try:
            while elapsed < LEAST_SECONDS or (done < RESTARTS and elapsed < MOST_SECONDS):
                tell(f"rolling restarts under load: {server.name}, {done} of {RESTARTS}")
                restart(server, number)
                done += 1
                elapsed = time.monotonic() - begun
        finally:
            kept, fresh = (stop_wrk(wrk) for wrk in loads)
            others = stop_node(client)
    return done, kept + others[0], fresh + others[1]


def run_drops(program: Path, tell: Callable[[str], None]) -> Report:
    body = answer_of(program, "/")
    template = json.loads(body)
    ours = exercise(program, WORKERS, path="/")
    rivals = [
        (ours, signal.SIGUSR2),
        (gunicorn("gthread", template, WORKERS), signal.SIGHUP),
        (nginx(body, WORKERS), signal.SIGHUP),
        (node("rr", template, WORKERS), signal.SIGUSR2),
    ]
    report = Report()
    with tempfile.TemporaryDirectory(prefix="cluster-bench-") as folder:
        for index, (recipe, number) in enumerate(rivals):
            done, kept, fresh = count_drops(recipe, number, Path(folder) / str(index), tell)
            name = recipe.name.partition(",")[0]
            for kind, count in (("kept-alive", kept), ("fresh", fresh)):
                discipline = f"restarts of {WORKERS} workers under load, {kind}"
                dropped = float(count.dropped)
                report.measurements.append(Measurement(discipline, name, "dropped", [dropped]))
                report.notes.append(f"{name}, {done} restarts, {kind}: "
                                    f"{count.dropped} of {count.requests:,} requests dropped"
                                    + (f" ({count.classes})" if count.classes else ""))
            if recipe is ours:
                requests = kept.requests + fresh.requests
                title = f"requests dropped in {done} restarts, of {requests:,}"
                dropped = float(kept.dropped + fresh.dropped)
                report.figures.append(Figure(title, dropped, "≤", 0, "requests"))
    report.measurements.sort(key=lambda one: one.discipline)
    return report


def run_restart_time(program: Path, tell: Callable[[str], None]) -> Report:
    """No client sends requests meanwhile, and the workers have nothing to initialise."""
    measured = Measurement(f"restart of {WORKERS} workers, no load", "exercise 2", "ms")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "server"
        server = stack.enter_context(running(exercise(program, WORKERS, path="/"), folder))
        for number in range(1, ROUNDS + 1):
            tell(f"restart without load: {number} of {ROUNDS}")
            begun = time.monotonic()
            os.kill(server.process.pid, signal.SIGUSR2)
            await_lines(folder / "output", "done after", number)
            measured.rounds.append((time.monotonic() - begun) * 1000)
    title = f"rolling restart of {WORKERS} workers without load"
    return Report([measured], [Figure(title, measured.median, "<", 150, "ms")])


def run_crash_time(program: Path, tell: Callable[[str], None]) -> Report:
    """From SIGKILL to the first answer of the successor.

    The worker has lived for more than a second, so its successor starts at once.
    """
    measured = Measurement("crash of a worker", "successor answers", "ms")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "server"
        server = stack.enter_context(running(exercise(program, 1, path="/"), folder))
        for number in range(1, ROUNDS // 2 + 1):
            tell(f"crash and successor: {number} of {ROUNDS // 2}")
            time.sleep(1.1)
            old = json.loads(fetch(server.url))["pid"]
            begun = time.monotonic()
            os.kill(old, signal.SIGKILL)
            await_other(server.url, old)
            measured.rounds.append((time.monotonic() - begun) * 1000)
    title = "crash of a worker → its successor answers"
    return Report([measured], [Figure(title, median(measured.rounds), "<", 50, "ms")])


def await_lines(file: Path, text: str, count: int) -> None:
    deadline = time.monotonic() + OLD_GONE_WITHIN
    while file.read_text().count(text) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no line with {text!r}:\n{file.read_text()}")
        time.sleep(0.001)


def await_other(url: str, old: int) -> None:
    deadline = time.monotonic() + OLD_GONE_WITHIN
    while time.monotonic() < deadline:
        try:
            if json.loads(fetch(url))["pid"] != old:
                return
        except OSError:
            pass  # the worker died with this connection
    raise RuntimeError("the worker was not replaced")


def run(program: Path, tell: Callable[[str], None]) -> Report:
    report = run_restart_time(program, tell)
    report.add(run_crash_time(program, tell))
    report.add(run_drops(program, tell))
    return report
