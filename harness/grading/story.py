"""The events of a check as lines that a person can paste into a shell."""
from __future__ import annotations

import shlex

from .events import Event, EventLog

LIMIT = 40


def lines(log: EventLog) -> list[str]:
    """Curl and kill lines with what came of them; equal neighbours are joined."""
    events = [event for event in log.all() if event.kind in ("note", "request", "raw", "signal", "death")]
    if not events:
        return []
    start = events[0].t
    masters = {event.cluster: event.pid or 0 for event in events if event.text == "start"}
    many = len(masters) > 1
    told: list[tuple[str, list[str]]] = []
    for event in events:
        line, outcome = tell(event, masters, many)
        if not line:
            continue
        outcome = f"{event.t - start:6.2f} s" + (f"  {outcome}" if outcome else "")
        if told and told[-1][0] == line:
            told[-1][1].append(outcome)
        else:
            told.append((line, [outcome]))
    shown = [f"{line}   # {' … '.join([outcomes[0], outcomes[-1]] if len(outcomes) > 1 else outcomes)}"
             + (f" ({len(outcomes)} times)" if len(outcomes) > 1 else "") for line, outcomes in told]
    if len(shown) > LIMIT:
        left = len(shown) - LIMIT
        shown = shown[:LIMIT - 10] + [f"# … {left} more steps …"] + shown[-10:]
    return shown


def tell(event: Event, masters: dict[int, int], many: bool) -> tuple[str, str]:
    suffix = str(event.cluster) if many else ""
    master = f"master{suffix}"
    url = f"http://127.0.0.1:{7999 + max(1, event.cluster)}"
    if event.kind == "note":
        if event.text != "start":
            return f"# {event.text}", ""
        settings = dict(event.data.get("settings", {}))
        if settings.get("PORT") == "0":
            settings["PORT"] = str(7999 + event.cluster)
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
        return f"{words} {event.data.get('program')} & {master}=$!", f"pid {event.pid}"
    if event.kind == "signal":
        return kill_line(event, master), ""
    if event.kind == "death":
        whom = "the master" if event.pid == masters.get(event.cluster) else f"pid {event.pid}"
        return f"# {whom} is gone", ""
    outcome = event.text if event.end is not None else "no answer while we looked"
    if event.status:
        outcome = f"{event.status}"
    if event.end is not None:
        outcome += f" after {(event.end - event.t) * 1000:.0f} ms"
    by = f" (worker {event.worker}, connection {event.conn})" if event.worker else f" (connection {event.conn})"
    if event.kind == "raw":
        data = event.data.get("bytes", "").replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n").replace("%", "%%")
        if len(data) > 120:
            data = data[:120] + "…"
        return f"exec {{c}}<>/dev/tcp/{url[7:].replace(':', '/')}; printf '{data}' >&$c", outcome + by
    method = "" if event.method == "GET" else " -I" if event.method == "HEAD" else f" -X {event.method}"
    return f"curl -i{method} {url}{event.path} &", outcome + by


def kill_line(event: Event, master: str) -> str:
    name, to = event.text.removeprefix("SIG"), str(event.data.get("to", ""))
    if to == "group":
        return f"kill -{name} -- -${master}"
    if to.startswith("worker"):
        number = to.split()[1]
        return f"kill -{name} $(pgrep -P ${master} | sed -n {number}p)   # {to}, here pid {event.pid}"
    if to == "master":
        return f"kill -{name} ${master}"
    return f"kill -{name} {event.pid}   # {to}"
