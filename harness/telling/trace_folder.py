"""What --trace keeps of a check: what each cluster wrote, its journal, and the list of events.

    build/trace/ex1/test_two_workers_answer/stdout-1.log  stderr-1.log  journal-1.jsonl  events.json

The number is the cluster's within the check. The folder that an earlier run of the same check has
left is removed first.
"""
from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.judging.events import EventLog, Line
from harness.telling.visible import all_visible, visible


class Trace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)

    def keep_cluster(self, number: int, lines: list[Line], journal: str) -> list[str]:
        """`journal`: what its file contains, as it is."""
        texts = {f"{name}-{number}.log":
                 "".join(f"{line.text}\n" for line in lines if line.error == error)
                 for name, error in (("stdout", False), ("stderr", True))}
        if journal:
            texts[f"journal-{number}.jsonl"] = journal
        return self._keep(texts)

    def keep_events(self, log: EventLog) -> list[str]:
        """One event a line within one list: for grep and for programs."""
        events = ",\n".join(json.dumps(all_visible(event), ensure_ascii=False)
                             for event in log.as_json())
        return self._keep({"events.json": f"[\n{events}\n]\n"})

    def _keep(self, texts: dict[str, str]) -> list[str]:
        """Write these files. Returns a note if that is not possible: no verdict depends on it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                (self.folder / name).write_text(visible(text), encoding="utf-8")
        except OSError as why:
            return [f"the trace could not be kept: {why}"]
        return []


def folder_for(root: Path, exercise: int, check: str) -> Path:
    return root / "build/trace" / f"ex{exercise}" / check.rpartition("::")[2]
