"""Timing side by side: rounds in turn, medians, and ratios pair by pair, since the machine is noisy."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a process took, with those that it started, and what it printed."""

    seconds: float
    cpu_s: float
    peak_mib: float
    output: bytes


def spent(
    command: Sequence[str], environ: Mapping[str, str] | None = None, *, expected: Sequence[int] = (0,)
) -> Spent:
    """
    Run a command to its end and return what it took.

    Memory is the largest resident set of one of its processes (`ru_maxrss`, in KiB on Linux). Modules keep
    their bytecode, as those of installed programs do.

    Raises:
        CalledProcessError: its exit code is not one that was expected; a note says what it printed.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=errors, env={**inherited, **(environ or {})})
        found = _waited(child, start)
        output.seek(0)
        if child.returncode not in expected:
            errors.seek(0)
            error = subprocess.CalledProcessError(child.returncode, command)
            error.add_note(errors.read().decode(errors="replace")[-2_000:])
            raise error
        return replace(found, output=output.read())


def _waited(child: subprocess.Popen[bytes], start: float) -> Spent:
    """Return what a process took that began at an instant of `perf_counter`, when it has ended."""
    _, waited, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(waited)
    return Spent(
        seconds=time.perf_counter() - start,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
        output=b"",
    )


def in_turn(commands: Mapping[str, Sequence[str]]) -> dict[str, Spent]:
    """
    Run commands at the same time, of which only one works at any moment, and return what each printed last.

    Every turn goes the other way round: who is second finds what both read in the processor's cache.

    Each prints a point before every piece of its work, and waits for a line. Seconds are those of the whole processes.

    Raises:
        CalledProcessError: one does not end well.
    """
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for name, command in commands.items()
        }
        start, found = time.perf_counter(), dict[str, Spent]()
        printed = {name: _printed(child) for name, child in children.items()}
        turns = cycle((1, -1))
        while printed:
            for name, line in list(printed.items())[:: next(turns)]:
                child = children[name]
                assert child.stdin  # noqa: S101  # a pipe
                if line == b".\n":
                    child.stdin.write(b"\n")
                    child.stdin.flush()
                    printed[name] = _printed(child)
                    continue
                del printed[name]
                found[name] = replace(_waited(child, start), output=line)
                if child.returncode:
                    raise subprocess.CalledProcessError(child.returncode, commands[name])
        return found


def _printed(child: subprocess.Popen[bytes]) -> bytes:
    assert child.stdout  # noqa: S101  # a pipe
    return child.stdout.readline()


def process(command: Sequence[str], **environ: str) -> Callable[[], None]:
    """Return a call that runs a command, which has to end well."""

    def run() -> None:
        spent(command, environ)

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


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios within each round."""
    return statistics.median([value / other for value, other in zip(values, others, strict=True)])


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
