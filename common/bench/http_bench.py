"""HTTP: requests a second and CPU time a request, on kept-alive and on fresh connections.

Every round loads the competitors one after another, so that other work of the machine slows all of
them alike.
"""

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from report import Figure, Measurement, Report, ratio
from servers import Recipe, Server, all_running, exercise, fetch, gunicorn, nginx, node, running
from wrk import run_wrk, unexpected

CONNECTIONS = 64


@dataclass
class Load:
    requests: int
    seconds: float
    cpu_seconds: float
    errors: str


def load(server: Server, seconds: float, fresh: bool) -> Load:
    """One thread of wrk; `fresh` asks the server to close after each answer."""
    header = ["-H", "Connection: close"] if fresh else []
    before = server.cpu_seconds()
    output, taken = run_wrk(server, seconds, CONNECTIONS, *header)
    after = server.cpu_seconds()
    if before.keys() != after.keys():
        raise RuntimeError(f"{server.name}: its processes changed during the load")
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", output)
    if not found:
        raise unexpected(server, output)
    errors = " ".join(line.strip() for line in output.splitlines()
                      if "Socket errors" in line or "Non-2xx" in line)
    return Load(int(found[1]), taken, sum(after.values()) - sum(before.values()), errors)


def answer_of(program: Path, path: str = "/fast") -> str:
    recipe = exercise(program, path=path)
    with tempfile.TemporaryDirectory() as folder, running(recipe, Path(folder) / "probe") as server:
        return fetch(server.url).decode()


Results = dict[str, tuple[Measurement, Measurement]]  # of each competitor: the rate, the CPU time


def measure(discipline: str, recipes: list[Recipe], fresh: bool, rounds: int, seconds: float,
            tell: Callable[[str], None]) -> tuple[Results, list[str]]:
    results = {
        recipe.name: (Measurement(discipline, recipe.name, "requests/s"),
                      Measurement(f"{discipline}, CPU", recipe.name, "µs/request"))
        for recipe in recipes
    }
    notes = []
    with all_running(recipes) as servers:
        for server in servers:
            load(server, 1, fresh)
        for number in range(rounds):
            for server in servers:
                tell(f"{discipline}: round {number + 1} of {rounds}, {server.name}")
                seen = load(server, seconds, fresh)
                rate, cost = results[server.name]
                rate.rounds.append(seen.requests / seen.seconds)
                cost.rounds.append(seen.cpu_seconds * 1e6 / max(1, seen.requests))
                if seen.errors:
                    notes.append(f"{discipline}, {server.name}, round {number + 1}: {seen.errors}")
    return results, notes


def run(program: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    body = answer_of(program)
    template = json.loads(body)
    nodes = [node("rr", template), node("none", template)]
    report = Report()

    kept = f"keep-alive, {CONNECTIONS} connections"
    recipes = [exercise(program), *nodes, gunicorn("gthread", template), nginx(body)]
    results, notes = measure(kept, recipes, False, rounds, seconds, tell)
    better = max((recipe.name for recipe in nodes), key=lambda name: results[name][0].median)
    figures = judge(results, better, "keep-alive", (1.35, 0.85, 0.65, 1.25))
    report.add(Report(measurements_of(results), figures, notes))

    fresh = f"fresh connections, {CONNECTIONS} at once"
    lingering = nginx(body, lingering=True)
    recipes = [exercise(program), *nodes, gunicorn("sync", template), nginx(body), lingering]
    results, notes = measure(fresh, recipes, True, rounds, seconds, tell)
    # Ours lingers, so its processor time is compared with an nginx that does the same.
    figures = judge(results, "node cluster, rr", "fresh", (1.6, 0.95, 0.3, 1.3), lingering.name)
    report.add(Report(measurements_of(results), figures, notes))
    report.notes.append(f"every server answers {len(body.encode())} bytes of JSON with 2 workers; "
                        "wrk has 1 thread; CPU is user and system time of master and workers; "
                        "rr is Node's default policy")
    return report


def measurements_of(results: Results) -> list[Measurement]:
    return [rate for rate, _ in results.values()] + [cost for _, cost in results.values()]


def judge(results: Results, rival: str, kind: str, bounds: tuple[float, float, float, float],
          frugal: str = "nginx") -> list[Figure]:
    (ours, our_cost), (theirs, their_cost), (web, _), (_, web_cost) = (
        results[name] for name in ("exercise 1", rival, "nginx", frugal)
    )
    return [
        ratio(f"{kind}: throughput against {rival}", ours, theirs, "≥", bounds[0]),
        ratio(f"{kind}: throughput against nginx", ours, web, "≥", bounds[1]),
        ratio(f"{kind}: CPU a request against {rival}", our_cost, their_cost, "≤", bounds[2]),
        ratio(f"{kind}: CPU a request against {frugal}", our_cost, web_cost, "≤", bounds[3]),
    ]
