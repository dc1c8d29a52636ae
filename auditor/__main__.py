"""The program's entry: the version needs nothing but this file."""

from __future__ import annotations

import sys

from auditor import __version__


def main() -> int:
    """Run the command line of this process and return its exit code."""
    if sys.argv[1:] in (["--version"], ["version"]):
        sys.stdout.write(f"auditor {__version__}\n")
        return 0
    from auditor.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
