"""CTRF: the Common Test Report Format (ctrf.io, specification 0.0.0)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from auditor.model.diagnostic import Level
from auditor.model.instant import format_instant
from auditor.model.value import JSON
from auditor.model.verdict import Report, Verdict
from auditor.reporter import render_diagnostics, wording
from auditor.reporter.neutral import as_json, one_line, shorten, visible

MESSAGE_CHARACTERS: Final = 1_000
VIOLATIONS: Final = 20
"""Exceptions listed of each expectation."""

_FACT_CHARACTERS: Final = 2_000
_STATUSES: Final = {
    "pass": "passed",
    "fail": "failed",
    "error": "failed",
    "skip": "skipped",
    "waived": "skipped",
}
"""CTRF knows no error, and what could not be decided must not look well: `rawStatus` has our own word."""


def render(report: Report, **_options: object) -> str:
    """Write a report as CTRF: a test for each check, and one for each error among the problems."""
    tests = [*_problems(report), *(_test(report, verdict) for verdict in report.verdicts)]
    start, stop = _milliseconds(report.started_at), _milliseconds(report.finished_at)
    counts = {name: sum(test["status"] == name for test in tests) for name in ("passed", "failed", "skipped")}
    document = {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "reportId": str(_uuid(report, "report")),
        "timestamp": format_instant(report.finished_at),
        "generatedBy": "auditor",
        "results": {
            "tool": {"name": "auditor", "version": visible(report.tool_version)},
            "summary": {
                "tests": len(tests), **counts, "pending": 0, "other": 0,
                "suites": len(wording.groups(report)), "start": start, "stop": stop, "duration": stop - start,
                "extra": {**wording.totals(report), "exitCode": report.exit_code,
                          "exitReason": visible(report.exit_reason)},
            },
            "tests": tests,
            "environment": {
                "reportName": "PingOne audit",
                "testEnvironment": visible(", ".join(each.name for each in report.environments)),
                "extra": {"source": [*map(visible, (*wording.provenance(report), *wording.tenants(report)))],
                          "run": visible(report.run_id),
                          "policyDigest": visible(report.policy_digest or ""),
                          "rootDigest": visible(report.root_digest or "")},
            },
        },
    }  # fmt: skip
    return as_json(document)


def _test(report: Report, verdict: Verdict) -> dict[str, JSON]:
    word = wording.word(verdict)
    facts = wording.told(wording.facts(report, verdict, violations=VIOLATIONS), _FACT_CHARACTERS)
    trace = (
        ""
        if word == "pass"
        else "\n".join(f"{label}: {text}" if label else f"  {text}" for label, text in facts)
    )
    place = verdict.location or verdict.address
    known = {
        "id": str(_uuid(report, verdict.name)),
        "name": one_line(verdict.check),
        "status": _STATUSES[word],
        "rawStatus": word,
        "duration": round(verdict.elapsed_s * 1000),
        "suite": [one_line(part) for part in (verdict.environment, verdict.pack) if one_line(part)],
        "message": shorten(one_line(verdict.reason), MESSAGE_CHARACTERS),
        "trace": visible(trace),
        "filePath": place and visible(place.file),
        "line": verdict.location and verdict.location.line,
        "tags": [visible(tag) for tag in verdict.tags],
        "labels": {
            "severity": verdict.severity,
            **{
                visible(name): [visible(each) for each in ids]
                for name, ids in sorted(verdict.controls.items())
            },
        },
        "extra": {
            "code": verdict.code,
            "title": visible(verdict.title),
            "population": verdict.population,
            "exceptions": verdict.exceptions,
            "undecided": verdict.undecided,
            "noOccurrences": wording.no_occurrences(verdict),
            "caveats": [visible(caveat) for caveat in verdict.caveats],
            "waivers": wording.waivers(report, verdict),
        },
    }
    return {name: value for name, value in known.items() if value not in (None, "", [])}


def _problems(report: Report) -> Iterator[dict[str, JSON]]:
    errors = [problem for problem in report.problems if problem.level is Level.ERROR]
    for number, problem in enumerate(errors):
        yield _own(report, number, problem.code, problem.summary, render_diagnostics([problem]))
    if wording.nothing_selected(report):
        yield _own(report, 0, "policy.nothing-selected", wording.NOTHING_SELECTED, wording.NOTHING_SELECTED)


def _own(report: Report, number: int, code: str, message: str, trace: str) -> dict[str, JSON]:
    return {
        "id": str(_uuid(report, f"problem {number}")),
        "name": code,
        "status": "failed",
        "rawStatus": "error",
        "duration": 0,
        "suite": ["auditor"],
        "message": one_line(message),
        "trace": trace,
    }


def _uuid(report: Report, name: str) -> UUID:
    return uuid5(NAMESPACE_URL, visible(f"auditor:{report.run_id}:{name}"))


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
