"""How long `auditor --version` takes, beside `python -c pass` in the same environment (goal: at most 1.15x)."""

from __future__ import annotations

import sys

from benchmarks.measure import processes, table


def run(*, full: bool) -> None:
    """Print the table."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "auditor --version": [sys.executable, "-m", "auditor", "--version"],
        "auditor --help": [sys.executable, "-m", "auditor", "--help"],
    }
    print(table(processes(commands, rounds=31 if full else 11), "python -c pass"))
