"""One run of wrk against a server."""

import subprocess
import time

from servers import Server


def run_wrk(server: Server, seconds: float, connections: int, *options: str,
            threads: int = 1) -> tuple[str, float]:
    """The output of wrk, and the seconds that the run has really taken."""
    duration = f"-d{max(1, round(seconds))}s"
    command = ["wrk", f"-t{threads}", f"-c{connections}", duration, *options, server.url]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    return done.stdout, time.monotonic() - begun


def unexpected(server: Server, output: str) -> RuntimeError:
    return RuntimeError(f"{server.name}: wrk said:\n{output}")
