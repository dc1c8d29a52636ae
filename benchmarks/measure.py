"""Timing side by side: rounds in turn, medians, and ratios pair by pair, since the machine is noisy."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def process(command: Sequence[str], **environ: str) -> Callable[[], None]:
    """Return a call that runs a command; modules keep their bytecode, as those of installed programs do."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True, env={**inherited, **environ})

    return run


def functions(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Call functions in turn and return the wall seconds of each, round by round, after one warm-up."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds: Mapping[str, Sequence[float]], yardstick: str) -> str:
    """Return a table of medians, and of ratios to the yardstick taken pair by pair."""
    lines = [f"{'':48} {'median':>10} {'x ' + yardstick:>24}   (least .. most)"]
    for name, values in seconds.items():
        ratios = [value / other for value, other in zip(values, seconds[yardstick], strict=True)]
        lines.append(
            f"{name:48} {statistics.median(values) * 1000:8.1f} ms {statistics.median(ratios):24.2f}"
            f"   ({min(ratios):.2f} .. {max(ratios):.2f})"
        )
    return "\n".join(lines)
