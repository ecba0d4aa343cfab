"""GET /stats of exercise 4 against the same in Node.

The worker that gets the request asks all workers by way of the master.
"""

import re
from collections.abc import Callable
from pathlib import Path

from report import Measurement, Report, ratio
from servers import PEERS, Recipe, Server, all_running, exercise
from wrk import run_wrk, unexpected

CONNECTIONS = 64
WORKERS = 3
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def load(server: Server, seconds: float) -> tuple[float, float]:
    """Requests a second, and the latency in ms that 99 of 100 do not exceed."""
    output, _ = run_wrk(server, seconds, CONNECTIONS, "--latency")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    slowest = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", output)
    if not rate or not slowest or "Non-2xx" in output or "Socket errors" in output:
        raise unexpected(server, output)
    return float(rate[1]), float(slowest[1]) * UNITS[slowest[2]]


def run(program: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    discipline = f"/stats over {WORKERS} workers, {CONNECTIONS} connections"
    peer = ["node", str(PEERS / "stats_peer.js")]
    recipes = [exercise(program, WORKERS, "/stats"),
               Recipe("node cluster", peer, {"WORKERS": str(WORKERS)}, path="/stats")]
    rates = {recipe.name: Measurement(discipline, recipe.name, "requests/s") for recipe in recipes}
    slowest = {recipe.name: Measurement(f"{discipline}, 99 %", recipe.name, "ms")
               for recipe in recipes}
    with all_running(recipes) as servers:
        for server in servers:
            load(server, 1)
        for number in range(rounds):
            for server in servers:
                tell(f"{discipline}: round {number + 1} of {rounds}, {server.name}")
                rate, latency = load(server, seconds)
                rates[server.name].rounds.append(rate)
                slowest[server.name].rounds.append(latency)
    figures = [
        ratio("/stats: throughput against node cluster",
              rates["exercise 4"], rates["node cluster"], "≥", 0.9),
        ratio("/stats: 99 % latency against node cluster",
              slowest["exercise 4"], slowest["node cluster"], "≤", 1),
    ]
    return Report([*rates.values(), *slowest.values()], figures, [])
