"""Starts a program, says what can be tried with it, and shows what it does, live, in the browser.

Usage: python3 -m harness.learner.play.command N [--solution]
(make ex1-play, settings as for make ex1-run; the page can also send signals and requests.
PLAY_PORT=9000: the page's port, as for `ssh -L 9000:localhost:9000`; without it any that is free)
Ctrl+C ends the program as a terminal's Ctrl+C would, a second one kills it. Exit code 0; 1 if the
program did not become ready, 2 if the page cannot have its port.
"""
from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import threading
import time
from signal import SIGINT, SIGKILL, default_int_handler, getsignal, signal

from harness.cluster.cluster import Cluster
from harness.cluster.fixture import Fixture
from harness.cluster.program import NoProgram, Program
from harness.cluster.run import LeadingRun
from harness.judging.events import Line
from harness.judging.exercise import Exercise
from harness.judging.verdict import CheckFailed, Inconclusive
from harness.learner.play.page_server import PlayServer
from harness.learner.play.session import Refused, Session
from harness.picture.report_page import DRAWS_TIMELINES, NoLibrary, filled
from harness.system.places import ROOT

COMMON_VARIABLES = ("HOST", "PORT", "WORKERS", "SHUTDOWN_TIMEOUT_MS")
BY_HAND = re.compile(r"^## Try it by hand\n.*?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
MOST_PORT = 65_535
LOOKS_EVERY = 0.2
"""Seconds between two looks whether the program has ended."""
ENDED = ("The program has ended (exit code {}). "
         "The page has a button to start it again; Ctrl+C ends the page.")


def options() -> argparse.Namespace:
    description = __doc__.splitlines()[0] if __doc__ else None
    parser = argparse.ArgumentParser(prog="make exN-play", description=description)
    parser.add_argument("number", type=int, choices=range(1, 6), help="of the exercise")
    parser.add_argument("--solution", action="store_true",
                        help="the solution instead of the starter")
    return parser.parse_args()


def page_port() -> int:
    """0: any that is free."""
    said = os.environ.get("PLAY_PORT") or "0"
    if not said.isascii() or not said.isdecimal() or int(said) > MOST_PORT:
        raise Refused(f"PLAY_PORT={said!r} is not allowed: it must be a whole number from 0 (any "
                      f"free port) to {MOST_PORT}")
    return int(said)


def exercise_of(number: int) -> Exercise:
    module = next((ROOT / "harness").glob(f"test_ex{number}_*.py")).stem
    found: Exercise = importlib.import_module(f"harness.{module}").EXERCISE
    return found


def settings_of(exercise: Exercise) -> dict[str, str]:
    """The settings in the environment, as for the program itself. (The JOURNAL is our own.)"""
    names = (*COMMON_VARIABLES, *exercise.variables, *exercise.real)
    return {name: os.environ[name] for name in names if name in os.environ}


def advice(exercise: Exercise, url: str, address: str) -> str:
    readme = (ROOT / exercise.folder / "README.md").read_text(encoding="utf-8")
    found = BY_HAND.search(readme)
    script = found.group(1).replace("http://127.0.0.1:8000", url) if found else ""
    lines = script.rstrip().splitlines()
    return "\n".join(["", "In another terminal:", "", *(f"  {line}" for line in lines), "",
                      f"In the browser, with buttons: {address}", "Ctrl+C ends it.", ""])


def echo(line: Line) -> None:
    """Print a line where the program would print it if it had been started here."""
    print(line.text, file=sys.stderr if line.error else sys.stdout, flush=True)


class CtrlC:
    """Ctrl+C raises KeyboardInterrupt, and is remembered: the interpreter loses an exception that
    comes while it runs a destructor or a callback."""

    def __init__(self) -> None:
        self.pressed = False
        if getsignal(SIGINT) is default_int_handler:  # a shell's background ignores it
            signal(SIGINT, self)

    def __call__(self, number: int, frame: object) -> None:
        self.pressed = True
        raise KeyboardInterrupt


def play(session: Session, server: PlayServer, ctrl_c: CtrlC) -> None:
    """Serve the page until Ctrl+C, then end the program and wait until it has ended."""
    threading.Thread(target=server.serve_forever, daemon=True, name="page").start()
    ended: Cluster | None = None
    try:
        while not ctrl_c.pressed:
            time.sleep(LOOKS_EVERY)
            if session.cluster is not ended and not session.running():
                ended = session.cluster
                print(f"\n{ENDED.format(session.exit_code())}\n", flush=True)
    except KeyboardInterrupt:
        pass
    session.load.end()
    try:
        if session.running():
            session.cluster.signal_group(SIGINT)
            while session.running():
                time.sleep(0.05)
    except KeyboardInterrupt:
        session.cluster.signal_group(SIGKILL)
    except CheckFailed:
        pass  # it had ended by itself


def serve(session: Session, page: str) -> PlayServer:
    port = page_port()
    try:
        return PlayServer(session, page, port)
    except OSError as why:
        raise Refused(f"PLAY_PORT={port}: {why.strerror}") from None


def main() -> int:
    wanted = options()
    ctrl_c = CtrlC()
    exercise = exercise_of(wanted.number)
    command = f"build/bin/ex{wanted.number}{'-solution' if wanted.solution else ''}"
    run = LeadingRun()
    run.start()
    session: Session | None = None
    try:
        page = filled("play.html", {"title": f"Exercise {exercise.number}: {exercise.name}"},
                      (*DRAWS_TIMELINES, "play.js"))
        program = Program.find(command, ROOT, f"Build it first: make ex{wanted.number}")
        fixture = Fixture(exercise, program, run, real_time=True)
        session = Session(fixture, settings_of(exercise), echo)
        with serve(session, page) as server:
            session.start()
            print(advice(exercise, session.cluster.url, server.address), flush=True)
            play(session, server, ctrl_c)
    except Refused as why:
        print(f"error: {why}", file=sys.stderr)
        return 2
    except (CheckFailed, Inconclusive, NoProgram, NoLibrary) as why:
        print(f"error: {why.seen if isinstance(why, CheckFailed) else why}", file=sys.stderr)
        if not wanted.solution:
            print(f"The solution can be played with, too: make ex{wanted.number}-play SOLUTION=1",
                  file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before it was ready
    finally:
        if session is not None:
            session.end()
            if session.fixture.clusters and session.cluster.excess:
                print(f"it was ended here: {session.cluster.excess}", file=sys.stderr)
        run.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
