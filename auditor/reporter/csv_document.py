"""CSV: a table for spreadsheets (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from auditor.model.instant import format_instant
from auditor.model.verdict import Outcome, Report, Verdict, Violation
from auditor.reporter import wording
from auditor.reporter.neutral import one_line, shorten

CELL_CHARACTERS: Final = 32_000
"""Below the 32,767 that a cell of Excel holds."""

COLUMNS: Final = (
    "run", "as_of", "root_digest", "source", "environment", "pack", "check", "title", "severity", "status", "code",
    "reason", "population", "exceptions", "undecided", "waived", "controls", "expected", "observed", "exception",
    "instant", "identity", "message", "waived_by", "fingerprint", "link", "policy",
)  # fmt: skip
"""The columns; those from `exception` on tell of one exception, and `exception` counts them within a check."""

_FORMULA: Final = re.compile(r"(^|;)([\s\"']*)([=+\-@|%\uff1d\uff0b\uff0d\uff20])")
"""What spreadsheets take for a formula: at the start of a cell, which for some begins behind a semicolon too;
the last four are the full-width signs, which some read as the others."""


def render(report: Report, **_options: object) -> str:
    """
    Write a report as CSV: a row for each exception, and one for each check without any.

    Shape: a header; fields in quotes, lines that end in CRLF; no cell is a formula, one that would be begins with an
    apostrophe. Errors among the problems are rows of the pack `auditor`.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in _rows(report):
        writer.writerow([defused(row.get(column, "")) for column in COLUMNS])
    return text.getvalue()


def _rows(report: Report) -> Iterator[dict[str, str]]:
    run = {
        "run": report.run_id,
        "as_of": format_instant(report.as_of) if report.as_of else "",
        "root_digest": report.root_digest or "",
        "source": " ".join(wording.provenance(report)),
    }
    for problem in report.problems:
        yield run | {
            "pack": "auditor",
            "status": problem.level.value,
            "code": problem.code,
            "reason": f"{problem.summary}: {problem.detail}".removesuffix(": "),
            "policy": wording.place_of(problem),
        }
    if wording.nothing_selected(report):
        yield run | {"pack": "auditor", "status": "error", "code": "policy.nothing-selected",
                     "reason": wording.NOTHING_SELECTED}  # fmt: skip
    tenants = (
        {} if report.given or report.simulated else {e.name: e.api_url or "" for e in report.environments}
    )
    for verdict in report.verdicts:
        shared = run | _verdict(verdict)
        shared["source"] = run["source"] or tenants.get(verdict.environment, "")
        found = [(outcome, one) for outcome in verdict.outcomes for one in outcome.violations]
        if not found:
            yield shared | {"waived_by": "; ".join(wording.waivers(report, verdict))}
        for number, (outcome, one) in enumerate(found, 1):
            yield shared | _violation(outcome, one) | {"exception": str(number)}


def _verdict(verdict: Verdict) -> dict[str, str]:
    return {
        "environment": verdict.environment,
        "pack": verdict.pack,
        "check": verdict.check,
        "title": verdict.title,
        "severity": verdict.severity,
        "status": wording.word(verdict),
        "code": verdict.code,
        "reason": verdict.reason,
        "population": str(verdict.population),
        "exceptions": str(verdict.exceptions),
        "undecided": str(verdict.undecided),
        "waived": str(verdict.waived),
        "controls": wording.controls(verdict),
        "policy": wording.place(verdict.location, verdict.address),
    }


def _violation(outcome: Outcome, found: Violation) -> dict[str, str]:
    return {
        "expected": outcome.expected,
        "observed": outcome.observed,
        "instant": format_instant(found.at) if found.at else "",
        "identity": found.identity,
        "message": found.message,
        "waived_by": found.waived_by or "",
        "fingerprint": found.fingerprint,
        "link": found.link or "",
    }


@lru_cache(maxsize=1024)  # the rows of a check repeat most of its cells
def defused(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula."""
    return shorten(_FORMULA.sub(r"\1\2'\3", one_line(text)), CELL_CHARACTERS)
