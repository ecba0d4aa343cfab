"""Runs one check: it looks at the checks that this one builds on, judges how the check ends, and
keeps what happened."""
from __future__ import annotations

import time
import traceback
from typing import Callable

from harness.cluster.fixture import Fixture
from harness.cluster.run import Run
from harness.judging.checklist import declaration_of, sentence
from harness.judging.verdict import (
    HARNESS_FAULT, Bound, BoundBroken, CheckFailed, Inconclusive, Record,
)
from harness.picture.timeline import picture
from harness.plugin.open_steps import still_to_do
from harness.system.files import text_of
from harness.telling import cause
from harness.telling.last_lines import last_lines
from harness.telling.story import lines
from harness.telling.trace_folder import Trace
from harness.telling.visible import all_visible


def blocked(run: Run, needed: dict[str, str]) -> tuple[str, str] | None:
    """The first of the needed checks (id → title) that failed or was skipped: its title and its
    result."""
    for id_, title in needed.items():
        result = run.result(id_)
        if result is None:
            raise Inconclusive(f"the check \"{title}\", which this one builds on, has left no "
                               "result: the disk is full")
        if result in ("fail", "skipped"):
            return title, result
    return None


def run_check(record: Record, function: Callable[..., None], fixture: Fixture,
              needed: dict[str, str], call: Callable[[], object], trace: Trace | None,
              todo: list[int] | None) -> None:
    """Fill in the record. No exception of a check leaves this function, except for an interrupt by
    the user. `todo`: the starter's steps that have their TODO, if they are known."""
    bound = judge(record, function, fixture, needed, call)
    fixture.log.add("judged")
    fixture.run.put_result(record.id, record.result)
    try:
        if bound is not None:
            record.late, record.behind = True, fixture.behind()
        if record.result == "fail":
            explain(fixture, record, todo)
    except Exception as fault:
        record.notes.append(f"the failure cannot be explained: {harness_fault(fault)}")
    try:
        record.notes += fixture.end()
        record.behind = record.behind or fixture.behind()
        record.excused, record.start_used = fixture.excused(), fixture.start_used()
        record.honesty = [note for cluster in fixture.clusters for note in cluster.honesty]
        if trace is not None:
            record.notes += keep(trace, fixture)
        fixture.remove_folders()
    except Exception as fault:
        record.notes.append(f"clearing up: {harness_fault(fault)}")
    if record.result in ("fail", "inconclusive"):
        try:
            record.done = lines(fixture.log)
        except Exception as fault:  # a story that cannot be told must not spoil a verdict
            record.notes.append(f"what was done cannot be told: {harness_fault(fault)}")
    record.seconds = record.seconds if record.result != "skipped" else 0.0
    vars(record).update(all_visible(vars(record)))
    if fixture.run.keeps_timelines and record.result != "skipped":
        keep_timeline(fixture, record, bound)


def judge(record: Record, function: Callable[..., None], fixture: Fixture,
          needed: dict[str, str], call: Callable[[], object]) -> Bound | None:
    """Run the check and note the verdict in the record; returns the bound that was broken, if the
    check failed for one."""
    declared = declaration_of(function)
    record.title, record.expected = sentence(function), declared.expected or sentence(function)
    began = time.monotonic()
    bound: Bound | None = None
    try:
        stop = blocked(fixture.run, needed)
        if stop is not None:
            record.result, record.seen = "skipped", f"builds on: {stop[0]}"
        else:
            call_within_limits(fixture, call)
            record.result = "pass"
    except CheckFailed as failure:
        record.result, record.seen = "fail", failure.seen
        record.expected = failure.expected or record.expected
        bound = failure.bound if isinstance(failure, BoundBroken) else None
        record.likely = failure.likely or declared.likely
        record.hint = failure.hint or declared.hint
    except Inconclusive as why:
        record.result, record.seen = "inconclusive", str(why)
    except Exception as fault:  # whatever it is, it is not the program's fault
        record.result, record.seen = "inconclusive", harness_fault(fault)
    record.seconds = round(time.monotonic() - began, 3)
    return bound


def explain(fixture: Fixture, record: Record, todo: list[int] | None) -> None:
    """Note the likely cause of a failure and the last lines of the program's output."""
    evidence = fixture.evidence(cause.DYING_SECONDS if cause.connection_lost(record.seen) else 0.0)
    record.wrote = last_lines([cluster.lines for cluster in evidence], record.seen)
    try:
        likely, hint = cause.told_by(evidence, fixture.log, fixture.exercise.endpoints,
                                     record.seen)
    except Exception as fault:  # the check's own cause stands
        record.notes.append(f"the cause cannot be told: {harness_fault(fault)}")
    else:
        record.likely, record.hint = likely or record.likely, hint or record.hint
    told = [record.seen, *(line.text for cluster in evidence for line in cluster.lines
                           if not line.error)]
    record.likely = "; or ".join(filter(None, [
        still_to_do(told, todo), cause.threw(fixture.log, record.seen), record.likely]))


def keep(trace: Trace, fixture: Fixture) -> list[str]:
    """Keep the trace; returns notes about what could not be kept."""
    notes = [note for cluster in fixture.clusters
             for note in trace.keep_cluster(cluster.number, cluster.whole_lines(),
                                            text_of(cluster.journal))]
    return notes + trace.keep_events(fixture.log)


def keep_timeline(fixture: Fixture, record: Record, bound: Bound | None) -> None:
    """Keep the check's picture. One that cannot be drawn must not spoil a verdict."""
    try:
        kept = all_visible(picture(fixture.log, record.seen, bound).as_json())
    except Exception as fault:
        kept = {"fault": harness_fault(fault)}
    fixture.run.put_timeline(record.id, kept)


def call_within_limits(fixture: Fixture, call: Callable[[], object]) -> None:
    """Call the check. If a program went beyond a limit, the check fails for that, however it ends
    otherwise. A failure on a full disk is none."""
    try:
        call()
    except Exception:
        fixture.refuse_excess()
        fixture.doubt_harness()
        raise
    fixture.refuse_excess()


def harness_fault(fault: BaseException) -> str:
    where = traceback.extract_tb(fault.__traceback__)
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
                        for frame in reversed(where[-4:]))
    return f"{HARNESS_FAULT}: {type(fault).__name__}: {fault} ({places})"
