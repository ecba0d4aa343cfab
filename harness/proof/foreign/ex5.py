"""Exercise 5 in plain Python: a worker pool with backpressure.

Start it with `python3 ex5.py`. The master serves HTTP and keeps the queue, in one thread; lines of
text on a socket pair go to each worker (`task ID TYPE N`) and come back (`ready`, `result ID
JSON`). The worker is in pool_worker.py.
"""
from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from typing import Any

from base import (
    ROLE, Loop, Refused, announce, await_end, end_signals, log, pause_after, read_lines, run_master,
    start_worker, whole,
)
from base import Settings as Common
from connection import Connection, Reply
from pool_worker import work

RANGES = {"fibonacci": (0, 50), "prime": (0, 2 ** 63 - 1), "hash": (1, 10_000_000)}
Body = dict[str, Any]


class Settings(Common):
    def __init__(self) -> None:
        super().__init__(workers=4)
        self.max_queue = whole("MAX_QUEUE", 20, 1, 1_000_000)
        self.max_attempts = whole("MAX_ATTEMPTS", 3, 1, 1_000_000)
        self.result_limit = whole("RESULT_LIMIT", 10_000, 1, 1_000_000)


class Slot:
    def __init__(self, number: int) -> None:
        self.number, self.pause, self.started, self.completed = number, 0.0, 0.0, 0
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        """Once it is ready."""
        self.task = ""

    @property
    def ready(self) -> bool:
        return self.channel is not None


class Master:
    draining = leaving = False

    def __init__(self, settings: Settings, listener: socket.socket, loop: Loop) -> None:
        self.settings, self.listener, self.loop, self.note = settings, listener, loop, settings.note
        self.slots = [Slot(number) for number in range(1, settings.workers + 1)]
        self.tasks: dict[str, Body] = {}
        self.waiting: list[str] = []
        self.finished: list[str] = []
        self.counts = dict.fromkeys(("submitted", "completed", "failed", "rejected", "requeued"), 0)
        self.clients: set[Connection] = set()
        self.server: asyncio.Server | None = None
        self.announced = self.closed = self.lost = False
        self.done: asyncio.Future[None] = loop.create_future()

    def start(self) -> None:
        for number in end_signals():
            self.loop.add_signal_handler(number, self.on_signal, number)
        for slot in self.slots:
            self.spawn(slot)

    def spawn(self, slot: Slot) -> None:
        if self.draining:
            return
        slot.started = time.monotonic()
        slot.process, channel = start_worker(self.settings, slot.number)
        read_lines(self.loop, channel, lambda line: self.on_message(slot, channel, line),
                   lambda: None)
        await_end(self.settings, self.loop, slot.number, slot.process,
                  lambda: self.bury(slot, channel))

    def on_message(self, slot: Slot, channel: socket.socket, line: str) -> None:
        word, *rest = line.split(" ", 2)
        if word == "ready":
            slot.channel = channel
            if not self.announced and all(one.ready for one in self.slots):
                self.announced = True
                self.loop.create_task(self.serve())
        else:
            task, slot.task = self.tasks[rest[0]], ""
            slot.completed += 1
            self.finish(task, "completed", result=json.loads(rest[1]))
        self.assign()

    async def serve(self) -> None:
        self.server = await self.loop.create_server(lambda: Connection(self), sock=self.listener,
                                                    backlog=1024)
        announce(self.settings, self.listener)

    def bury(self, slot: Slot, channel: socket.socket) -> None:
        self.loop.remove_reader(channel)
        channel.close()
        slot.process = slot.channel = None
        if slot.task:
            task, slot.task = self.tasks[slot.task], ""
            task.pop("worker", None)
            if task["attempts"] >= self.settings.max_attempts:
                self.lost = self.lost or self.closed
                self.finish(task, "failed", error=f"its worker died, {task['attempts']} times")
            else:
                self.counts["requeued"] += 1
                task["status"] = "queued"
                self.waiting.insert(0, task["taskId"])
        slot.pause = pause_after(time.monotonic() - slot.started, slot.pause)
        self.loop.call_later(slot.pause, self.spawn, slot)
        self.assign()

    # ----- tasks

    def submit(self, kind: str, n: int) -> Reply:
        if self.closed:
            return 503, {"error": "shutting down: no new tasks"}, {"Retry-After": "1"}, 0.0
        if len(self.waiting) >= self.settings.max_queue:
            self.counts["rejected"] += 1
            return 429, {"error": "the queue is full: try again later"}, {"Retry-After": "1"}, 0.0
        name = str(uuid.uuid4())
        self.counts["submitted"] += 1
        self.tasks[name] = {"taskId": name, "type": kind, "n": n, "status": "queued",
                            "attempts": 0, "queuedAt": time.time() * 1000}
        self.waiting.append(name)
        self.assign()
        return 202, {"taskId": name, "status": "queued"}, {"Location": f"/task/{name}"}, 0.0

    def assign(self) -> None:
        for slot in self.slots:
            if self.waiting and slot.channel is not None and not slot.task:
                task = self.tasks[self.waiting.pop(0)]
                slot.task = task["taskId"]
                task.update(status="processing", worker=slot.number,
                            attempts=task["attempts"] + 1, startedAt=time.time() * 1000)
                try:
                    slot.channel.sendall(f"task {slot.task} {task['type']} {task['n']}\n".encode())
                except OSError:
                    pass  # it has died: bury() brings the task back
        self.changed()

    def finish(self, task: Body, status: str, **what: Any) -> None:
        now = time.time() * 1000
        task.update(status=status, finishedAt=now, durationMs=now - task["startedAt"], **what)
        self.counts[status] += 1
        if self.closed:
            log(f"finished during the end: {task['taskId']} {status}")
        self.finished.append(task["taskId"])
        if len(self.finished) > self.settings.result_limit:
            del self.tasks[self.finished.pop(0)]

    # ----- HTTP

    def identity(self) -> Body:
        return {}

    def tell(self, line: str) -> None:
        self.lost = True  # a half-sent request was cut

    def reply(self, method: str, path: str, body: bytes) -> Reply:
        kind = "/task/" if path.startswith("/task/") else path
        allowed = {"/task": "POST", "/task/": "GET", "/stats": "GET", "/": "GET"}.get(kind)
        if allowed is None:
            return 404, {"error": "unknown path; see /"}, {}, 0.0
        if method != allowed:
            return 405, {"error": f"only {allowed} is allowed"}, {"Allow": allowed}, 0.0
        if kind == "/task":
            return self.order(body)
        if kind == "/task/":
            task = self.tasks.get(path[len("/task/"):])
            unknown = {"error": "there is no such task, or it was finished long ago"}
            return (200, task, {}, 0.0) if task else (404, unknown, {}, 0.0)
        if kind == "/stats":
            return 200, self.stats(), {}, 0.0
        return 200, {"submit": 'POST /task {"type":"fibonacci","n":40}'}, {}, 0.0

    def order(self, body: bytes) -> Reply:
        try:
            order = json.loads(body)
            least, most = RANGES[order["type"]]
            n = order["n"]
            # Beyond 2^53 a float does not tell whole numbers apart.
            whole_number = n.is_integer() and n < 2 ** 53 if isinstance(n, float) else \
                isinstance(n, int) and not isinstance(n, bool)
            if not whole_number or not least <= n <= most:
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError):
            wanted = '{"type":"fibonacci"|"prime"|"hash","n":<a whole number in its range>}'
            return 400, {"error": f"wanted: {wanted}"}, {}, 0.0
        return self.submit(order["type"], int(n))

    def stats(self) -> Body:
        rows: list[Body] = []
        for slot in self.slots:
            row: Body = {"worker": slot.number, "busy": bool(slot.task),
                         "completed": slot.completed}
            row.update({"pid": slot.process.pid} if slot.process and slot.ready else {})
            row.update({"taskId": slot.task} if slot.task else {})
            rows.append(row)
        busy = sum(bool(slot.task) for slot in self.slots)
        free = sum(slot.ready and not slot.task for slot in self.slots)
        return {"workers": {"total": len(self.slots), "available": free, "busy": busy},
                "queue": {"size": len(self.waiting), "max": self.settings.max_queue},
                "tasks": self.counts, "perWorker": rows}

    # ----- the end

    def on_signal(self, number: int) -> None:
        self.note("signal", name=signal.Signals(number).name)
        log(f"{signal.Signals(number).name}: {'ending now' if self.closed else 'ending'}")
        if self.closed:
            return self.force()
        self.closed = True
        self.loop.call_later(self.settings.timeout, self.force)
        self.changed()

    def changed(self) -> None:
        """When all tasks are done: close, let the last answers leave, and end the workers."""
        if not self.closed or self.waiting or any(slot.task for slot in self.slots):
            return
        if not self.draining:
            self.draining = True
            if self.server is not None:
                self.server.close()
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.terminate()
            for client in list(self.clients):
                if not client.active:
                    client.transport.close()
        answered = not any(client.active for client in self.clients)
        if answered and all(slot.process is None for slot in self.slots):
            self.end()

    def force(self) -> None:
        self.lost = self.lost or not self.done.done()
        self.draining = True
        for slot in self.slots:
            if slot.process is not None:
                slot.process.kill()
        self.loop.call_later(0.05, self.end)

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def lead(settings: Settings, listener: socket.socket) -> int:
    master = Master(settings, listener, asyncio.get_running_loop())
    master.start()
    await master.done
    return 1 if master.lost else 0


def main() -> int:
    try:
        settings = Settings()
    except Refused as why:
        print(why, file=sys.stderr)
        return 2
    if ROLE:
        return work(settings)
    return run_master(settings, lambda listener: lead(settings, listener))


if __name__ == "__main__":
    sys.exit(main())
