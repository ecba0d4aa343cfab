"""The pictures in the Trace Event Format, for https://ui.perfetto.dev and chrome://tracing.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU ("Trace Event Format", Google).
Each cluster of each check is a process there, and each lane a thread; the axis is CLOCK_MONOTONIC.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

from .folders import write_whole

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
                first += max((lane["cluster"] for lane in rows(timeline, "lanes")), default=0)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def rows(timeline: dict[str, Any], name: str) -> list[dict[str, Any]]:
    table = timeline[name]
    return [dict(zip(table["keys"], row)) for row in table["rows"]]


def of_check(title: str, timeline: dict[str, Any], first: int) -> Iterator[Event]:
    """`first` is the number of the check's first cluster among the trace's processes."""
    lanes = rows(timeline, "lanes")

    def event(kind: str, name: str, t: float, lane: int, **more: Any) -> Event:
        return {"ph": kind, "name": name, "ts": round(timeline["origin"] * 1e6 + t * 1000), "pid": first + lanes[lane]["cluster"] - 1,
                "tid": lane + 1, **more}

    yield from names(title, lanes, first)
    for span in rows(timeline, "spans"):
        yield event("X", f"{span['state']} {span['version']}".strip(), span["start"], span["lane"], cat="process", dur=length(span))
    for bar in rows(timeline, "bars"):
        yield event("X", f"{bar['what']}: {bar['told']}", bar["start"], bar["lane"], cat="request", dur=length(bar),
                    args={"outcome": bar["outcome"], "by": bar["by"]})
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
    return max(1, round(float(part["end"] - part["start"]) * 1000))


def names(title: str, lanes: list[dict[str, Any]], first: int) -> Iterator[Event]:
    clusters = sorted({lane["cluster"] for lane in lanes})
    for cluster in clusters:
        of = f" · cluster {cluster}" if len(clusters) > 1 else ""
        yield {"ph": "M", "name": "process_name", "pid": first + cluster - 1, "tid": 0, "args": {"name": title + of}}
    for index, lane in enumerate(lanes):
        name = f"{lane['name']} (pid {lane['pid']})" if lane["pid"] else lane["name"]
        where = {"ph": "M", "pid": first + lane["cluster"] - 1, "tid": index + 1}
        yield {**where, "name": "thread_name", "args": {"name": name}}
        yield {**where, "name": "thread_sort_index", "args": {"sort_index": index}}
