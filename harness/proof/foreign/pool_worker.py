"""A worker of exercise 5 in plain Python: computes the tasks that the master sends, one by one."""
from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import socket
import threading
from typing import Callable

from base import ROLE, Settings, ignore_ctrl_c


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def is_prime(n: int) -> bool:
    if n < 4 or n % 2 == 0 or n % 3 == 0:
        return n in (2, 3)
    divisor = 5
    while divisor * divisor <= n:
        if n % divisor == 0 or n % (divisor + 2) == 0:
            return False
        divisor += 6
    return True


def hash_chain(n: int) -> str:
    text = "start"
    for _ in range(n):
        text = hashlib.sha256(text.encode()).hexdigest()
    return text


COMPUTED: dict[str, Callable[[int], object]] = {"fibonacci": fibonacci, "prime": is_prime,
                                                "hash": hash_chain}


def work(settings: Settings) -> int:
    """Computes in the main thread; another one reads, so that the end of the master is noticed at
    once."""
    channel = socket.socket(fileno=int(ROLE.split()[1]))
    tasks: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: tasks.put(None))
    ignore_ctrl_c()

    def read() -> None:
        for line in channel.makefile():
            tasks.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    settings.note("ready")
    channel.sendall(b"ready\n")
    while (line := tasks.get()) is not None:
        _, name, kind, n = line.split()
        result = COMPUTED[kind](int(n))
        channel.sendall(f"result {name} {json.dumps(result)}\n".encode())
    return 0
