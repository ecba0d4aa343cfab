"""Exercise 4 in plain Python: calls between workers that share nothing, by way of the master.

Start it with `python3 ex4.py`. Each worker has a socket pair to the master, with JSON objects on
it, one a line. A call is four messages that bear its id: `call` (a worker to the master), `request`
(the master to each worker that is asked), `reply` (back to the master), `answer` (back to the
caller). Start, replacement and end are those of ex1.py, and so are the other types of messages.
The sending is in outbox.py.
"""
from __future__ import annotations

import asyncio
import collections
import json
import re
import socket
import sys
import time
import uuid
from typing import Any
from urllib.parse import unquote_to_bytes

import ex1
from base import ROLE, SLOT, Loop, Refused, log, raise_open_files, run_master, whole
from base import Settings as Common
from connection import Connection, Reply
from outbox import Body, Outbox, all_done, note_message

MESSAGE_BYTES = 1024
MASTER_SHARE, CALLER_SHARE = 0.65, 0.8
"""Of REQUEST_TIMEOUT_MS. The master gives up first, so that its answer still comes in time."""
WHY = {502: "the receiver has died, or has no process now", 504: "no answer has come in time",
       503: "too many messages wait for the receiver, or for the master"}
PATHS = ("/", "/stats", "/messages", "/broadcast")


class Settings(ex1.Settings):
    default = slow = 0.0  # nothing is simulated here

    def __init__(self) -> None:
        Common.__init__(self, workers=3)
        self.request_timeout = whole("REQUEST_TIMEOUT_MS", 5000, 1, 3_600_000) / 1000
        self.message_limit = whole("MESSAGE_LIMIT", 100, 1, 1_000_000)


# --------------------------------------------------------------------------------------- the worker


class Caller(Connection):
    """A connection whose requests may have to wait for other processes."""

    owner: Worker

    def handle(self, method: str, path: str, body: bytes, close: bool) -> None:
        crosses = path in ("/stats", "/broadcast") or path.startswith("/send/")
        if method != "GET" or not crosses or self.owner.draining:
            return super().handle(method, path, body, close)
        self.busy = True
        self.owner.note("request", method=method, path=path, conn=self.number)
        task = self.owner.loop.create_task(self.wait(path, close))
        self.owner.tasks.add(task)  # the loop alone would not keep it
        task.add_done_callback(self.owner.tasks.discard)

    async def wait(self, path: str, close: bool) -> None:
        status, said = await self.owner.cross(path, self.query)
        self.answer(status, {"error": WHY[status]} if status in WHY else said, close=close)


def message_of(query: str) -> str:
    """Raises ValueError if it is too long, or no UTF-8."""
    for pair in query.encode("latin-1").replace(b"+", b" ").split(b"&"):
        key, _, value = pair.partition(b"=")
        if unquote_to_bytes(key) == b"message":
            if len(text := unquote_to_bytes(value)) > MESSAGE_BYTES:
                raise ValueError
            return text.decode()
    return "hello"


class Worker(ex1.Worker):
    kind = Caller
    settings: Settings

    def __init__(self, settings: Settings, loop: Loop, listener: socket.socket,
                 channel: socket.socket) -> None:
        super().__init__(settings, loop, listener, channel)
        self.note = self.count_and_note
        self.outbox = Outbox(loop, channel, settings.note, "master")
        self.tasks: set[asyncio.Task[None]] = set()
        self.calls: dict[str, asyncio.Future[list[Any]]] = {}
        self.mailbox: collections.deque[Body] = collections.deque(maxlen=settings.message_limit)
        self.requests = self.received = self.made = 0
        # Not the slot's number: an answer to a worker that has died is none to its successor.
        self.name, self.born = uuid.uuid4().hex, time.monotonic()

    def count_and_note(self, event: str, **fields: Any) -> None:
        self.requests += event == "request"
        self.settings.note(event, **fields)

    # ----- HTTP

    def reply(self, method: str, path: str, body: bytes) -> Reply:
        """What is answered without asking others."""
        if self.draining:
            return super().reply(method, path, body)
        if path not in PATHS and not path.startswith("/send/"):
            return 404, {"error": f"unknown path; there are {', '.join(PATHS)}, /send/2"}, {}, 0.0
        if method != "GET":
            return 405, {"error": "only GET is allowed"}, {"Allow": "GET"}, 0.0
        if path == "/messages":
            return 200, {"messages": list(self.mailbox)}, {}, 0.0
        return 200, {"requests": self.requests}, {}, 0.0

    async def cross(self, path: str, query: str) -> tuple[int, Body]:
        """Status and body of what needs others."""
        if path == "/stats":
            status, rows, missing = await self.call("stats")
            sums = {key: sum(row[key] for row in rows.values())
                    for key in ("requests", "received", "pending")}
            return status, {"workers": list(rows.values()), "missing": list(missing),
                            "total": {"workers": len(rows), **sums}}
        to = path[len("/send/"):]
        if path != "/broadcast" and not re.fullmatch("-?[0-9]+", to):
            return 400, {"error": "wanted: /send/ and the number of a worker"}
        slots = map(str, range(1, self.settings.workers + 1))
        if path != "/broadcast" and to.lstrip("0") not in slots:
            return 404, {"error": f"there are the workers 1 to {self.settings.workers}"}
        try:
            message = message_of(query)
        except ValueError:
            return 400, {"error": f"the message may be UTF-8 of up to {MESSAGE_BYTES} bytes"}
        said: Body = {"from": SLOT, "message": message}
        if path == "/broadcast":
            status, replies, missing = await self.call("broadcast", **said)
            return status, {**said, "delivered": list(replies), "missing": list(missing)}
        status, replies, missing = await self.call("direct", **said, to=int(to))
        return missing.get(int(to), status), {**said, "to": int(to), "reply": replies.get(int(to))}

    # ----- calls

    async def call(self, kind: str, **what: Any) -> tuple[int, dict[int, Body], dict[int, int]]:
        """A status; the replies by slot; and by slot the status that says why there is none."""
        self.made += 1
        name = f"{self.name}-{self.made}"
        answer = self.calls[name] = self.loop.create_future()
        try:
            if not self.outbox.send({"type": "call", "id": name, "kind": kind, **what}):
                return 503, {}, {}
            await all_done([answer], self.settings.request_timeout * CALLER_SHARE)
            if not answer.done():
                return 504, {}, {}
        finally:
            del self.calls[name]
        given = answer.result()
        return (200, {slot: reply for slot, reply in given if isinstance(reply, dict)},
                {slot: reply for slot, reply in given if isinstance(reply, int)})

    def tell(self, line: str) -> None:
        self.outbox.send({"type": line})

    def order(self, line: str) -> None:
        message = json.loads(line)
        note_message(self.note, "recv", "master", message, len(line) + 1)
        if message["type"] == "request":
            reply = self.serve(message)
            self.outbox.send({"type": "reply", "id": message["id"], "reply": reply})
        elif message["type"] == "answer":
            answer = self.calls.get(message["id"])
            if answer is not None and not answer.done():  # else it comes too late
                answer.set_result(message["replies"])
        else:
            super().order(message["type"])

    def serve(self, request: Body) -> Body:
        if request["kind"] == "stats":
            return {**self.identity(), "requests": self.requests, "received": self.received,
                    "pending": len(self.calls.keys() - {request["id"]}),
                    "uptime": time.monotonic() - self.born}
        self.received += 1
        self.mailbox.append({"from": request["from"], "type": request["kind"],
                             "message": request["message"], "timestamp": time.time() * 1000})
        return {**self.identity(), "message": request["message"]}


async def work(settings: Settings) -> int:
    _, listener, channel = (int(word) for word in ROLE.split())
    loop = asyncio.get_running_loop()
    worker = Worker(settings, loop, socket.socket(fileno=listener), socket.socket(fileno=channel))
    worker.start()
    return await worker.done


# --------------------------------------------------------------------------------------- the master


class Slot(ex1.Slot):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.outbox: Outbox | None = None
        self.awaited: dict[str, asyncio.Future[Body | int]] = {}
        """The replies of its process: each an object, or the status that says why there is none."""
        self.tasks: set[asyncio.Task[None]] = set()
        """The calls that its process has made."""

    def tell(self, line: str) -> None:
        if self.outbox is not None:
            self.outbox.send({"type": line})

    def ask(self, request: Body) -> asyncio.Future[Body | int]:
        reply: asyncio.Future[Body | int] = asyncio.get_running_loop().create_future()
        if self.outbox is None:
            reply.set_result(502)
        elif not self.outbox.send(request):
            reply.set_result(503)
        else:
            self.awaited[request["id"]] = reply
        return reply


class Master(ex1.Master):
    settings: Settings

    def __init__(self, settings: Settings, listener: socket.socket, loop: Loop) -> None:
        super().__init__(settings, listener, loop)
        self.posts = {slot.number: Slot(slot.number) for slot in self.slots}
        self.slots = [*self.posts.values()]

    def spawn(self, slot: ex1.Slot) -> None:
        super().spawn(slot)
        if slot.channel is not None:
            outbox = Outbox(self.loop, slot.channel, self.settings.note, slot.number)
            self.posts[slot.number].outbox = outbox

    def on_message(self, slot: ex1.Slot, line: str) -> None:
        message, post = json.loads(line), self.posts[slot.number]
        note_message(self.settings.note, "recv", slot.number, message, len(line) + 1)
        if message["type"] == "call":
            task = self.loop.create_task(self.pass_on(post, message))
            post.tasks.add(task)
            task.add_done_callback(post.tasks.discard)
        elif message["type"] == "reply":
            reply = post.awaited.pop(message["id"], None)
            if reply is not None:  # else it comes too late
                reply.set_result(message["reply"])
        else:
            super().on_message(slot, message["type"])

    async def pass_on(self, caller: Slot, call: Body) -> None:
        """Ask whom the call is for, and answer with what has come when the time is over."""
        request = {**call, "type": "request"}
        slots = [self.posts[call["to"]]] if "to" in call else [*self.posts.values()]
        replies = {slot: slot.ask(request) for slot in slots}
        try:
            await all_done(replies.values(), self.settings.request_timeout * MASTER_SHARE)
        finally:
            for slot in slots:
                slot.awaited.pop(call["id"], None)
        given = [(slot.number, reply.result() if reply.done() else 504)
                 for slot, reply in replies.items()]
        if caller.outbox is not None:
            caller.outbox.send({"type": "answer", "id": call["id"], "replies": given})

    def after_exit(self, slot: ex1.Slot, channel: socket.socket) -> None:
        """Nobody waits for the dead any longer, and nothing is kept for them."""
        post = self.posts[slot.number]
        post.outbox = None
        self.loop.remove_writer(channel)
        for reply in post.awaited.values():
            reply.set_result(502)
        post.awaited.clear()
        for task in post.tasks:
            task.cancel()
        super().after_exit(slot, channel)


async def lead(settings: Settings, listener: socket.socket) -> int:
    master = Master(settings, listener, asyncio.get_running_loop())
    master.start()
    await master.done
    log(f"ended, {master.cut} cut")
    return 1 if master.cut else 0


def main() -> int:
    try:
        settings = Settings()
    except Refused as why:
        print(why, file=sys.stderr)
        return 2
    if ROLE:
        raise_open_files()
        return asyncio.run(work(settings))
    return run_master(settings, lambda listener: lead(settings, listener))


if __name__ == "__main__":
    sys.exit(main())
