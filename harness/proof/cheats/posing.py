"""Programs that are not what they seem. They run until they are ended."""
from __future__ import annotations

import json
import os
import signal
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

from harness.proof.cheats.place import Place


def answers_for_sleepers(place: Place) -> str:
    """One process answers in the names of workers that only sleep."""
    workers = [subprocess.Popen(["sleep", "86400"]) for _ in range(2)]
    turns = cycle(enumerate((one.pid for one in workers), 1))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            worker, pid = next(turns)
            body = json.dumps({"worker": worker, "pid": pid, "status": "ok"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    def end(*_: object) -> None:
        for one in workers:
            one.kill()
            one.wait()
        os._exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    address = ("127.0.0.1", int(os.environ["PORT"]))
    with ThreadingHTTPServer(address, Handler) as server:
        print(f"ready url=http://127.0.0.1:{server.server_port} workers=2 pid={os.getpid()}",
              flush=True)
        server.serve_forever()
    return ""
