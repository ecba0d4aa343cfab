"""Grades on a cluster: a Slurm job array, with one task for each submission.

The kit and OUT must lie at the same paths on all nodes, in folders that they share.
"""
from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

from harness.classroom import plan, results
from harness.classroom.machine_rest import CORES_EACH
from harness.system.files import write_whole
from harness.system.places import ROOT

MOST_TASKS = 1000
"""Of one array: Slurm's MaxArraySize is 1001 unless somebody has changed it."""
LIMITS = (f"--cpus-per-task={CORES_EACH}", "--mem=3G", "--time=20", "--hint=nomultithread")
"""2 GiB for the program and its share for the grader; minutes, far above a grading's ten seconds.
"""
LOOK_SECONDS = 1.0
SCRIPT = """#!/bin/sh
# A task that says 3 (inconclusive) is queued once more, perhaps on another node; twice at most.
cd {root} || exit 1
number=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {numbers})
.ci/python -m harness.classroom.grade_submission {how} {out} "$number"
code=$?
if [ $code = 3 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt 2 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit $code
"""


class NoSlurm(Exception):
    """There is no cluster to be used; the text says why."""


class SlurmEngine:
    def __init__(self, out: Path, *how: str) -> None:
        """`how`: options of each grading, see grade_submission."""
        self.out, self.how = out.absolute(), how
        self.books = self.out / plan.BOOKS
        if shutil.which("sbatch") is None:
            raise NoSlurm("there is no sbatch (Debian's package slurm-client)")
        self.at_once = max(1, usable_cores() // CORES_EACH)
        self._end_former()

    def grade(self, numbers: list[int], begun: Callable[[int], None],
              done: Callable[[int, str], None]) -> None:
        for at in range(0, len(numbers), MOST_TASKS):
            self._array(numbers[at:at + MOST_TASKS], begun, done)

    def _array(self, numbers: list[int], begun: Callable[[int], None],
               done: Callable[[int, str], None]) -> None:
        before = self._written(numbers)
        job = self._submit(numbers)
        left = list(numbers)
        for number in numbers:
            begun(number)
        try:
            while left:
                waiting = in_queue(job)  # asked before the results are looked at
                now = self._written(left)
                for number in [one for one in left if now[one] != before[one]]:
                    left.remove(number)
                    done(number, "")
                if not waiting:
                    break
                time.sleep(LOOK_SECONDS)
            for number in left:
                done(number, f"Slurm's job {job} has ended; what it said: {plan.BOOKS}/slurm-N.log")
            while in_queue(job):  # what is inconclusive may run again
                time.sleep(LOOK_SECONDS)
        except BaseException:
            cancel(job)
            raise
        (self.books / "slurm.job").unlink()

    def _submit(self, numbers: list[int]) -> str:
        listed, script = self.books / "slurm.numbers", self.books / "slurm.sh"
        write_whole(listed, "".join(f"{number}\n" for number in numbers))
        write_whole(script, SCRIPT.format(
            root=shlex.quote(str(ROOT)), numbers=shlex.quote(str(listed)),
            how=shlex.join(self.how), out=shlex.quote(str(self.out))))
        job = slurm("sbatch", "--parsable", "--requeue", "--job-name=class", *LIMITS,
                    f"--array=0-{len(numbers) - 1}", f"--output={self.books}/slurm-%a.log",
                    str(script)).partition(";")[0].strip()
        write_whole(self.books / "slurm.job", job)
        return job

    def _written(self, numbers: list[int]) -> dict[int, str]:
        """The results as they are now, by number."""
        found = {}
        folders = self._folders()
        for number in numbers:
            file = self.out / folders[number] / results.FILE
            try:
                found[number] = file.read_text(encoding="utf-8")
            except OSError:
                found[number] = ""
        return found

    def _folders(self) -> list[str]:
        listed = json.loads((self.books / plan.FILE).read_text(encoding="utf-8"))
        return [str(one["folder"]) for one in listed]

    def _end_former(self) -> None:
        """Tasks of a command that was killed would grade the same once more."""
        note = self.books / "slurm.job"
        if note.exists():
            job = note.read_text(encoding="utf-8")
            cancel(job)
            note.unlink()


def slurm(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoSlurm(f"{words[0]}: {' '.join(done.stderr.split())}")
    return done.stdout


def usable_cores() -> int:
    """Cores of all nodes that can be used now."""
    lines = slurm("sinfo", "--noheader", "--Node", "--format=%N %C").splitlines()
    by_node = dict(line.split() for line in lines)  # a node may be in several partitions
    return sum(int(cores.split("/")[0]) + int(cores.split("/")[1]) for cores in by_node.values())


def in_queue(job: str) -> bool:
    found = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%T"],
                           capture_output=True, text=True)
    if found.returncode != 0 and "Invalid job id" not in found.stderr:
        print(f"squeue: {' '.join(found.stderr.split())}", file=sys.stderr)
        return True  # the controller may be away for a moment
    return bool(found.stdout.strip())


def cancel(job: str) -> None:
    """Returns when no task of it runs any more."""
    subprocess.run(["scancel", job], capture_output=True)
    while in_queue(job):
        time.sleep(LOOK_SECONDS)
