"""Compares the kit's speed with that of other programs, and with its bounds.

Usage: make bench [ARGS='--only http,ipc,pool --rounds 5 --seconds 3 --check']
"""

import argparse
import os
import sys
import time
from pathlib import Path

import footprint
import http_bench
import ipc_bench
import pool_bench
import restart_bench
import slow_readers
import stats_bench
from report import Report

ROOT = Path(__file__).resolve().parent.parent.parent
BINARIES = ROOT / "build/release/bin"
PARTS = ("edit", "idle", "slow", "ipc", "restart", "stats", "pool", "http")


def main() -> int:
    summary = __doc__.splitlines()[0] if __doc__ else None
    parser = argparse.ArgumentParser(prog="make bench", description=summary)
    parser.add_argument("--only", default=",".join(PARTS),
                        help=f"parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3,
                        help="of each competitor's turn in an HTTP round")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bound is missed")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    rounds, seconds = options.rounds, options.seconds

    begun = time.monotonic()
    width = 72

    def tell(text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{text:<{width}.{width}}", end="", flush=True)
        else:
            print(text, flush=True)

    report = Report()
    if (busy := os.getloadavg()[0]) > 1:
        report.notes.append(f"the machine was busy already (load {busy:.1f}): "
                            "these figures compare little")
    if "edit" in parts:
        report.add(footprint.run_edit(ROOT, 3, tell))
    if "idle" in parts:
        report.add(footprint.run_idle(BINARIES / "ex1-solution", tell))
    if "slow" in parts:
        report.add(slow_readers.run(BINARIES / "cluster-bench-http", rounds, tell))
    if "ipc" in parts:
        report.add(ipc_bench.run(BINARIES / "cluster-bench-ipc", rounds, seconds / 2, tell))
    if "restart" in parts:
        report.add(restart_bench.run(BINARIES / "ex2-solution", tell))
    if "stats" in parts:
        report.add(stats_bench.run(BINARIES / "ex4-solution", rounds, seconds, tell))
    if "pool" in parts:
        report.add(pool_bench.run(BINARIES, rounds, seconds, tell))
    if "http" in parts:
        report.add(http_bench.run(BINARIES / "ex1-solution", rounds, seconds, tell))
    if sys.stdout.isatty():
        print("\r" + " " * width + "\r", end="")
    report.show()
    results = ROOT / "build/bench/results.json"
    report.write(results)
    held = len(report.figures) - report.missed
    taken = time.monotonic() - begun
    bounds = f"{held} of {len(report.figures)} bounds held"
    print(f"{bounds}; {taken:.0f} s; {results.relative_to(ROOT)}")
    return 1 if options.check and report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
