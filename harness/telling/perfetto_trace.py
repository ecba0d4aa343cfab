"""The pictures in the Trace Event Format, for https://ui.perfetto.dev and chrome://tracing.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
("Trace Event Format", Google). Each cluster of each check is a process there, and each lane a
thread. The axis is CLOCK_MONOTONIC.

Perfetto's importer (src/trace_processor/importers/json in its source) has these rules:
- The number of a thread occurs only once in the whole trace.
- The number of a process is that of its first thread.
- Slices of one thread overlap only where one lies within the other.
- A message begins and ends within slices.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

from harness.system.files import write_whole

Event = dict[str, Any]


def write(path: Path, report: dict[str, Any]) -> None:
    write_whole(path, json.dumps(trace(report), separators=(",", ":")))


def trace(report: dict[str, Any]) -> dict[str, Any]:
    events: list[Event] = []
    first = 1
    for group in (*report["items"], report["common"]):
        for check in group["checks"]:
            timeline = check["timeline"]
            if timeline and "lanes" in timeline:
                events += of_check(check["title"], timeline, first)
                first += len(timeline["lanes"]["rows"])
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def rows(timeline: dict[str, Any], name: str) -> list[dict[str, Any]]:
    table = timeline[name]
    return [dict(zip(table["keys"], row)) for row in table["rows"]]


def of_check(title: str, timeline: dict[str, Any], first: int) -> Iterator[Event]:
    """`first` is the number of the check's first lane among the trace's threads."""
    lanes = rows(timeline, "lanes")
    pids = {lane["cluster"]: first + index for index, lane in reversed(list(enumerate(lanes)))}

    def event(kind: str, name: str, t: float, lane: int, **more: Any) -> Event:
        return {"ph": kind, "name": name, "ts": round(timeline["origin"] * 1e6 + t * 1000),
                "pid": pids[lanes[lane]["cluster"]], "tid": first + lane, **more}

    yield from names(title, lanes, first, pids)
    for span in rows(timeline, "spans"):
        if span["end"] > span["start"]:  # speedscope takes a slice of no length for an endless one
            state = f"{span['state']} {span['version']}".strip()
            yield event("X", state, span["start"], span["lane"], cat="process", dur=length(span))
    for bar in rows(timeline, "bars"):
        yield event("X", f"{bar['what']}: {bar['told']}", bar["start"], bar["lane"], cat="request",
                    dur=length(bar), args={"outcome": bar["outcome"], "by": bar["by"]})
    for mark in rows(timeline, "marks"):
        lane = mark["lane"] if mark["lane"] is not None else next(
            index for index, one in enumerate(lanes) if one["cluster"] == mark["cluster"])
        yield event("i", mark["what"], mark["t"], lane, cat="signal", s="p")
    for note in rows(timeline, "notes"):
        yield event("i", note["what"], note["t"], note["lane"], cat="note", s="t")
    for number, arrow in enumerate(rows(timeline, "arrows")):
        if arrow["received"] is not None:
            args = {"id": arrow["id"]} if arrow["id"] else {}
            flow = {"cat": "message", "id": first * 1_000_000 + number, "args": args}
            yield event("s", arrow["what"], arrow["sent"], arrow["source"], **flow)
            yield event("f", arrow["what"], arrow["received"], arrow["target"], bp="e", **flow)


def length(part: dict[str, Any]) -> int:
    """Microseconds."""
    return round(float(part["end"] - part["start"]) * 1000)


def names(title: str, lanes: list[dict[str, Any]], first: int,
          pids: dict[int, int]) -> Iterator[Event]:
    for tid, lane in enumerate(lanes, first):
        where = {"ph": "M", "pid": pids[lane["cluster"]], "tid": tid}
        if tid == where["pid"]:
            of = f" · cluster {lane['cluster']}" if len(pids) > 1 else ""
            yield {**where, "name": "process_name", "args": {"name": title + of}}
        name = f"{lane['name']} (pid {lane['pid']})" if lane["pid"] else lane["name"]
        yield {**where, "name": "thread_name", "args": {"name": name}}
        yield {**where, "name": "thread_sort_index", "args": {"sort_index": tid}}
