"""Run benchmarks and print their tables."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if "\ndef run(" in path.read_text("utf-8")
)


def main() -> int:
    """Run the benchmarks that are named, or all."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    unknown = [word for word in words if word not in NAMES]
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(unknown)}; known: {', '.join(NAMES)}\n")
        return 1
    for name in words or NAMES:
        module = import_module(f"benchmarks.{name}")
        print(f"\n{(module.__doc__ or name).strip().splitlines()[0]}\n")
        module.run(full="--full" in sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
