"""Programs of which the tests of the proof speak."""
from __future__ import annotations

from harness.proof import build_programs
from harness.proof.grade_program import Subject
from harness.proof.wrong_program import Wrong

EXERCISE = build_programs.Exercise(1, "ex1_graceful_shutdown", ())
SOLUTION = Subject(EXERCISE, "solution", "the solution", "build/bin/ex1-solution")
STARTER = Subject(EXERCISE, "starter", "the starter", "build/bin/ex1")
WRONG = Subject(EXERCISE, "wrong", "no-deadline", "x",
                Wrong("no-deadline", "", 4, (), "timer", {5: "it follows"}))
