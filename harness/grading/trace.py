"""What --trace keeps of a check, to be read at leisure: what each cluster wrote, its journal, and the list of events.

    build/trace/ex1/test_two_workers_answer/stdout-1.log  stderr-1.log  journal-1.jsonl  events.json

The number is the cluster's within the check. What an earlier run has left of the same check is removed first.
"""
from __future__ import annotations

import json
import shutil
from pathlib import Path

from .cluster import Cluster
from .events import EventLog


class Trace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def keep_cluster(self, cluster: Cluster) -> None:
        for name, error in (("stdout", False), ("stderr", True)):
            lines = "".join(f"{line}\n" for line in cluster.output(error=error))
            (self.folder / f"{name}-{cluster.number}.log").write_text(lines, encoding="utf-8")
        if cluster.journal.exists():
            shutil.copy(cluster.journal, self.folder / f"journal-{cluster.number}.jsonl")

    def keep_events(self, log: EventLog) -> None:
        """One event a line within one list: for grep and for programs."""
        events = ",\n".join(json.dumps(event, ensure_ascii=False) for event in log.as_json())
        (self.folder / "events.json").write_text(f"[\n{events}\n]\n", encoding="utf-8")


def folder_for(root: Path, exercise: int, check: str) -> Path:
    return root / "build/trace" / f"ex{exercise}" / check.rpartition("::")[2]
