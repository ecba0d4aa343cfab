"""The processors of this machine that this process may use."""
from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def share(groups: Path = CGROUPS) -> float:
    """How many processors' time there is: in a container it may be less than it sees."""
    return min(len(os.sched_getaffinity(0)), quota(groups))


def quota(groups: Path) -> float:
    """Of the control group, as a container sees its own. Linux documentation: cgroup-v2, "cpu.max";
    scheduler/sched-bwc, "cpu.cfs_quota_us"."""
    try:
        if (groups / "cpu.max").exists():
            most, period = (groups / "cpu.max").read_text().split()
        else:
            most, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text()
                            for name in ("quota", "period"))
        return int(most) / int(period) if int(most) > 0 else float("inf")
    except (OSError, ValueError):  # no limit, "max", or no such group
        return float("inf")
