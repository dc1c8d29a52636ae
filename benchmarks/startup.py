"""How long `auditor --version` takes, beside `python -c pass` in the same environment (goal: at most 1.15x)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import functions, process, table

LAUNCHER = """\
import sys
from auditor.__main__ import main
if __name__ == '__main__':
    if sys.argv[0].endswith('.exe'):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit(main())
"""
"""What pip 25 installs for an entry point. Pips before it import `re` there, which takes longer than all else."""


def run(*, full: bool) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        launcher = Path(name, "auditor")
        launcher.write_text(LAUNCHER, encoding="utf-8")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "auditor --version": [sys.executable, str(launcher), "--version"],
            "python -m auditor --version": [sys.executable, "-m", "auditor", "--version"],
            "auditor --help": [sys.executable, str(launcher), "--help"],
        }
        installed = Path(sys.executable).with_name("auditor")
        if installed.exists():
            commands["auditor --version, as installed here"] = [str(installed), "--version"]
        calls = {name: process(command) for name, command in commands.items()}
        print(table(functions(calls, rounds=41 if full else 15), "python -c pass"))
