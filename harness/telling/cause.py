"""The likely cause of a failure, where the events or the output of the programs name one."""
from __future__ import annotations

import re
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, Signals

from harness.judging.events import EventLog
from harness.judging.evidence import Evidence

CRASHES = (SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP)
"""The harness sends none of these signals: a process that dies of one has caused it itself."""
CRASH = ("an assertion that does not hold, an exception that nobody catches, "
         "or memory that is not its own")
FORBIDDEN = ("a system call that the sandbox forbids, or one of a 32-bit program; with "
             "--no-isolation it may be made")
EXCEPTION = re.compile(r"(master|worker\d+)\[(\d+)\] ended by an exception: (.*)")
NO_ENTRY = "map::at"
NO_ENTRY_MEANS = ("at() has found no entry with this key in a map: it was erased, and something "
                  "that is still under way, as a timer, looks for it")
SANITIZER = re.compile(r"(?:WARNING|ERROR): (\w+Sanitizer): ([\w -]*[\w-])")
NO_KEY = "m_value.object->end()"
NO_KEY_MEANS = ("message[\"key\"] of a const Json that has no such key; ask with "
                "contains(\"key\"), or copy the message first")
LOST = re.compile(r"connection (closed|reset|refused)|cut in the middle")
DYING_SECONDS = 0.3
"""Seconds from a lost connection until the dying process has written its last line and is gone."""
THROWN_WHERE = ("the text says what was thrown; in gdb `catch throw` shows where "
                "(and `set follow-fork-mode child`, if it was in a worker)")
CRASHED_WHERE = ("look at the last lines that it wrote; gdb shows where "
                 "(`set follow-fork-mode child`, if it was in a worker)")
REPORTED_WHERE = ("its report is in the program's standard error: what was done, by which "
                  "thread, and the lines")
NO_HANDLER = "write the handler for it; the exercise's README has a table of all endpoints"


def told_by(evidence: list[Evidence], log: EventLog, endpoints: str, seen: str) -> tuple[str, str]:
    """The likely cause and a hint if the events of the check name one, else two empty texts.

    `endpoints`: a pattern of the requests to which 404 is never the right answer.
    """
    for cluster in evidence:
        if found := sanitizer(cluster):
            return found, REPORTED_WHERE
        if thrown := ended_by_exception(cluster):
            return thrown, THROWN_WHERE
        if crash := crashed(cluster):
            return crash, CRASHED_WHERE
    if asked := not_there(log, endpoints, seen):
        return f"nothing is there to answer {asked}", NO_HANDLER
    return "", ""


def connection_lost(seen: str) -> bool:
    """Whether the verdict speaks of a lost connection: its process may be dying."""
    return LOST.search(seen) is not None


def ended_by_exception(cluster: Evidence) -> str:
    """What the kit's library wrote about an exception that nothing caught; empty without one."""
    for line in cluster.lines:
        if line.error and (found := EXCEPTION.search(line.text)):
            name = found[1].replace("master", "the master")
            means = f" ({NO_ENTRY_MEANS})" if found[3] == NO_ENTRY else ""
            return f"{name} (pid {found[2]}) has ended by an exception: {found[3]}{means}"
    return ""


def sanitizer(cluster: Evidence) -> str:
    """What a program that was built with a sanitizer has heard from it."""
    for line in cluster.lines:
        if line.error and (found := SANITIZER.search(line.text)):
            return f"{found[1]} has found a fault: {found[2]}"
    return ""


def crashed(cluster: Evidence) -> str:
    """Which process of the cluster has died of its own mistake; empty if none is known."""
    code = cluster.exit_code
    no_key = any(line.error and NO_KEY in line.text for line in cluster.lines)
    if code is not None and -code in CRASHES:
        why = reason(Signals(-code), no_key)
        return f"the master (pid {cluster.master}) has died of {Signals(-code).name}: {why}"
    for entry in cluster.journal:
        if (entry.get("event") == "exit" and entry.get("pid") == cluster.master
                and entry.get("signal") in CRASHES):
            signal = Signals(entry["signal"])
            whom = f"worker {entry.get('peer')} (pid {entry.get('child')})"
            return f"{whom} has died of {signal.name}: {reason(signal, no_key)}"
    return ""


def reason(signal: Signals, no_key: bool) -> str:
    if signal == SIGSYS:
        return FORBIDDEN
    return NO_KEY_MEANS if no_key and signal == SIGABRT else CRASH


def threw(log: EventLog, seen: str) -> str:
    """What a 500 may mean, if the verdict is about one; empty if not. It leaves the check's own
    cause as likely as before. Exercise 3 has a path that answers 500 by right."""
    for event in reversed(log.all()):
        if event.kind == "request" and event.status == 500 and f"{event.path}: 500" in seen:
            path = (event.path or "").partition("?")[0]
            return "" if path == "/error" else (
                f"perhaps an exception was thrown in the handler of {event.method} {path}: with "
                "the kit's library the answer is a 500 then, and its body has the text")
    return ""


def not_there(log: EventLog, endpoints: str, seen: str) -> str:
    """The request that got 404 at an endpoint of the exercise, if the verdict is about it."""
    for event in reversed(log.all()):
        asked = f"{event.method} {(event.path or '').partition('?')[0]}"
        if (event.kind == "request" and event.status == 404 and f"{event.path}: 404" in seen
                and re.fullmatch(endpoints, asked)):
            return asked
    return ""
