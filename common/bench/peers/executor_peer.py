"""Python's ProcessPoolExecutor with 4 workers and trivial tasks.

Usage: executor_peer.py SECONDS      prints {"tasks":…,"seconds":…}
"""
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor

WORKERS = 4
BATCH = 1000


def increment(n: int) -> int:
    return n + 1


def main() -> None:
    wanted = float(sys.argv[1])
    with ProcessPoolExecutor(WORKERS) as pool:
        sum(pool.map(increment, range(BATCH)))
        tasks, begun = 0, time.monotonic()
        while (taken := time.monotonic() - begun) < wanted:
            tasks += sum(1 for _ in pool.map(increment, range(BATCH)))
    print(json.dumps({"tasks": tasks, "seconds": taken}))


if __name__ == "__main__":
    main()
