"""The program's entry: the version needs nothing but this file."""

import sys

from auditor import __version__


def main() -> int:
    """Run the command line of this process and return its exit code."""
    words = sys.argv[1:]
    if words in (["--version"], ["version"]):
        sys.stdout.write(f"auditor {__version__}\n")
        return 0
    import gc

    from auditor.cli import run

    # Trees of a thousand policies are no garbage: they are looked through less often, and at the end not at all.
    gc.set_threshold(200_000, 10, 10)
    try:
        return run(words)
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
