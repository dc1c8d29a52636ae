"""Two runs beside one another, and many, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from auditor.model.comparison import (
    ComparedCheck,
    ComparedViolation,
    Comparison,
    History,
    PastVerdict,
    RunName,
)
from auditor.model.instant import format_instant
from auditor.model.verdict import Status
from auditor.reporter.markdown import escaped
from auditor.reporter.neutral import visible
from auditor.reporter.page import Page

_SIGNS: Final = {"new": "+", "persisting": "=", "fixed": "-", "aged out": "~", "not judged": "?"}
_TOLD: Final = ("new", "fixed")
"""What is told one by one; of the rest, how many there are."""

_STYLES: Final = {
    "new": "bold red",
    "fixed": "green",
    "persisting": "",
    "aged out": "dim",
    "not judged": "yellow",
}
_LETTERS: Final = {Status.PASS: "pass", Status.FAIL: "FAIL", Status.ERROR: "ERROR", Status.SKIP: "skip"}


def render(comparison: Comparison, *, width: int, color: bool) -> str:
    """Return two runs beside one another, for people."""
    page = Page(width, color=color)
    page.put(f"From {_run(comparison.old)}")
    page.put(f"to   {_run(comparison.new)}")
    for remark in _remarks(comparison):
        page.put(remark, "yellow")
    for check in comparison.checks:
        page.blank()
        page.put(f"{check.name} · {check.severity} · {_change(check)}", "bold" if check.is_worse else "")
        told = [one for one in check.violations if _is_worth_telling(one)]
        for one in told:
            at = f"{format_instant(one.at)} " if one.at else ""
            waived = f" (waived by {one.waived_now})" if one.waived_now else ""
            page.put(
                f"{at}{one.identity}: {one.message}{waived}", _STYLES[one.fate], head=f"  {_SIGNS[one.fate]} "
            )
        if more := check.counts["new"] + check.counts["fixed"] - sum(one.fate in _TOLD for one in told):
            page.put(f"{more:,} more", "dim", head="    ")
    page.blank()
    page.put(_totals(comparison))
    return str(page)


def render_markdown(comparison: Comparison) -> str:
    """Return two runs beside one another, as Markdown for the summary of a job."""
    lines = [
        f"### {escaped(comparison.exit_reason.capitalize())}",
        "",
        f"From {escaped(_run(comparison.old))} to {escaped(_run(comparison.new))}.",
        *(f"\n> {escaped(remark)}" for remark in _remarks(comparison)),
        "",
        "| Check | Severity | Was | Is | New | Persisting | Fixed | Aged out | Not judged |",
        "| --- | --- | --- | --- | --: | --: | --: | --: | --: |",
    ]
    for check in comparison.checks:
        counts = " | ".join(str(count) for count in check.counts.values())
        was, now = _letter(check.was), _letter(check.now)
        lines.append(f"| {escaped(check.name)} | {check.severity} | {was} | {now} | {counts} |")
    for check in comparison.checks:
        new = [one for one in check.violations if one.fate == "new"]
        if new:
            lines += ["", f"**{escaped(check.name)}**", ""]
            lines += [f"- {escaped(f'{one.identity}: {one.message}')}" for one in new]
    return visible("\n".join(lines)) + "\n"


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Return two runs beside one another as JSON values."""
    return {
        "format_version": "1.0",
        "old": _name(comparison.old),
        "new": _name(comparison.new),
        "counts": {fate.replace(" ", "_"): comparison.count(fate) for fate in _SIGNS},  # type: ignore[arg-type]
        "checks": [
            {
                "name": check.name,
                "title": check.title,
                "severity": check.severity,
                "was": check.was.word if check.was is not None else None,
                "now": check.now.word if check.now is not None else None,
                "counts": {fate.replace(" ", "_"): count for fate, count in check.counts.items()},
                "waivers_changed": check.waivers_changed,
                "violations": [
                    {
                        "fate": one.fate.replace(" ", "_"),
                        "fingerprint": one.fingerprint,
                        "identity": one.identity,
                        "at": format_instant(one.at) if one.at else None,
                        "message": one.message,
                        "waived_before": one.waived_before,
                        "waived_now": one.waived_now,
                    }
                    for one in check.violations
                ],
            }
            for check in comparison.checks
        ],
        "exit_code": comparison.exit_code,
        "exit_reason": comparison.exit_reason,
    }


def render_json(value: Comparison | History) -> str:
    """Return runs beside one another as JSON text."""
    document = to_document(value) if isinstance(value, Comparison) else _history(value)
    return visible(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def render_history(history: History, *, width: int, color: bool) -> str:
    """Return the verdicts of several runs, for people: a column for each, as many as there is room for."""
    page = Page(width, color=color)
    if not history.runs:
        page.put("There is no run that came to an end.")
        return str(page)
    room = max(page.width - 12, 12)
    columns = min(len(history.runs), max(room // 16, 1))
    for number, run in enumerate(history.runs[-columns:], 1):
        page.put(f"{_run(run)}", "dim", head=f"{number:>2}  ")
    left_out = len(history.runs) - columns
    if left_out:
        page.put(f"{left_out} earlier; a wider terminal shows more", "dim", head="    ")
    for name, verdicts in history.verdicts.items():
        page.put("", head="")
        page.put(name, "bold")
        cells = "  ".join(f"{number}: {_cell(one)}" for number, one in enumerate(verdicts[-columns:], 1))
        page.put(cells, head="    ")
    return str(page)


def _history(history: History) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "runs": [_name(run) for run in history.runs],
        "checks": [
            {
                "name": name,
                "verdicts": [
                    {
                        "status": one.status.word if one.status is not None else None,
                        "exceptions": one.exceptions,
                        "is_waived": one.is_waived,
                    }
                    for one in verdicts
                ],
            }
            for name, verdicts in history.verdicts.items()
        ],
    }


def _cell(verdict: PastVerdict) -> str:
    exceptions = f" {verdict.exceptions:,}" if verdict.exceptions else ""
    waived = " waived" if verdict.is_waived else ""
    return f"{_letter(verdict.status)}{exceptions}{waived}"


def _letter(status: Status | None) -> str:
    return "-" if status is None else _LETTERS[status]


def _run(run: RunName) -> str:
    return f"{run.run_id}, {format_instant(run.started_at)}"


def _name(run: RunName) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "started_at": format_instant(run.started_at),
        "tool_version": run.tool_version,
        "policy_digest": run.policy_digest,
        "root_digest": run.root_digest,
    }


def _remarks(comparison: Comparison) -> Iterator[str]:
    old, new = comparison.old, comparison.new
    if old.policy_digest != new.policy_digest:
        yield "The policies, their values or the resource kinds are others: what is new may be newly asked."
    if old.tool_version != new.tool_version:
        yield f"The runs were made by auditor {old.tool_version} and {new.tool_version}."
    if old.started_at > new.started_at:
        yield "The first run is the newer one."


def _is_worth_telling(one: ComparedViolation) -> bool:
    return one.fate in _TOLD or (one.fate == "persisting" and one.waived_before != one.waived_now)


def _change(check: ComparedCheck) -> str:
    status = _letter(check.now) if check.was is check.now else f"{_letter(check.was)} → {_letter(check.now)}"
    counts = ", ".join(f"{count:,} {fate}" for fate, count in check.counts.items() if count)
    waivers = f", {check.waivers_changed:,} with other waivers" if check.waivers_changed else ""
    return f"{status}{f' · {counts}' if counts else ''}{waivers}"


def _totals(comparison: Comparison) -> str:
    counts = ", ".join(f"{comparison.count(fate):,} {fate}" for fate in _SIGNS)  # type: ignore[arg-type]
    return f"{counts} · exit {comparison.exit_code}: {comparison.exit_reason}"
