"""The whole pack `pingone-activity` on a simulated tenant: requests, time, memory, and the verdicts of another way.

The tenant runs in a process of its own and is asked at PingOne's rate. The other way takes the events from the world
itself, not over the network, and judges each check by itself: what the server filters, pages, merged queries and
slices play no part, and plain jmespath evaluates (`--engine reference`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from auditor import simulator
from auditor.model.instant import format_instant, parse_instant
from auditor.simulator.world import HOT_SPAN
from benchmarks.measure import Spent, spent

ROOT = Path(__file__).parent.parent
KINDS = ("activities", "user_activities", "active_identity_counts", "metrics_active_identity_counts")
SEED = 1
PAGE = 500

Verdicts = dict[str, tuple[str, int, int]]
"""Status, population and exceptions of each check."""


@contextmanager
def tenant(events: int, now: str) -> Iterator[dict[str, str]]:
    """Run a simulated tenant; give the environment that leads an auditor to it."""
    command = ["-m", "auditor", "simulate", "--events", str(events), "--seed", str(SEED), "--as-of", now]
    process = subprocess.Popen([sys.executable, *command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout  # noqa: S101  # it is a pipe
        lines = [process.stdout.readline() for _ in range(5)]
        yield dict(line.removeprefix("export ").rstrip("\n").split("=", 1) for line in lines)
    finally:
        process.terminate()
        process.wait()


def judged(folder: Path, now: str, environ: Mapping[str, str], *options: str) -> tuple[Spent, dict[str, Any]]:
    """Run the pack, and return what it took and its report."""
    report = folder / "report.json"
    variables = ROOT / "examples" / "quickstart" / "auditor.vars.yaml"
    command = ["-m", "auditor", "check", "pack:pingone-activity", "--chdir", str(folder), "--as-of", now]
    command += ["--var-file", str(variables), "--report", f"json={report}", *options]
    found = spent([sys.executable, *command], environ, expected=(0, 1, 2))
    return found, json.loads(report.read_bytes())


def verdicts(report: Mapping[str, Any]) -> Verdicts:
    """Return what a report says of each check."""
    return {
        verdict["check"]: (verdict["status"], verdict["population"], verdict["exceptions"])
        for verdict in report["verdicts"]
    }


def asked(report: Mapping[str, Any]) -> tuple[int, int, int]:
    """
    Return requests, distinct windows of resources, and pages that their records fill.

    A page is the least that any window takes.
    """
    requests, records = 0, defaultdict[tuple[str, str], int](int)
    for each in report["asked"]:
        requests += each["end"]["requests"]
        query = each["query"]
        what = (query["resource"], json.dumps([query["window"], query["options"]]))
        records[what] += each["end"]["records"]
    return requests, len(records), sum(max(1, -(-count // PAGE)) for count in records.values())


def run(*, full: bool) -> None:
    """Print the figures."""
    events = 2_200_000 if full else 22_000
    now = format_instant(datetime.now(UTC).replace(microsecond=0))  # noqa: TID251  # as a user's clock
    world = simulator.World.generate(SEED, events, parse_instant(now))
    with tempfile.TemporaryDirectory() as name, tenant(events, now) as environ:
        found, report = judged(Path(name), now, environ)
        requests, windows, pages = asked(report)
        hot = world.facts.hot_events
        print(
            f"{hot:,} events in the 14 days, {sum(each['end']['records'] for each in report['asked']):,} records read\n"
            f"{len(report['verdicts'])} checks: {requests:,} requests; {windows} windows of resources fill "
            f"{pages:,} pages\n"
            f"{found.seconds:.1f} s wall, {found.cpu_s:.1f} s CPU, {found.peak_mib:,.0f} MiB at the peak"
        )
        compared = _compared(report, otherwise(Path(name), world, now, environ, report))
        print(f"{compared} verdicts, populations and numbers of exceptions are those of the other way")


def otherwise(
    folder: Path,
    world: simulator.World,
    now: str,
    environ: Mapping[str, str],
    report: Mapping[str, Any],
) -> Verdicts:
    """Return what is found of each check by itself, about events that no network has seen."""
    events = folder / "events.ndjson"
    low, high = (round(instant.timestamp() * 1_000) for instant in (world.now - HOT_SPAN, world.now))
    with events.open("wb") as lines:
        for entry in world.environments[0].events(low, high):
            lines.write(orjson.dumps(entry.record) + b"\n")
    ran = [verdict for verdict in report["verdicts"] if verdict["examined"]]
    of_events = {v["check"] for v in ran if {each["resource"] for each in v["examined"]} == {"activities"}}
    of_others = {verdict["check"] for verdict in ran} - of_events
    rates = [word for kind in KINDS for word in ("--rate", f"{kind}=0/s")]
    found: Verdicts = {}
    for checks, options in (
        (of_events, ["--records", f"activities={events}"]),
        (of_others, ["--pushdown", "range", *rates]),
    ):
        selected = [word for check in sorted(checks) for word in ("--check", check)]
        _, told = judged(folder, now, environ, "--no-merge", "--engine", "reference", *options, *selected)
        found |= {check: verdict for check, verdict in verdicts(told).items() if check in checks}
    return found


def _compared(report: Mapping[str, Any], others: Verdicts) -> int:
    """Return how many verdicts are the same; stop where one is not."""
    ours = verdicts(report)
    for check, found in others.items():
        if ours[check] != found:
            raise SystemExit(f"{check}: {ours[check]} is what the whole run found, {found} the other way")
    return len(others)


if __name__ == "__main__":
    run(full="--full" in sys.argv)
