"""Runs one check: looks at what it builds on, judges how it ended, keeps what happened."""
from __future__ import annotations

import re
import time
import traceback
from typing import Callable

from . import cause
from .checklist import declaration_of, sentence
from .lab import Lab
from .run import Run
from .story import lines
from .timeline import picture
from .verdict import HARNESS_FAULT, Bound, BoundBroken, CheckFailed, Inconclusive, Record
from .wrote import last_lines

STILL_TO_DO = re.compile(r"STEP \d+ is still to do")


def blocked(run: Run, needed: dict[str, str]) -> tuple[str, str] | None:
    """Of the checks that this one needs (id → title) the first that did not hold, and how it ended."""
    for id_, title in needed.items():
        result = run.result(id_)
        if result is None:
            raise Inconclusive(f"the check \"{title}\", which this one builds on, has left no result: the disk is full")
        if result in ("fail", "skipped"):
            return title, result
    return None


def run_check(record: Record, cls: type, function: Callable[..., None], lab: Lab, needed: dict[str, str],
              call: Callable[[], object]) -> None:
    """Fill in the record. Nothing that a check raises leaves this function, but an interrupt by the user."""
    declared = declaration_of(function)
    record.title, record.expected = sentence(function), declared.expected or sentence(function)
    began = time.monotonic()
    bound: Bound | None = None
    try:
        stop = blocked(lab.run, needed)
        if stop is not None:
            record.result, record.seen = "skipped", f"builds on: {stop[0]}"
        else:
            call_within_limits(lab, call)
            record.result = "pass"
    except CheckFailed as failure:
        record.result, record.seen = "fail", failure.seen
        record.expected = failure.expected or record.expected
        bound = failure.bound if isinstance(failure, BoundBroken) else None
        record.likely, record.hint = failure.likely or declared.likely, failure.hint or declared.hint
    except Inconclusive as why:
        record.result, record.seen = "inconclusive", str(why)
    except Exception as fault:  # whatever it is, it is not the program's fault
        record.result, record.seen = "inconclusive", harness_fault(fault)
    record.seconds = round(time.monotonic() - began, 3)
    lab.log.add("judged")
    lab.run.put_result(record.id, record.result)
    try:
        if record.result == "fail":
            name_cause(lab, record)
            record.wrote = last_lines([cluster.whole_lines() for cluster in lab.clusters], record.seen)
        record.notes += lab.finish()
    except Exception as fault:
        record.notes.append(f"clearing up: {harness_fault(fault)}")
    if record.result in ("fail", "inconclusive"):
        try:
            record.done = lines(lab.log)
        except Exception as fault:  # what cannot be told must not spoil a verdict
            record.notes.append(f"what was done cannot be told: {harness_fault(fault)}")
    record.seconds = record.seconds if record.result != "skipped" else 0.0
    if lab.run.keeps_timelines and record.result != "skipped":
        keep_timeline(lab, record, bound)


def name_cause(lab: Lab, record: Record) -> None:
    try:
        likely, hint = cause.told_by(lab, record.seen)
    except Exception as fault:  # the check's own cause stands
        record.notes.append(f"the cause cannot be told: {harness_fault(fault)}")
    else:
        record.likely, record.hint = likely or record.likely, hint or record.hint
    record.likely = "; or ".join(filter(None, [still_to_do(lab, record.seen), record.likely]))


def still_to_do(lab: Lab, seen: str) -> str:
    """What a starter says of a step when it comes there, in its log or in an answer."""
    told = [seen, *(line for cluster in lab.clusters for line in cluster.output())]
    said = (STILL_TO_DO.search(line) for line in told)
    return next((f"{found.group()}, as the program says itself" for found in said if found), "")


def keep_timeline(lab: Lab, record: Record, bound: Bound | None) -> None:
    """A picture that cannot be drawn must not spoil a verdict."""
    try:
        kept = picture(lab.log, record.seen, bound).as_json()
    except Exception as fault:
        kept = {"fault": harness_fault(fault)}
    lab.run.put_timeline(record.id, kept)


def call_within_limits(lab: Lab, call: Callable[[], object]) -> None:
    """Call the check. Whatever comes of it, that a program went beyond all limits is what counts; a failure on a full disk is none."""
    try:
        call()
    except Exception:
        lab.refuse_excess()
        lab.doubt_harness()
        raise
    lab.refuse_excess()


def harness_fault(fault: BaseException) -> str:
    where = traceback.extract_tb(fault.__traceback__)
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(where[-4:]))
    return f"{HARNESS_FAULT}: {type(fault).__name__}: {fault} ({places})"
