"""Messages between two processes that share one CPU: round trips a second, one and 128 in flight.

On one CPU the figure shows the work of both processes. On two CPUs it would show how soon the
scheduler wakes the other process.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from report import Measurement, Report, ratio
from servers import PEERS


def run(program: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> Report:
    ours, peer = [str(program)], ["node", str(PEERS / "ipc_peer.js")]
    variants = {
        "socketpair, 1 byte": ([*ours, "byte"], 1),
        "socketpair, 100 bytes": ([*ours, "json"], 1),
        "channel": ([*ours, "channel"], 1),
        "node process.send": (peer, 1),
        "channel, 128": ([*ours, "channel"], 128),
        "node process.send, 128": (peer, 128),
    }
    results = {
        name: Measurement(f"100-byte JSON, {in_flight} in flight", name.removesuffix(", 128"),
                          "round trips/s")
        for name, (_, in_flight) in variants.items()
    }
    cpu = max(os.sched_getaffinity(0))
    for number in range(rounds):
        for name, (command, in_flight) in variants.items():
            tell(f"messages: round {number + 1} of {rounds}, {name}")
            pinned = ["taskset", "-c", str(cpu), *command, str(in_flight), str(seconds)]
            done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + 30,
                                  check=True)
            seen = json.loads(done.stdout)
            results[name].rounds.append(seen["roundTrips"] / seen["seconds"])
    # The time of a round trip is one over the rate, so the sides of these ratios change places.
    figures = [
        ratio("message round trip against a bare byte",
              results["socketpair, 1 byte"], results["channel"], "≤", 1.7),
        ratio("message round trip against node",
              results["node process.send"], results["channel"], "≤", 0.75),
        ratio("messages a second, 128 in flight, against node",
              results["channel, 128"], results["node process.send, 128"], "≥", 1.9),
    ]
    return Report(list(results.values()), figures, [])
