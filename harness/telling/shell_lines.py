"""How a shell does what a check did: one line for a start, a signal, a request or sent bytes.

The lines have names of their own where the grading had pids, ports and ids.
"""
from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass

from harness.judging.events import ASKED, Event

LOCAL = "127.0.0.1"
TASK_ID = """sed -n 's/.*"taskId": *"\\([^"]*\\)".*/\\1/p'"""
MOST_TASKS = 12
"""Tasks that get a name. If there are more, the lines only say that they were asked for."""
MOST_KEPT = 6
"""Kept connections that are told one by one. If there are more, each request becomes a curl."""


@dataclass
class Kept:
    """A connection that stays open between requests, which curl cannot do between two commands."""

    name: str
    opened: bool = False

    def line(self, event: Event) -> str:
        line = send_line(self.name, f"{event.method} {event.path} HTTP/1.1\r\nHost: x\r\n\r\n")
        if not self.opened:
            self.opened = True
            return open_line(self.name, event.cluster) + line
        return line


def kept_alive(events: list[Event], tasks: dict[str, str]) -> dict[tuple[int, int | None], Kept]:
    """(cluster, conn) → the connection, for those with more than one request; none if too many.

    A connection stays out if one of its requests has a body, or asks for one of the `tasks`: the
    shell has to put that task's id in.
    """
    requests = [event for event in events if event.kind == "request"]
    counts = Counter((event.cluster, event.conn) for event in requests)
    several = [one for one, count in counts.items() if count > 1]
    bodies = {(event.cluster, event.conn) for event in requests
              if event.data.get("body") or last_of(event.path) in tasks}
    if len(several) > MOST_KEPT:
        return {}
    return {one: Kept(f"c{one[0]}_{one[1]}") for one in several if one not in bodies}


def left_idle(events: list[Event]) -> dict[tuple[int, int | None], int]:
    """(cluster, conn) → how many requests there were on it: none, or one whose answer had come
    when a signal was sent, with the connection still open."""
    signals = [event.t for event in events if event.kind == "signal"]
    closed = {(event.cluster, event.conn): event.t for event in events if event.kind == "close"}
    asked: dict[tuple[int, int | None], list[Event]] = {
        (event.cluster, event.conn): [] for event in events if event.kind == "open"}
    for event in events:
        if event.kind in ASKED and (event.cluster, event.conn) in asked:
            asked[event.cluster, event.conn].append(event)

    def idle(connection: tuple[int, int | None], own: list[Event]) -> bool:
        since = [end_of(event) for event in own]
        return not own or len(own) == 1 and any(
            since[0] < t < closed.get(connection, float("inf")) for t in signals)

    return {connection: len(own) for connection, own in asked.items() if idle(connection, own)}


def end_of(event: Event) -> float:
    return event.end if event.end is not None else float("inf")


@dataclass
class ShellLines:
    """The lines for the events of one check."""

    masters: dict[int, int]
    """Cluster → pid."""
    verdict: float
    """When the check was judged; infinity if it was not."""
    ports: dict[str, int]
    """Port that a cluster had in the grading → the one that it has for a person."""
    hosts: dict[int, str]
    """Cluster → the host of its addresses."""
    tasks: dict[str, str]
    """Id of a task that is asked for later → the shell's variable for it ("": too many tasks)."""
    workers_answer: bool
    """Whether some answer says which worker it is from."""
    idle: dict[tuple[int, int | None], int]
    """The connections that left_idle() finds."""

    @classmethod
    def of(cls, events: list[Event], verdict: float) -> ShellLines:
        """`events`: all of the check."""
        asked = {last_of(event.path) for event in events if event.path}
        ids = dict.fromkeys(str(event.data["taskId"]) for event in events
                            if event.data.get("taskId") in asked)
        named = {task: f"t{number}" if len(ids) <= MOST_TASKS else ""
                 for number, task in enumerate(ids, 1)}
        ready = [(event.text.partition(" workers=")[0].rpartition(":")[2], port(event.cluster))
                 for event in events if event.kind == "ready"]
        starts = [event for event in events if event.text == "start"]
        hosts = {event.cluster: in_address(event.data.get("settings", {}).get("HOST", LOCAL))
                 for event in starts}
        return cls({event.cluster: event.pid or 0 for event in starts}, verdict, dict(ready),
                   hosts, named, any(event.worker for event in events), left_idle(events))

    def master(self, cluster: int) -> str:
        """The shell's variable for the pid of a cluster's master."""
        return f"master{cluster if len(self.masters) > 1 else ''}"

    def path(self, event: Event) -> str:
        """The path of a request, with the variable of a task: submitted again, it gets a new id."""
        found = event.path or ""
        name = self.tasks.get(last_of(found))
        return f"{found.rpartition('/')[0]}/${{{name}}}" if name else found

    def tell(self, event: Event) -> tuple[str, str]:
        """A line, and its outcome."""
        if event.kind == "note":
            return self.start(event) if event.text == "start" else (f"# {event.text}", "")
        if event.kind == "signal":
            return self.kill(event)
        if event.kind == "death":
            if event.pid == self.masters.get(event.cluster):
                wait = f'wait ${self.master(event.cluster)}; echo "exit code $?"'
                return wait, "the master is gone"
            return f"# pid {event.pid} is gone", ""
        if event.kind == "raw":
            return self.send(event), self.outcome(event)
        sent = self.idle.get((event.cluster, event.conn))
        if event.kind == "open":
            line = open_idle_line("c", event.cluster) if sent == 0 else ""
            return line, f"connection {event.conn}, which stays idle"
        if sent and event.method == "GET" and last_of(event.path) not in self.tasks:
            # curl would close it.
            return Kept("c").line(event), self.outcome(event) + "; idle from then on"
        return self.request(event), self.outcome(event)

    def start(self, event: Event) -> tuple[str, str]:
        settings = dict(event.data.get("settings", {}))
        if (wanted := settings.get("PORT")) is not None:
            own = port(event.cluster) if wanted == "0" else self.ports.get(wanted, wanted)
            settings["PORT"] = str(own)
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
        program, master = event.data.get("program"), self.master(event.cluster)
        return f"{words} {program} & {master}=$!; sleep 1", f"pid {event.pid}"

    def send(self, event: Event) -> str:
        """Raw bytes, on a connection of their own. Their Host gets the port that the line uses."""
        own = rf"\g<1>{port(event.cluster)}"
        data = re.sub(r"(\r\nHost: [^\r]*:)\d+", own, event.data.get("bytes", ""))
        start = data[:120] + ("…" if len(data) > 120 else "")
        return open_line("c", event.cluster) + send_line("c", start)

    def request(self, event: Event) -> str:
        method, body = event.method, event.data.get("body", "")
        if body.endswith("…") or not body.isprintable() or "\ufffd" in body:
            what = f"{method} {self.path(event)}"
            return f"# {what} with a body that no line can show: {body[:40]!r} …"
        if self.tasks.get(last_of(event.path)) == "":
            return f"# {method} of one of these tasks"
        option = "" if method == "GET" else " -I" if method == "HEAD" else f" -X {method}"
        host = self.hosts.get(event.cluster, LOCAL)
        url = f"http://{host}:{port(event.cluster)}{self.path(event)}"
        data = f" -d {shlex.quote(body)}" if body else ""
        words = f"{option}{data} {url if '${' in url else shlex.quote(url)}"
        if name := self.tasks.get(event.data.get("taskId", "")):
            return f"{name}=$(curl -sS{words} | {TASK_ID}); echo ${name}"
        return f"curl -sSi{words} &"

    def outcome(self, event: Event) -> str:
        ended = event.end is not None and event.end <= self.verdict
        outcome = (event.text or str(event.status)) if ended else "no answer while we looked"
        if ended and event.end is not None:
            outcome += f" after {(event.end - event.t) * 1000:.0f} ms"
        told = [f"worker {event.worker}"] if event.worker else []
        told += [f"connection {event.conn}"] if event.conn is not None else []
        return outcome + (f" ({', '.join(told)})" if told else "")

    def kill(self, event: Event) -> tuple[str, str]:
        name, to = event.text.removeprefix("SIG"), str(event.data.get("to", ""))
        master, here = self.master(event.cluster), f"{to}, here pid {event.pid}"
        if to == "group":
            return f"kill -{name} -- -${master}", ""
        if to == "master":
            return f"kill -{name} ${master}", ""
        if to.startswith("worker"):
            chosen = f"pgrep -P ${master} | sed -n -e {to.split()[1]}p"
            if self.workers_answer:
                here += "; if another has your request, its answers name its pid"
        elif to == "the new worker":
            chosen = f"pgrep -n -P ${master}"
        else:
            chosen = f"pgrep -P ${master} | shuf -n 1"
        return f"kill -{name} $({chosen})", here


def last_of(path: str | None) -> str:
    return (path or "").rpartition("/")[2]


def port(cluster: int) -> int:
    """For a person each cluster has a port of its own, from 8000 on."""
    return 7999 + max(1, cluster)


def in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def open_line(name: str, cluster: int) -> str:
    """Opens a connection, and shows what comes back on it."""
    return f"{open_idle_line(name, cluster)}; cat <&${name} & "


def open_idle_line(name: str, cluster: int) -> str:
    """Opens a connection, which lives as long as the shell."""
    return f"exec {{{name}}}<>/dev/tcp/{LOCAL}/{port(cluster)}"


def send_line(name: str, data: str) -> str:
    """Sends bytes: printf takes them in single quotes, in a subshell that SIGPIPE may end."""
    for plain, said in (("\\", "\\\\"), ("'", "\\047"), ("\r", "\\r"), ("\n", "\\n"), ("%", "%%")):
        data = data.replace(plain, said)
    return f"(printf '{data}' >&${name})"
