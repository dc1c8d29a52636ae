"""A file of events judged by two processes, beside one, and beside what two gain where there is nothing to share.

The limit is a bare `orjson.loads` loop, whose halves know nothing of one another: it tells what the second core of the
machine is worth while the benchmark runs, which may be less than a core. Judging by two is from one call to its
return: with starting the processes, their preparation, and merging what they found. Goal: at least 1.8 times as quick
as one.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson

from auditor import app
from benchmarks import checks
from benchmarks.corpus import MISSING, Corpus, is_available
from benchmarks.engines import judge_given
from benchmarks.measure import functions, ratio, spent

CHECKS = 50


def run(*, full: bool) -> None:
    """Print what two processes gain."""
    if not is_available():
        print(MISSING)
        return
    corpus, rounds = (Corpus(1_000_000), 11) if full else (Corpus(100_000), 3)
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("fork").Pool(2) as pool:
        checks.project(checks.make(CHECKS, corpus), Path(folder))
        planned = app.plan(
            app.Job(folder=Path(folder), environ={}, records=[f"activities={corpus.lines}"])
        ).value
        if planned is None or planned.given is None:
            raise SystemExit("The checks can not be planned.")
        found: list[list[int]] = []
        seconds = functions(
            {
                "loop": lambda: _load(corpus.lines, 0, 1),
                "loops": lambda: pool.starmap(_load, [(corpus.lines, part, 2) for part in (0, 1)], 1),
                "one": lambda: found.append(judge_given(planned, 1)),
                "two": lambda: found.append(judge_given(planned, 2)),
            },
            rounds,
        )
        whole = functions(
            {name: _check(corpus.lines, folder, number) for name, number in (("one", "1"), ("two", "2"))},
            rounds // 3,
        )
    if any(counts != found[0] for counts in found):
        raise SystemExit("One process and two do not count the same.")
    limit, gain = ratio(seconds["loop"], seconds["loops"]), ratio(seconds["one"], seconds["two"])
    print(f"{corpus.events:,} events, {CHECKS} checks, {rounds} rounds in turn; seconds are medians")
    for title, name in (
        ("orjson.loads, one process", "loop"),
        ("orjson.loads, two halves side by side", "loops"),
        ("judging, one process", "one"),
        ("judging, two processes", "two"),
    ):
        print(f"{title:40} {statistics.median(seconds[name]):8.3f} s   (least {min(seconds[name]):.3f})")
    for name, values in whole.items():
        print(
            f"{f'all of auditor check, {name}':40} {statistics.median(values):8.3f} s   (least {min(values):.3f})"
        )
    print(
        f"two are {gain:.2f} times as quick as one (goal 1.8); bare loops side by side {limit:.2f} times: "
        f"{gain / limit:.0%} of that; all of `auditor check` {ratio(whole['one'], whole['two']):.2f} times"
    )


def _check(events: Path, folder: str, processes: str) -> Callable[[], None]:
    """Return what runs `auditor check` on the lines as a process."""
    command = [sys.executable, "-m", "auditor", "check", "--chdir", folder, "--processes", processes]

    def run() -> None:
        spent([*command, "--records", f"activities={events}"], expected=(0, 2))

    return run


def _load(path: Path, part: int, parts: int) -> None:
    """Decode a part of the lines and do nothing with them."""
    size, loads = path.stat().st_size, orjson.loads
    start, end = (size * number // parts for number in (part, part + 1))
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            start += len(file.readline()) - 1
        for line in file:
            if start >= end:
                break
            loads(line)
            start += len(line)


if __name__ == "__main__":
    run(full="--full" in sys.argv)
