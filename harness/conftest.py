"""pytest looks here first; everything is in the rooms beside this file. Where that cannot even be loaded nothing is graded, and nobody has failed."""
import os
import sys
from importlib.util import find_spec

NEEDED = {"h11": "python3-h11", "rich": "python3-rich"}


def lacking() -> str:
    packages = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if packages:
        return f"{sys.executable} has no {' and no '.join(packages)}. As root: apt-get install {' '.join(packages)}"
    return "" if os.path.exists("/proc/self/stat") else "/proc is not mounted"


if reason := lacking():
    print(f"nothing can be graded on this machine: {reason}", file=sys.stderr)
    sys.exit(3)

pytest_plugins = ["harness.grading.plugin", "harness.learner.progress_plugin"]
