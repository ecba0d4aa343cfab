"""The surroundings of the commands that these tests run."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def environment(progress: Path, **more: str) -> dict[str, str]:
    """That of a person's shell, with nothing of the make or the pytest that runs these tests.

    `progress` is the file that a grading writes instead of the learner's own.
    """
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(("MAKE", "MFLAGS", "PYTEST")) and name != "ARGS"}
    return {**own, "CLUSTER_PROGRESS": str(progress), **more}
