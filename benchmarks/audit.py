"""A file of events against 1, 50 and 200 checks, beside decoding it alone and beside what one would use instead.

L is a bare `orjson.loads` loop over the same lines; a figure is wall time over L of the same round, and after it
the same of CPU time, which the machine's other work disturbs less. Goals for a million events: at most 0.4, 0.65
and 1.0 L. No figure counts unless all engines found the same number of events for every check.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import checks
from benchmarks.corpus import MISSING, Corpus, is_available
from benchmarks.engines import TURNS
from benchmarks.measure import Spent, in_turn, ratio, spent

NUMBERS = (1, 50, 200)
ROOT = Path(__file__).parent.parent
OURS = {"limit", "walk", "search", "judge", "judge_two", "judge_pages", "auditor", "pages", "command"}
"""Engines that run where this program is installed; all others are peers."""

PEERS = ROOT / ".venv-bench" / "bin" / "python"
"""Where other engines are installed (`make bench`), so that none of them touches this program's own packages."""

QUICK = {
    "judge": "auditor, judging alone",
    "judge_two": "the same by two processes",
    "duckdb": "DuckDB, typed SQL, two threads",
}
SLOW = {
    "auditor": "auditor, as a function",
    "command": "auditor check, as a process",
    "sigma": "pySigma and SQLite in memory",
    "jmespath": "jmespath on the whole list",
    "custodian": "Cloud Custodian's value filters",
    "jq": "jq, one program",
    "rego": "Rego (regorus), one policy",
}
"""Engines that are too slow for all events: they are given 5,000 in the full size, and a tenth in the small one."""


@dataclass(slots=True)
class Taken:
    """What one engine took, round by round, and what it found."""

    seconds: list[float]
    cpu_s: list[float]
    peak_mib: float
    counts: list[int]

    def add(self, process: Spent, told: Mapping[str, Any]) -> None:
        """Take in what one round took."""
        self.seconds.append(told["seconds"])
        self.cpu_s.append(told["cpu_s"])
        self.peak_mib = max(self.peak_mib, process.peak_mib)
        self.counts = told["counts"]


def run(*, full: bool) -> None:
    """Print the tables."""
    if not is_available():
        print(MISSING)
        return
    many, few = (Corpus(1_000_000), Corpus(5_000)) if full else (Corpus(20_000), Corpus(2_000))
    installed = PEERS.exists()
    if not installed:
        print("Other engines are not installed, and skipped (make bench installs them).")
    found = _compared(many, QUICK, installed=installed)
    _compared(few, SLOW, installed=installed)
    _one_more(found, many)
    _pages(many, "judge_pages", "judging alone (goal 0.35)")
    _pages(Corpus(20_000), "pages", "all of `auditor check`")
    _memory(many, Corpus(10_000 if full else 2_000))


def _compared(corpus: Corpus, named: Mapping[str, str], *, installed: bool) -> dict[int, dict[str, Taken]]:
    engines = {name: title for name, title in named.items() if installed or name in OURS}
    print(f"\n{corpus.events:,} events, {corpus.lines.stat().st_size / 1e6:,.0f} MB")
    print(
        f"{'x L, wall and CPU':34}",
        *(f"{f'{number} check' + 's' * (number > 1):>16}" for number in NUMBERS),
        f"{'peak MiB':>10}",
    )
    found = {number: _taken(corpus, number, ("limit", *engines), 5) for number in NUMBERS}
    limit_s = statistics.median(found[NUMBERS[0]]["limit"].seconds)
    for name, title in engines.items():
        cells = [_cell(found[number][name], found[number]["limit"], name) for number in NUMBERS]
        print(f"{title:34}", *cells, f"{found[NUMBERS[-1]][name].peak_mib:10,.0f}")
    print(f"L = {limit_s:.3f} s; every engine counts the same for every check")
    return found


def _cell(taken: Taken, limit: Taken, name: str = "") -> str:
    # What other processes compute is not known here.
    cpu = f"{ratio(taken.cpu_s, limit.cpu_s):8.2f}" if name != "judge_two" else f"{'?':>8}"
    return f"{ratio(taken.seconds, limit.seconds):8.2f}{cpu}"


def _taken(corpus: Corpus, number: int, engines: Sequence[str], rounds: int) -> dict[str, Taken]:
    """Run engines in turn, and return what each took; stop where two do not count the same."""
    given = checks.make(number, corpus)
    taken = {name: Taken([], [], 0, []) for name in engines}
    with tempfile.TemporaryDirectory() as folder:
        checks.dump(given, Path(folder, "checks.json"))
        checks.project(given, Path(folder))
        together = [name for name in engines if name in TURNS]
        for _ in range(rounds):
            commands = {name: [*_engine(name, corpus, Path(folder)), "--turns"] for name in together}
            for name, found in in_turn(commands).items():
                taken[name].add(found, json.loads(found.output))
            for name in engines:
                if name not in TURNS:
                    taken[name].add(*_run_once(name, corpus, Path(folder)))
    counts = {name: each.counts for name, each in taken.items() if each.counts}
    planted = corpus.manifest["application_deleted_by_non_admin_client"]
    for name, each in counts.items():
        if len(each) != number or each[0] != planted or each != next(iter(counts.values())):
            raise SystemExit(f"{name} counts otherwise: {each}, and not {next(iter(counts.values()))}")
    return taken


def _run_once(name: str, corpus: Corpus, folder: Path) -> tuple[Spent, Mapping[str, Any]]:
    """Run an engine; return what its process took, and what the engine said that it took and found."""
    if name == "command":
        report = folder / "report.json"
        command = ["-m", "auditor", "check", "--chdir", str(folder), "--report", f"json={report}"]
        # One process, of which all that it takes is known.
        command = [sys.executable, *command, "--records", f"activities={corpus.lines}", "--processes", "1"]
        found = spent(command, expected=(0, 2))
        counts = [each["exceptions"] for each in json.loads(report.read_bytes())["verdicts"]]
        return found, {"seconds": found.seconds, "cpu_s": found.cpu_s, "counts": counts}
    found = spent(_engine(name, corpus, folder))
    return found, json.loads(found.output.splitlines()[-1])


def _engine(name: str, corpus: Corpus, folder: Path) -> list[str]:
    """Return the command that runs an engine."""
    python = sys.executable if name in OURS else str(PEERS)
    return [python, "-m", "benchmarks.engines", name, str(corpus.folder), str(folder / "checks.json")]


def _one_more(found: Mapping[int, Mapping[str, Taken]], corpus: Corpus) -> None:
    """Print what a check more costs an event, beside a compiled search for it."""
    lower, upper = NUMBERS[1], NUMBERS[2]
    ours_ns = [
        (more - less) / (upper - lower) / corpus.events * 1e9
        for less, more in zip(found[lower]["judge"].cpu_s, found[upper]["judge"].cpu_s, strict=True)
    ]
    searches = _taken(Corpus(2_000), upper, ["search"], 5)["search"]
    theirs_ns = statistics.median(searches.cpu_s) / (upper - lower) / 2_000 * 1e9
    ours = statistics.median(ours_ns)
    print(
        f"\nOne check more costs an event {ours:,.1f} ns of CPU, `jmespath.compile(e).search` {theirs_ns:,.0f} ns: "
        f"1/{theirs_ns / ours:,.0f} (goal 1/300)"
    )


def _pages(corpus: Corpus, engine: str, title: str) -> None:
    """Print what pages cost, beside decoding each whole and walking over its events."""
    taken = _taken(corpus, 50, ("walk", engine), 5)
    figure = ratio(taken[engine].seconds, taken["walk"].seconds)
    cpu = ratio(taken[engine].cpu_s, taken["walk"].cpu_s)
    print(
        f"\n{len(corpus.pages):,} pages, 50 checks, {title}: {figure:.2f} (CPU {cpu:.2f}) of `orjson.loads(page)` "
        "and a walk"
    )


def _memory(many: Corpus, few: Corpus) -> None:
    """Print the peak of memory of the whole process for many events and for few, and what many take."""
    lots, little = (_taken(corpus, 50, ("limit", "command"), 1) for corpus in (many, few))
    peaks = [taken["command"].peak_mib for taken in (lots, little)]
    print(
        f"\n`auditor check` as a process, 50 checks: {_cell(lots['command'], lots['limit']).strip()} L (wall, CPU) for "
        f"{many.events:,} events; at the peak {peaks[0]:,.0f} MiB, and {peaks[1]:,.0f} for {few.events:,}: "
        f"{peaks[0] / peaks[1]:.2f} (goal 1.1)"
    )
