"""Peak memory of a whole `auditor check` over the network: ten times as many events may take 1.2 times as much.

The endpoint runs in a process of its own. The checks look at every event: one by one, counted, by user, and by
the densest span of time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.fetch import serving
from benchmarks.measure import Spent, spent
from tests.pages import ENVIRONMENT_ID

PAGE = 1_000

POLICY = {
    "version": 1,
    "pack": {"id": "memory", "title": "Memory"},
    "checks": {
        name: {
            "title": "All events are looked at",
            "query": {"resource": "activities", "window": "25h"},
            "expect": expect,
        }
        for name, expect in {
            "each": {"every": "result.status == 'SUCCESS'"},
            "counted": {"that": "length(@) > `0`"},
            "by-user": {"none": "count_by(@, &actors.user.id)[?count > `1000000`]"},
            "densest": {"none": "rate_max(@, &actors.client.id, &recordedAt, '1m')[?count > `1000000`]"},
        }.items()
    },
}


def check(pages: int, *, rounds: int = 1) -> list[Spent]:
    """Read and judge so many pages, and return what each round took; the newest event is of a minute ago."""
    # The program's coverage is judged by the clock of the machine.
    newest = datetime.now(UTC) - timedelta(minutes=10)  # noqa: TID251  # as a user's clock, not the program's
    with tempfile.TemporaryDirectory() as name, serving(pages, PAGE, 0, end=newest) as origin:
        folder = Path(name)
        (folder / "policy.yaml").write_text(json.dumps(POLICY), encoding="utf-8")
        environ = {
            "PINGONE_API_URL": f"{origin}/v1",
            "PINGONE_AUTH_URL": origin,
            "PINGONE_ENVIRONMENT_ID": ENVIRONMENT_ID,
            "PINGONE_CLIENT_ID": "client",
            "PINGONE_CLIENT_SECRET": "secret",
        }
        report = folder / "report.json"
        command = ["-m", "auditor", "check", "--chdir", name, "policy.yaml", "--rate", "activities=0/s"]
        found = []
        for _ in range(rounds):
            found.append(spent([sys.executable, *command, "--report", f"json={report}"], environ))
            told = json.loads(report.read_bytes())
            examined = {verdict["population"] for verdict in told["verdicts"]}
            if examined != {pages * PAGE} or told["exit_code"]:
                raise SystemExit(f"{examined} of {pages * PAGE} events were examined: {told['exit_reason']}")
        return found


def run(*, full: bool) -> None:
    """Print the table."""
    sizes = (100, 1_000) if full else (5, 50)
    print(f"{'events':>10} {'pages':>8} {'wall':>10} {'CPU':>10} {'events/s':>10} {'peak':>10}")
    peaks = []
    for pages in sizes:
        (found,) = check(pages)
        peaks.append(found.peak_mib)
        print(
            f"{pages * PAGE:10,} {pages:8,} {found.seconds:8.1f} s {found.cpu_s:8.1f} s "
            f"{pages * PAGE / found.seconds:10,.0f} {found.peak_mib:6,.0f} MiB"
        )
    print(f"{peaks[1] / peaks[0]:.2f} times the memory for ten times the events (goal 1.2)")
