"""The events of a check as lines that a person can paste into a shell."""
from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass

from harness.judging.events import Event, EventLog
from harness.judging.journal import entries
from harness.judging.process_history import ProcessHistory

LOCAL = "127.0.0.1"
TOLD = ("note", "request", "raw", "signal", "death")
LIMIT, LAST = 40, 10
"""Lines, and how many of them are the last ones."""
NAMES = re.compile(r"t\d+=|.* & master\d*=\$!")
TASK_ID = """sed -n 's/.*"taskId": *"\\([^"]*\\)".*/\\1/p'"""
MOST_TASKS = 12
"""Tasks that get a name. Of more of them it is only said that they were asked for."""
PAUSE = 0.2
"""Seconds between two steps from which on a `sleep` is worth a line."""
SHORT = 0.02
"""The same within a loop."""
FEW = 6
"""Connections with several requests that are told one by one. Of more of them each request becomes a curl, which opens a new one."""
STEP_TOLD = "   # "
"""Between a step and what came of it."""


@dataclass
class Step:
    line: str
    outcomes: list[str]
    began: float
    last: float

    def shown(self) -> str:
        """The line, as often as it was done, with what came of the first and the last."""
        count = len(self.outcomes)
        told = " … ".join([self.outcomes[0], self.outcomes[-1]] if count > 1 else self.outcomes)
        if count == 1:
            return f"{self.line}{STEP_TOLD}{told}"
        if self.line.startswith("#"):
            return f"{self.line}{STEP_TOLD}{told} ({count} times)"
        between = (self.last - self.began) / (count - 1)
        end = ("" if self.line.endswith("&") else ";") + (f" sleep {between:.2f};" if between >= SHORT else "")
        return f"for i in $(seq {count}); do {self.line}{end} done{STEP_TOLD}{told}"

    @property
    def asks(self) -> bool:
        """It sends a request."""
        return self.line.endswith(("&", ")")) and not self.line.startswith("kill")


def lines(log: EventLog) -> list[str]:
    """Curl and kill lines with what came of them, up to the verdict; equal neighbours are joined."""
    everything = log.all()
    verdict = max((event.t for event in everything if event.kind == "judged"), default=float("inf"))
    events = [event for event in everything if event.kind in TOLD and event.t <= verdict]
    if not events:
        return []
    start = events[0].t
    endings = told_endings(log, everything)
    teller = Teller.of(everything, verdict)
    kept = kept_alive(events, teller.tasks)
    steps: list[Step] = []
    for event in events:
        line, outcome = teller.tell(event)
        if (connection := kept.get((event.cluster, event.conn))) is not None and event.kind == "request":
            line = connection.line(event)
        line = endings.get((event.cluster, event.pid), line) if event.kind == "death" else line
        if not line:
            continue
        outcome = f"{event.t - start:6.2f} s" + (f"  {outcome}" if outcome else "")
        if steps and at_once(steps[-1], line, event.t):
            steps[-1].line = f"{steps[-1].line[:-1]} -e {line.rpartition(' -e ')[2]}"
            steps[-1].outcomes[-1] += f"; {event.data['to']}, {event.pid}"
        elif steps and steps[-1].line == line:
            steps[-1].outcomes.append(outcome)
            steps[-1].last = event.t
        else:
            steps.append(Step(line, [outcome], event.t, event.t))
    return shortened([printable(line) for line in paced([*steps, *last_steps(events, teller, start)])])


def paced(steps: list[Step]) -> list[str]:
    """With the pauses between the steps that were worth one."""
    shown: list[str] = []
    before: Step | None = None
    for step in steps:
        pause = step.began - before.last if before is not None else 0.0
        if before is not None and step.line.startswith("kill") and before.asks:
            pause = max(pause, PAUSE)  # the shell needs longer to send its request than the harness
        if pause >= PAUSE and not step.line.startswith(("#", "wait")):
            shown.append(f"sleep {pause:.1f}")
        shown.append(step.shown())
        before = before if step.line.startswith("#") else step
    return shown


def shortened(shown: list[str]) -> list[str]:
    """Of many lines the first and the last, and of those between what gives a name to something."""
    if len(shown) <= LIMIT:
        return shown
    middle = shown[LIMIT - LAST:-LAST]
    kept = [line for line in middle if NAMES.match(line)]
    return [*shown[:LIMIT - LAST], *kept, f"# … {len(middle) - len(kept)} more steps …", *shown[-LAST:]]


def printable(line: str) -> str:
    """What a program says must not become a line of its own when it is pasted."""
    return "".join(character if character.isprintable() else "?" for character in line)


def last_steps(events: list[Event], teller: Teller, start: float) -> list[Step]:
    """Ends what still ran at the verdict, or the next lines that are pasted would find its port taken."""
    if (end := teller.verdict) == float("inf"):
        return []
    gone = {(event.cluster, event.pid) for event in events if event.kind == "death"}
    return [Step(f"kill -KILL ${teller.master(cluster)}", [f"{end - start:6.2f} s  the verdict; it was still there"], end, end)
            for cluster, pid in teller.masters.items() if (cluster, pid) not in gone]


def at_once(before: Step, line: str, t: float) -> bool:
    """A worker is sent the same signal as another just before: in one command, or the first one's successor may be taken for it."""
    same, chosen, _ = line.partition(" -e ")
    return bool(chosen) and before.line.startswith(same + chosen) and t - before.last < SHORT


@dataclass
class Kept:
    """A connection that stays open from one request to the next, which curl cannot do between two commands."""

    name: str
    opened: bool = False

    def line(self, event: Event) -> str:
        line = send_line(self.name, f"{event.method} {event.path} HTTP/1.1\r\nHost: x\r\n\r\n")
        if not self.opened:
            self.opened = True
            return open_line(self.name, event.cluster) + line
        return line


def kept_alive(events: list[Event], tasks: dict[str, str]) -> dict[tuple[int, int | None], Kept]:
    """The connections with more than one request, if they are few and none has a body or asks for a task, whose id the shell has to put in."""
    requests = [event for event in events if event.kind == "request"]
    counts = Counter((event.cluster, event.conn) for event in requests)
    several = [one for one, count in counts.items() if count > 1]
    bodies = {(event.cluster, event.conn) for event in requests
              if event.data.get("body") or last_of(event.path) in tasks}
    return {} if len(several) > FEW else {one: Kept(f"c{one[0]}_{one[1]}") for one in several if one not in bodies}


def told_endings(log: EventLog, events: list[Event]) -> dict[tuple[int, int | None], str]:
    """(cluster, pid) → what the master's journal says of that process and its end."""
    found: dict[tuple[int, int | None], str] = {}
    for cluster, journal in log.journals.items():
        known = ProcessHistory(cluster, [event for event in events if event.cluster == cluster],
                          entries(journal, events[0].t, events[-1].t), events[-1].t)
        for pid, fate in known.fates.items():
            if pid != known.master:
                whom = f"worker {known.slots[pid]} (pid {pid})" if known.slots.get(pid) else f"pid {pid}"
                found[cluster, pid] = f"# {whom} ended: {fate if fate.startswith('exit code') else f'killed by {fate}'}"
    return found


@dataclass
class Teller:
    """How a shell does what the check did: with names where the grading had numbers of its own."""

    masters: dict[int, int]
    """Cluster → pid."""
    verdict: float
    ports: dict[str, int]
    """Port that a cluster had in the grading → the one that it has for a person."""
    hosts: dict[int, str]
    """Cluster → the host of its addresses."""
    tasks: dict[str, str]
    """Id of a task that is asked for later → the shell's variable for it ("": there are too many)."""
    workers_answer: bool

    @classmethod
    def of(cls, events: list[Event], verdict: float) -> Teller:
        """`events`: all of the check."""
        asked = {last_of(event.path) for event in events if event.path}
        ids = dict.fromkeys(str(event.data["taskId"]) for event in events if event.data.get("taskId") in asked)
        named = {task: f"t{number}" if len(ids) <= MOST_TASKS else "" for number, task in enumerate(ids, 1)}
        ready = [(event.text.partition(" workers=")[0].rpartition(":")[2], port(event.cluster)) for event in events if event.kind == "ready"]
        starts = [event for event in events if event.text == "start"]
        return cls({event.cluster: event.pid or 0 for event in starts}, verdict, dict(ready),
                   {event.cluster: in_address(event.data.get("settings", {}).get("HOST", LOCAL)) for event in starts},
                   named, any(event.worker for event in events))

    def master(self, cluster: int) -> str:
        return f"master{cluster if len(self.masters) > 1 else ''}"

    def path(self, event: Event) -> str:
        """A task that was submitted again has another id."""
        found = event.path or ""
        name = self.tasks.get(last_of(found))
        return f"{found.rpartition('/')[0]}/${{{name}}}" if name else found

    def tell(self, event: Event) -> tuple[str, str]:
        """A line, and what came of it."""
        if event.kind == "note":
            return self.start(event) if event.text == "start" else (f"# {event.text}", "")
        if event.kind == "signal":
            return self.kill(event)
        if event.kind == "death":
            if event.pid == self.masters.get(event.cluster):
                return f'wait ${self.master(event.cluster)}; echo "exit code $?"', "the master is gone"
            return f"# pid {event.pid} is gone", ""
        if event.kind == "raw":
            data = re.sub(r"(\r\nHost: [^\r]*:)\d+", rf"\g<1>{port(event.cluster)}", event.data.get("bytes", ""))
            return open_line("c", event.cluster) + send_line("c", data[:120] + ("…" if len(data) > 120 else "")), self.outcome(event)
        return self.request(event), self.outcome(event)

    def start(self, event: Event) -> tuple[str, str]:
        settings = dict(event.data.get("settings", {}))
        if (wanted := settings.get("PORT")) is not None:
            settings["PORT"] = str(port(event.cluster) if wanted == "0" else self.ports.get(wanted, wanted))
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
        return f"{words} {event.data.get('program')} & {self.master(event.cluster)}=$!; sleep 1", f"pid {event.pid}"

    def request(self, event: Event) -> str:
        body = event.data.get("body", "")
        if body.endswith("…") or not body.isprintable() or "\ufffd" in body:
            return f"# {event.method} {self.path(event)} with a body that no line can show: {body[:40]!r} …"
        if self.tasks.get(last_of(event.path)) == "":
            return f"# {event.method} of one of these tasks"
        method = "" if event.method == "GET" else " -I" if event.method == "HEAD" else f" -X {event.method}"
        address = f"http://{self.hosts.get(event.cluster, LOCAL)}:{port(event.cluster)}"
        url = address + self.path(event)
        words = f"{method}{f' -d {shlex.quote(body)}' if body else ''} {url if '${' in url else shlex.quote(url)}"
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
        name, to, master = event.text.removeprefix("SIG"), str(event.data.get("to", "")), self.master(event.cluster)
        if to == "group":
            return f"kill -{name} -- -${master}", ""
        if to == "master":
            return f"kill -{name} ${master}", ""
        if to.startswith("worker"):
            more = "; if another has your request, its answers name its pid" if self.workers_answer else ""
            return f"kill -{name} $(pgrep -P ${master} | sed -n -e {to.split()[1]}p)", f"{to}, here pid {event.pid}{more}"
        choice = f"pgrep -n -P ${master}" if to == "the new worker" else f"pgrep -P ${master} | shuf -n 1"
        return f"kill -{name} $({choice})", f"{to}, here pid {event.pid}"


def last_of(path: str | None) -> str:
    return (path or "").rpartition("/")[2]


def port(cluster: int) -> int:
    """For a person each cluster has a port of its own from 8000 on."""
    return 7999 + max(1, cluster)


def in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def open_line(name: str, cluster: int) -> str:
    """Opens a connection, and shows what comes back on it."""
    return f"exec {{{name}}}<>/dev/tcp/{LOCAL}/{port(cluster)}; cat <&${name} & "


def send_line(name: str, data: str) -> str:
    """Sends bytes, as printf takes them between single quotes; in a shell of its own, which SIGPIPE may end."""
    for plain, said in (("\\", "\\\\"), ("'", "\\047"), ("\r", "\\r"), ("\n", "\\n"), ("%", "%%")):
        data = data.replace(plain, said)
    return f"(printf '{data}' >&${name})"
