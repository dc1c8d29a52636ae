"""Synthetic events in files, made once and kept outside of the project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("AUDITOR_SHARED", Path(__file__).parent.parent.parent / "shared"))
"""Where the generator of events is, which is not part of the project."""

CACHE = Path(os.environ.get("AUDITOR_BENCH_CACHE", Path(tempfile.gettempdir(), "auditor-bench")))
"""Where events stay from one run to the next: 3.5 GB for a million of them."""

PAGE = 1_000
"""Events of a page."""

MISSING = f"Skipped: there is no generator of events in {SHARED} (set AUDITOR_SHARED)."


class Corpus:
    """The first events of the one sequence that there is; 1.7 KB each, the newest first."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.folder = CACHE / str(events)
        if not (self.folder / "manifest.json").exists():  # it is written last
            generator = SHARED / "bench" / "gen_events.py"
            options = [
                "--events",
                str(events),
                "--seed",
                "1",
                "--pages",
                str(PAGE),
                "--out",
                str(self.folder),
            ]
            subprocess.run([sys.executable, str(generator), *options], check=True, capture_output=True)

    @property
    def lines(self) -> Path:
        """The events as NDJSON."""
        return self.folder / "events.ndjson"

    @property
    def pages(self) -> list[Path]:
        """The events as pages of PingOne, each in a file."""
        return sorted((self.folder / "pages").glob("*.json"))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is true of the events."""
        read: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        return read


def is_available() -> bool:
    """Tell whether events can be made."""
    return (SHARED / "bench" / "gen_events.py").is_file()
