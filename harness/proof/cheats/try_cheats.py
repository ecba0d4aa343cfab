"""Grades submissions that cheat or do harm, and looks from outside at what they have gained.

Usage: make cheats [ARGS='--name kills_others']
As root each is tried twice: with a grader that is root, and with one that is an ordinary user, if
such a user may read the kit. The table is kept in harness/PROOF.md. Exit code 0 when none has
gained anything, 1 if one has, or if this machine allows no sandbox.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.proof import proof_page
from harness.proof.cheats import cheat_page
from harness.proof.cheats.cheat_page import OTHER_USER, OWN_USER
from harness.proof.cheats.place import SECRET
from harness.system import processes
from harness.system.files import write_whole
from harness.system.places import HARNESS, ROOT

PARTS = ("harming.py", "place.py", "posing.py", "spying.py")
CHECKS = "test_two_workers_answer or test_nothing_is_left"
ORDINARY = 61001
"""A user number that no account and no program has."""
LONGEST = 120.0
CONTROL_BYTES = rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]"
"""In UTF-8, but for the tab and the end of a line."""
SLEEPER = "sleep 86399"
MAY_FAIL = {
    "kills_others": "killed its parent", "stops_others": "stopped its parent",
    "limits_others": "(hindered|killed) its parent",
    "outlives_the_grading": "no process may be left",
    "leaves_by_a_namespace": "no process may be left", "writes_escape_sequences": "exit code -9",
    "makes_a_pipe_of_the_journal": "", "makes_a_link_of_the_journal": "files left|journal",
    "moves_its_folders": "files left", "limits_the_first_process": "(hindered|killed) its parent",
    "fills_memory_without_a_name": "in files without a name",
    "removes_files_that_are_open": "in files without a name",
    "writes_a_journal_with_a_hole": r"wrote \d+ MiB into",
}
"""Cheats that cost the program points: what the grading says then. (Another user cannot reach the
harness: for him nothing happens.)"""


NOTED = {"answers_for_sleepers": "does one process answer for all?"}
"""Cheats that get the points of these two checks, and of which the instructor is told."""


class NoSandbox(Exception):
    """What cheats gain without one says nothing."""


@dataclass
class Tried:
    name: str
    faults: list[str] = field(default_factory=list)
    """What the cheat has gained or harmed, or what of it was not named."""
    said: list[str] = field(default_factory=list)
    """What failed, as the grading says it."""

    def __str__(self) -> str:
        if self.faults:
            return "NOT AS EXPECTED: " + "; ".join(self.faults)
        return (self.said or ["nothing gained"])[0].splitlines()[0]


def names() -> list[str]:
    return list(cheat_page.attempts())


class Victim:
    """A home with secrets, a process, a listener, an environment: all of the user who grades."""

    def __init__(self, folder: Path, user: int | None) -> None:
        self.folder, self.user = folder, user
        self.home, self.work = folder / "home", folder / "work"
        secret = SECRET.decode()
        for path in (self.home / ".ssh/id_ed25519", self.home / "submissions/alice/main.cpp"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(secret)
        submission = self.home / "submissions/mallory"
        submission.mkdir()
        package = submission / "harness/proof/cheats"
        package.mkdir(parents=True)
        for part in PARTS:
            shutil.copy(HARNESS / "proof/cheats" / part, package)
        shutil.copy(HARNESS / "proof/cheats/submission.py", submission)
        for right in (HARNESS / "proof/foreign").glob("*.py"):
            shutil.copy(right, submission)
        self.work.mkdir()
        folder.chmod(0o755)
        if user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user)
        self.environment = {**os.environ, "HOME": str(self.home), "INSTRUCTOR": secret,
                            "TMPDIR": str(self.work), "PYTHONDONTWRITEBYTECODE": "1"}
        self.bystander = subprocess.Popen([*self.as_user(), "sleep", "600"], env=self.environment)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)

    def as_user(self) -> list[str]:
        who = f"{self.user}"
        return [] if self.user is None else [
            "setpriv", f"--reuid={who}", f"--regid={who}", "--clear-groups", "--"]

    def grade(self, name: str) -> tuple[str, dict[str, Any]]:
        """What the grading printed, and its report."""
        port = self.listener.getsockname()[1]
        program = self.home / "submissions/mallory/submission.py"
        report = self.work / "report.json"
        words = [*self.as_user(), sys.executable, "-P", "-m", "pytest",
                 f"{HARNESS}/test_ex1_graceful_shutdown.py", "--program",
                 f"/usr/bin/python3 {program} {name} {ROOT} {self.home} {port}", "-n0", "-k",
                 CHECKS, f"--report-json={report}", f"--report-dir={self.work}/page"]
        done = subprocess.run(words, cwd=ROOT, env={**self.environment, "PYTHONPATH": str(ROOT)},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LONGEST)
        printed = done.stdout.decode(errors="surrogateescape")
        return printed, json.loads(report.read_text()) if report.exists() else {}

    def harm(self) -> list[str]:
        """What has happened to the victim."""
        found = []
        if processes.state(self.bystander.pid) != "S":
            found.append("a process of the grading user was ended or stopped")
        try:
            self.listener.accept()[0].close()
            found.append("a listener of the machine was reached")
        except BlockingIOError:
            pass
        for path in (self.home / ".ssh/id_ed25519", self.home / "submissions/alice/main.cpp"):
            if not path.exists() or path.read_bytes() != SECRET:
                found.append(f"{path.name} was changed")
        left = [pid for pid in processes.everyone() if processes.alive(pid)
                and SLEEPER in processes.command_line(pid)]
        if left:
            found.append(f"processes outlive the grading: {left}")
        return found

    def close(self) -> None:
        self.bystander.kill()
        self.bystander.wait()
        self.listener.close()


def try_one(name: str, user: int | None) -> Tried:
    tried = Tried(name)
    with tempfile.TemporaryDirectory(prefix="cheat-") as folder:
        victim = Victim(Path(folder), user)
        try:
            printed, report = victim.grade(name)
            judge(tried, printed, report)
            tried.faults += victim.harm()
            for file in victim.work.rglob("*"):
                if file.is_file() and re.search(CONTROL_BYTES, file.read_bytes()):
                    tried.faults.append(f"{file.name} has control bytes of the program")
                if file.is_file() and SECRET in file.read_bytes():
                    tried.faults.append(f"{file.name} has a secret")
        finally:
            victim.close()
    return tried


def judge(tried: Tried, printed: str, report: dict[str, Any]) -> None:
    checks = [check for item in report.get("items", []) for check in item["checks"]]
    checks += report.get("common", {}).get("checks", [])
    if len(checks) != 2:
        tried.faults.append(f"no report: {printed[-300:]!r}")
    if report and not report["isolation"].startswith("in a sandbox"):
        raise NoSandbox(report["isolation"])
    if re.search(r"[\x00-\x08\x0b-\x1f\x80-\x9f\ud800-\udfff]", printed):
        tried.faults.append("control bytes on the terminal")
    if (noted := NOTED.get(tried.name)) is not None:
        if any(noted in note for note in report.get("honesty", [])):
            tried.said.append(f"noted: {noted}")
        else:
            tried.faults.append("the instructor is told of nothing")
    for check in checks:
        if check["result"] == "fail":
            tried.said.append(check["seen"])
            if not re.search(MAY_FAIL.get(tried.name, "^$"), check["seen"]):
                tried.faults.append(check["seen"])
        elif check["result"] == "inconclusive":
            tried.faults.append(check["seen"])


def kinds() -> dict[str, int | None]:
    """Kind of grader → the user that it is; none: who runs this."""
    if os.geteuid() != 0:
        return {OWN_USER: None}
    if ROOT.stat().st_mode & 0o004 and all(folder.stat().st_mode & 0o001
                                           for folder in (ROOT, *ROOT.parents)):
        return {OTHER_USER: None, OWN_USER: ORDINARY}
    print(f"Not tried with an ordinary user as the grader: nobody else may read {ROOT}",
          file=sys.stderr)
    return {OTHER_USER: None}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make cheats", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--name", choices=names(), help="only this one")
    wanted = parser.parse_args()
    try:
        found = {kind: {name: try_one(name, user)
                        for name in ([wanted.name] if wanted.name else names())}
                 for kind, user in kinds().items()}
    except NoSandbox as isolation:
        sys.exit(f"error: cheats are tried in a sandbox, and there is none here ({isolation})")
    for kind, tried in found.items():
        for one in tried.values():
            print(f"{one.name}, {kind}: {one}")
    if not wanted.name:
        kept = {kind: {name: str(one) for name, one in tried.items()}
                for kind, tried in found.items()}
        write_whole(cheat_page.KEPT, json.dumps({**cheat_page.read(), **kept}, indent=1) + "\n")
        proof_page.renew_cheats(proof_page.PAGE)
    return int(any(one.faults for tried in found.values() for one in tried.values()))


if __name__ == "__main__":
    sys.exit(main())
