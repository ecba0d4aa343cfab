"""The HTTP servers that compete: how they are started and ended, and their CPU time."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"


@dataclass
class Recipe:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    announces: bool = False  # it chooses its port itself and prints the ready line with its url
    path: str = "/fast"


@dataclass
class Server:
    name: str
    url: str
    process: "subprocess.Popen[bytes]"

    def processes(self) -> list[psutil.Process]:
        master = psutil.Process(self.process.pid)
        return [master, *master.children(recursive=True)]

    def cpu_seconds(self) -> dict[int, float]:
        times = ((one.pid, one.cpu_times()) for one in self.processes())
        return {pid: time.user + time.system for pid, time in times}


def exercise(program: Path, workers: int = 2, path: str = "/fast") -> Recipe:
    settings = {"PORT": "0", "WORKERS": str(workers), "HOST": "127.0.0.1", "STARTUP_MS": "0"}
    name = f"exercise {program.name[2]}"
    return Recipe(name, [str(program)], settings, announces=True, path=path)


def node(policy: str, template: dict[str, Any], workers: int = 2) -> Recipe:
    settings = {"NODE_CLUSTER_SCHED_POLICY": policy, "TEMPLATE": json.dumps(template),
                "WORKERS": str(workers)}
    return Recipe(f"node cluster, {policy}", ["node", str(PEERS / "http_peer.js")], settings)


def gunicorn(worker_class: str, template: dict[str, Any], workers: int = 2) -> Recipe:
    command = ["gunicorn", "--chdir", str(PEERS), "--workers", str(workers),
               "--worker-class", worker_class, "--bind", "127.0.0.1:@PORT@",
               "--backlog", "1024", "--log-level", "error"]
    if worker_class == "gthread":
        command += ["--threads", "4", "--keep-alive", "75"]
    environment = {"TEMPLATE": json.dumps(template), "PYTHONDONTWRITEBYTECODE": "1"}
    return Recipe(f"gunicorn, {worker_class}", [*command, "gunicorn_peer:app"], environment)


def nginx(body: str, workers: int = 2, *, lingering: bool = False) -> Recipe:
    """With `lingering` it waits for the client's end, so that a byte that comes after the request
    does not cost the client its answer."""
    return Recipe("nginx, lingering" if lingering else "nginx",
                  ["nginx", "-p", "@FOLDER@", "-c", "nginx.conf", "-e", "stderr"],
                  {"BODY": body, "WORKERS": str(workers),
                   "LINGERING": "always" if lingering else "on"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(recipe: Recipe, folder: Path) -> Iterator[Server]:
    """The server of the recipe, with `folder` for its files, until the block is left."""
    folder.mkdir(parents=True)
    port = free_port()
    filled = {"@PORT@": str(port), "@FOLDER@": str(folder),
              "@BODY@": recipe.environment.get("BODY", ""),
              "@WORKERS@": recipe.environment.get("WORKERS", ""),
              "@LINGERING@": recipe.environment.get("LINGERING", "")}
    if recipe.name.startswith("nginx"):
        (folder / "nginx.conf").write_text(fill((PEERS / "nginx.conf.in").read_text(), filled))
    environment = {**os.environ, "PORT": str(port), **recipe.environment}
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [fill(word, filled) for word in recipe.command], env=environment, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}{recipe.path}"
        if recipe.announces:
            url = await_ready_line(process, log) + recipe.path
        await_answer(process, url, log)
        yield Server(recipe.name, url, process)
    finally:
        end(process)


@contextmanager
def all_running(recipes: list[Recipe]) -> Iterator[list[Server]]:
    """The servers of all recipes, until the block is left."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-bench-")))
        yield [stack.enter_context(running(recipe, folder / str(number)))
               for number, recipe in enumerate(recipes)]


def fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def died(process: "subprocess.Popen[bytes]", log: Path) -> RuntimeError:
    return RuntimeError(f"{process.args!r} did not start (exit code {process.poll()}):\n"
                        + log.read_text())


def await_ready_line(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"^ready url=(\S+)", log.read_text(), re.MULTILINE):
            return found[1]
        time.sleep(0.02)
    raise died(process, log)


def await_answer(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            fetch(url)
            return
        except HTTPError:
            return  # this is an answer, too
        except OSError:
            time.sleep(0.05)
    raise died(process, log)


def await_listener(process: "subprocess.Popen[bytes]", port: int) -> None:
    """For a server that does not speak HTTP."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not start (exit code {process.poll()})")


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=5) as response:
        body: bytes = response.read()
        return body


def end(process: "subprocess.Popen[bytes]") -> None:
    """Sends SIGTERM, then kills the process group. The server is alone in its group."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(5)
