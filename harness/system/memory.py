"""What processes take of the machine's memory, and the files that they hold open."""
from __future__ import annotations

import os
import re
from contextlib import suppress

from harness.system import processes

MEMORY = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
MEMORY_SHARE = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", re.MULTILINE)


def open_files(pid: int) -> list[os.stat_result]:
    """What its descriptors refer to. Empty if it is gone."""
    found = []
    with suppress(OSError):
        for name in os.listdir(f"{processes.folder(pid)}/fd"):
            with suppress(OSError):
                found.append(os.stat(f"{processes.folder(pid)}/fd/{name}"))
    return found


def memory(pid: int) -> int:
    """Bytes that the process takes from the machine, without files, with swapped ones; what it
    shares with others is counted in full. 0 if it is gone."""
    return summed(MEMORY, f"{processes.folder(pid)}/status")


def memory_share(pid: int) -> int:
    """The same, but of what it shares with others only its share is counted, if the kernel tells
    that. This takes much longer. 0 if it is gone."""
    return summed(MEMORY_SHARE, f"{processes.folder(pid)}/smaps_rollup") or memory(pid)


def summed(pattern: re.Pattern[bytes], file: str) -> int:
    try:
        return sum(map(int, pattern.findall(processes.read(file)))) * 1024
    except OSError:
        return 0
