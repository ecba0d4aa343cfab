"""A small program and a small exercise, to try the harness itself on."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

from harness.system.places import HARNESS, ROOT

SERVER = '''
import http.server, json, os, signal, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer({"worker": 1, "pid": os.getpid()})
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
EXTRA
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print(f"ready url=http://127.0.0.1:{server.server_port} workers=1 pid={os.getpid()}", flush=True)
server.serve_forever()
'''
EXERCISE = '''
from __future__ import annotations
import os, time
from harness.cluster.fixture import Fixture
from harness.judging.exercise import Exercise, check
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.system.places import HARNESS, ROOT

EXERCISE = Exercise(number=9, name="toy", folder="exercises/ex9_toy",
                    start_first="start with the toy")
'''


def server(folder: Path, extra: str = "") -> str:
    """Write a one-process program, which another user may run, too; returns its command line."""
    folder.chmod(0o755)
    path = folder / "server.py"
    path.write_text(SERVER.replace("EXTRA", extra))
    return f"{sys.executable} {path}"


@dataclass
class Graded:
    code: int
    output: str
    report: dict[str, Any]

    def result(self, name: str) -> str:
        return str(self.check(name)["result"])

    def check(self, name: str) -> dict[str, Any]:
        items = [*self.report["items"], self.report["common"]]
        found = [check for item in items for check in item["checks"]
                 if check["id"].endswith(f"::{name}")]
        assert len(found) == 1, (name, self.output)
        return dict(found[0])


def write_exercise(folder: Path, checks: str) -> Path:
    """Write the files with which pytest grades a toy exercise as it does a real one."""
    (folder / "conftest.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                                        "pytest_plugins = ['harness.plugin.hooks']\n")
    (folder / "pytest.ini").write_text((HARNESS / "pytest.ini").read_text().replace("-n8", "-n2"))
    path = folder / "test_ex9_toy.py"
    path.write_text(EXERCISE + checks)
    return path


def command(folder: Path, program: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "pytest", str(folder / "test_ex9_toy.py"), "--program", program,
            *more]


def grade(folder: Path, checks: str, *more: str, program: str = "", prefix: Sequence[str] = (),
          **environment: str) -> Graded:
    """Grade a toy exercise. `prefix` stands before the command, `environment` is added to the
    environment."""
    write_exercise(folder, checks)
    report = folder / "report.json"
    words = [*prefix, *command(folder, program or server(folder), "--report-json", str(report),
                               *more)]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=60)
    found = {"items": [], "common": {"checks": []}}
    if report.exists():
        found = json.loads(report.read_text())
    return Graded(done.returncode, done.stdout + done.stderr, found)


def await_true(condition: Callable[[], bool], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
