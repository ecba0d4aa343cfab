"""The events of a check as lines that a person can paste into a shell."""
from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass

from .events import Event, EventLog
from .timeline_journal import entries
from .timeline_processes import Processes

LIMIT = 40
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
    events = [event for event in everything if event.kind in ("note", "request", "raw", "signal", "death") and event.t <= verdict]
    if not events:
        return []
    start = events[0].t
    endings = told_endings(log, everything)
    masters = {event.cluster: event.pid or 0 for event in events if event.text == "start"}
    kept = kept_alive(events)
    steps: list[Step] = []
    for event in events:
        line, outcome = tell(event, masters, verdict)
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
    steps += last_steps(events, masters, start, verdict)
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
    if len(shown) > LIMIT:
        left = len(shown) - LIMIT
        shown = shown[:LIMIT - 10] + [f"# … {left} more steps …"] + shown[-10:]
    return shown


def last_steps(events: list[Event], masters: dict[int, int], start: float, verdict: float) -> list[Step]:
    """Ends what still ran at the verdict, or the next lines that are pasted would find its port taken."""
    if verdict == float("inf"):
        return []
    gone = {(event.cluster, event.pid) for event in events if event.kind == "death"}
    return [Step(f"kill -KILL ${name_of(cluster, masters)}", [f"{verdict - start:6.2f} s  the verdict; it was still there"], verdict, verdict)
            for cluster, pid in masters.items() if (cluster, pid) not in gone]


def name_of(cluster: int, masters: dict[int, int]) -> str:
    return f"master{cluster if len(masters) > 1 else ''}"


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


def kept_alive(events: list[Event]) -> dict[tuple[int, int | None], Kept]:
    """The connections with more than one request, if they are few and none has a body."""
    requests = [event for event in events if event.kind == "request"]
    counts = Counter((event.cluster, event.conn) for event in requests)
    several = [one for one, count in counts.items() if count > 1]
    bodies = {(event.cluster, event.conn) for event in requests if event.data.get("body")}
    return {} if len(several) > FEW else {one: Kept(f"c{one[0]}_{one[1]}") for one in several if one not in bodies}


def told_endings(log: EventLog, events: list[Event]) -> dict[tuple[int, int | None], str]:
    """(cluster, pid) → what the master's journal says of that process and its end."""
    found: dict[tuple[int, int | None], str] = {}
    for cluster, journal in log.journals.items():
        known = Processes(cluster, [event for event in events if event.cluster == cluster],
                          entries(journal, events[0].t, events[-1].t), events[-1].t)
        for pid, fate in known.fates.items():
            if pid != known.master:
                whom = f"worker {known.slots[pid]} (pid {pid})" if known.slots.get(pid) else f"pid {pid}"
                found[cluster, pid] = f"# {whom} ended: {fate if fate.startswith('exit code') else f'killed by {fate}'}"
    return found


def tell(event: Event, masters: dict[int, int], verdict: float) -> tuple[str, str]:
    master = name_of(event.cluster, masters)
    url = f"http://127.0.0.1:{port(event.cluster)}"
    if event.kind == "note":
        if event.text != "start":
            return f"# {event.text}", ""
        settings = dict(event.data.get("settings", {}))
        if settings.get("PORT") == "0":
            settings["PORT"] = str(port(event.cluster))
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
        return f"{words} {event.data.get('program')} & {master}=$!; sleep 1", f"pid {event.pid}"
    if event.kind == "signal":
        return kill_line(event, master)
    if event.kind == "death":
        if event.pid == masters.get(event.cluster):
            return f'wait ${master}; echo "exit code $?"', "the master is gone"
        return f"# pid {event.pid} is gone", ""
    ended = event.end is not None and event.end <= verdict
    outcome = (f"{event.status}" if event.status else event.text) if ended else "no answer while we looked"
    if ended and event.end is not None:
        outcome += f" after {(event.end - event.t) * 1000:.0f} ms"
    told = [f"worker {event.worker}"] if event.worker else []
    told += [f"connection {event.conn}"] if event.conn is not None else []
    by = f" ({', '.join(told)})" if told else ""
    if event.kind == "raw":
        data = re.sub(r"(\r\nHost: [^\r]*:)\d+", rf"\g<1>{port(event.cluster)}", event.data.get("bytes", ""))
        return open_line("c", event.cluster) + send_line("c", data[:120] + ("…" if len(data) > 120 else "")), outcome + by
    method = "" if event.method == "GET" else " -I" if event.method == "HEAD" else f" -X {event.method}"
    body = f" -d {shlex.quote(event.data['body'])}" if event.data.get("body") else ""
    return f"curl -sSi{method}{body} {url}{event.path} &", outcome + by


def port(cluster: int) -> int:
    """For a person each cluster has a port of its own from 8000 on."""
    return 7999 + max(1, cluster)


def open_line(name: str, cluster: int) -> str:
    """Opens a connection, and shows what comes back on it."""
    return f"exec {{{name}}}<>/dev/tcp/127.0.0.1/{port(cluster)}; cat <&${name} & "


def send_line(name: str, data: str) -> str:
    """Sends bytes, as printf takes them between single quotes; in a shell of its own, which SIGPIPE may end."""
    for plain, said in (("\\", "\\\\"), ("'", "\\047"), ("\r", "\\r"), ("\n", "\\n"), ("%", "%%")):
        data = data.replace(plain, said)
    return f"(printf '{data}' >&${name})"


def kill_line(event: Event, master: str) -> tuple[str, str]:
    name, to = event.text.removeprefix("SIG"), str(event.data.get("to", ""))
    if to == "group":
        return f"kill -{name} -- -${master}", ""
    if to.startswith("worker"):
        number = to.split()[1]
        return f"kill -{name} $(pgrep -P ${master} | sed -n -e {number}p)", f"{to}, here pid {event.pid}; if another has your request, its answers name its pid"
    if to == "master":
        return f"kill -{name} ${master}", ""
    return f"kill -{name} {event.pid}", to
