"""The program of a cheat: a right program of exercise 1 that tries to do harm before it starts.

Usage: python3 submission.py ATTEMPT KIT HOME PORT
The right program lies beside this file. If the attempt has gained something, that is the program's
last line, and it ends with exit code 99.
"""
from __future__ import annotations

import os
import sys

# All of these lie beside this file when it runs.
import base  # type: ignore
import ex1  # type: ignore

from harness.proof.cheats import harming, posing, spying
from harness.proof.cheats.place import Place


def try_it(name: str, place: Place) -> None:
    try:
        attempt = next(getattr(one, name) for one in (spying, harming, posing)
                       if hasattr(one, name))
        gained = attempt(place)
    except Exception as why:
        base.log(f"{name}: {type(why).__name__}")
        return
    if gained:
        print(f"gained {gained!r}", flush=True)
        os._exit(99)


if __name__ == "__main__":
    if not base.ROLE:
        name, kit, home, port = sys.argv[1:5]
        try_it(name, Place(kit, home, int(port)))
    sys.exit(ex1.main())
