"""The story of a check: its events as steps that a person can paste into a shell."""
from __future__ import annotations

import re
from dataclasses import dataclass

from harness.judging.events import Event, EventLog
from harness.judging.journal import entries
from harness.judging.process_history import ProcessHistory
from harness.telling.shell_lines import ShellLines, end_of, kept_alive

TOLD = ("note", "open", "request", "raw", "signal", "death")
LIMIT, LAST = 40, 10
"""Lines, and how many of them are the last ones."""
NAMES = re.compile(r"t\d+=|.* & master\d*=\$!")
"""Lines that give something a name: a task, or a master. Later lines need them."""
PAUSE = 0.2
"""Seconds between two steps from which on a `sleep` is worth a line."""
SHORT = 0.02
"""The same within a loop."""
MOST_TURNS = 200
"""Of a loop to paste: a thousand processes at once are too many for a shell."""
STEP_TOLD = "   # "
"""Between a step and its outcome."""


@dataclass
class Step:
    line: str
    outcomes: list[str]
    began: float
    last: float
    ended: float = float("inf")
    """When it was over the last time."""
    overlaps: bool = False
    """Whether it was begun again before it was over."""

    def again(self, event: Event, outcome: str) -> None:
        self.overlaps = self.overlaps or event.t < self.ended
        self.outcomes.append(outcome)
        self.last, self.ended = event.t, end_of(event)

    def as_line(self) -> str:
        """The line, as often as it was done, with the outcomes of the first and the last time."""
        count = len(self.outcomes)
        told = " … ".join([self.outcomes[0], self.outcomes[-1]] if count > 1 else self.outcomes)
        if count == 1:
            return f"{self.line}{STEP_TOLD}{told}"
        if self.line.startswith("#"):
            return f"{self.line}{STEP_TOLD}{told} ({count} times)"
        between = (self.last - self.began) / (count - 1)
        sleep = f" sleep {between:.2f};" if between >= SHORT else ""
        line = self.line if self.overlaps else self.line.removesuffix(" &")
        end = ("" if line.endswith("&") else ";") + sleep
        told += f" ({count} times)" if count > MOST_TURNS else ""
        turns = min(count, MOST_TURNS)
        return f"for i in $(seq {turns}); do {line}{end} done{STEP_TOLD}{told}"

    @property
    def asks(self) -> bool:
        """Whether it sends a request."""
        return self.line.endswith(("&", ")")) and not self.line.startswith("kill")


def lines(log: EventLog) -> list[str]:
    """Curl and kill lines with their outcomes, up to the verdict; equal neighbours are joined."""
    everything = log.all()
    verdict = max((event.t for event in everything if event.kind == "judged"), default=float("inf"))
    events = [event for event in everything if event.kind in TOLD and event.t <= verdict]
    if not events:
        return []
    start = events[0].t
    endings = told_endings(log, everything)
    shell = ShellLines.of(everything, verdict)
    kept = kept_alive(events, shell.tasks)
    steps: list[Step] = []
    for event in events:
        line, outcome = shell.tell(event)
        connection = kept.get((event.cluster, event.conn))
        if connection is not None and event.kind == "request":
            line = connection.line(event)
        if event.kind == "death":
            line = endings.get((event.cluster, event.pid), line)
        if not line:
            continue
        outcome = f"{event.t - start:6.2f} s" + (f"  {outcome}" if outcome else "")
        if steps and at_once(steps[-1], line, event.t):
            steps[-1].line = f"{steps[-1].line[:-1]} -e {line.rpartition(' -e ')[2]}"
            steps[-1].outcomes[-1] += f"; {event.data['to']}, {event.pid}"
        elif steps and steps[-1].line == line:
            steps[-1].again(event, outcome)
        else:
            steps.append(Step(line, [outcome], event.t, event.t, end_of(event)))
    steps += last_steps(events, shell, start)
    return shortened([printable(line) for line in paced(steps)])


def paced(steps: list[Step]) -> list[str]:
    """The steps as lines, with the pauses between them that are worth a line."""
    told: list[str] = []
    before: Step | None = None
    for step in steps:
        pause = step.began - before.last if before is not None else 0.0
        if before is not None and step.line.startswith("kill") and before.asks:
            pause = max(pause, PAUSE)  # the shell needs longer to send its request than the harness
        if pause >= PAUSE and not step.line.startswith(("#", "wait")):
            told.append(f"sleep {pause:.1f}")
        told.append(step.as_line())
        before = before if step.line.startswith("#") else step
    return told


def shortened(told: list[str]) -> list[str]:
    """Of many lines the first, the last, and between them those that give something a name."""
    if len(told) <= LIMIT:
        return told
    middle = told[LIMIT - LAST:-LAST]
    kept = [line for line in middle if NAMES.match(line)]
    left_out = f"# … {len(middle) - len(kept)} more steps …"
    return [*told[:LIMIT - LAST], *kept, left_out, *told[-LAST:]]


def printable(line: str) -> str:
    """Text of a program must not become a line of its own when it is pasted."""
    return "".join(character if character.isprintable() else "?" for character in line)


def last_steps(events: list[Event], shell: ShellLines, start: float) -> list[Step]:
    """End what still ran at the verdict. Else the lines pasted next would find its port taken."""
    if (end := shell.verdict) == float("inf"):
        return []
    gone = {(event.cluster, event.pid) for event in events if event.kind == "death"}
    told = f"{end - start:6.2f} s  the verdict; it was still there"
    return [Step(f"kill -KILL ${shell.master(cluster)}", [told], end, end)
            for cluster, pid in shell.masters.items() if (cluster, pid) not in gone]


def at_once(before: Step, line: str, t: float) -> bool:
    """Whether a worker gets the same signal as another one just before it.

    Both are then killed by one command. With two commands, the second could count the successor
    of the first worker.
    """
    same, chosen, _ = line.partition(" -e ")
    return bool(chosen) and before.line.startswith(same + chosen) and t - before.last < SHORT


def told_endings(log: EventLog, events: list[Event]) -> dict[tuple[int, int | None], str]:
    """(cluster, pid) → what the master's journal says of that process and its end."""
    found: dict[tuple[int, int | None], str] = {}
    start, end = events[0].t, events[-1].t
    for cluster, journal in log.journals.items():
        mine = [event for event in events if event.cluster == cluster]
        known = ProcessHistory(cluster, mine, entries(journal, start, end), end)
        for pid, fate in known.fates.items():
            if pid != known.master:
                slot = known.slots.get(pid)
                whom = f"worker {slot} (pid {pid})" if slot else f"pid {pid}"
                how = fate if fate.startswith("exit code") else f"killed by {fate}"
                found[cluster, pid] = f"# {whom} ended: {how}"
    return found
