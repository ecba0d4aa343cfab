"""Where the kit is."""
from __future__ import annotations

from pathlib import Path

HARNESS = Path(__file__).resolve().parent.parent
ROOT = HARNESS.parent
