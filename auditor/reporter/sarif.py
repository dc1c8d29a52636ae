"""SARIF 2.1.0: findings at the lines of the policies, for code scanning (OASIS, errata 01)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.instant import format_instant
from auditor.model.policy import Severity
from auditor.model.source import Address, Location
from auditor.model.value import JSON
from auditor.model.verdict import Outcome, Report, Status, Verdict, Violation
from auditor.model.wording import quantity
from auditor.reporter import wording
from auditor.reporter.neutral import as_json, one_line, shorten, visible

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RESULTS: Final = 25_000
"""What GitHub takes of one run ("SARIF support for code scanning")."""
TAGS: Final = 20
"""What GitHub takes of one rule (there); all controls stand beside them."""
MESSAGE_CHARACTERS: Final = 1_000
"""What GitHub shows of a text ("SARIF support for code scanning": 1,024)."""

_LEVELS: Final[Mapping[Severity, str]] = {
    "info": "note", "low": "note", "medium": "warning", "high": "error", "critical": "error",
}  # fmt: skip
_SECURITY: Final[Mapping[Severity, str]] = {
    "info": "1.0", "low": "3.0", "medium": "5.5", "high": "8.0", "critical": "9.5",
}  # fmt: skip
"""GitHub's scale: above 9.0 critical, 7.0 high, 4.0 medium."""


def render(report: Report, **_options: object) -> str:
    """
    Write a report as a SARIF log of one run.

    Shape: a rule for each check, with how it ended in each environment; a result for each exception and each check that
    could not be decided, with its fingerprint and the place of the policy. A pass or a skip is no result, since readers
    show every result as a finding. A waived exception is a suppressed result. Problems are notifications, and with
    an error among them the invocation was not successful.
    """
    rules = _rules(report)
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [
        {"ruleIndex": numbers[result["ruleId"]], **result}
        for verdict in report.verdicts
        for result in _results(report, verdict)
    ]
    left_out = len(results) - RESULTS
    notifications = [_notification(problem) for problem in report.problems]
    if wording.nothing_selected(report):
        notifications.append(_note("error", wording.NOTHING_SELECTED))
    notifications += [_note("warning", sentence) for sentence in wording.provenance(report)]
    if left_out > 0:
        notifications.append(
            _note("warning", f"{left_out} results are left out: GitHub takes {RESULTS} of a run.")
        )
    driver = {"name": "auditor", "version": visible(report.tool_version) or "0", "rules": rules}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"auditor/{visible(report.run_id)}"},
        "invocations": [
            {
                "executionSuccessful": report.exit_code in (0, 2),
                "exitCode": report.exit_code,
                "exitCodeDescription": visible(report.exit_reason),
                "startTimeUtc": format_instant(report.started_at),
                "endTimeUtc": format_instant(report.finished_at),
                "toolExecutionNotifications": notifications,
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": results[:RESULTS],
        "properties": {
            "summary": wording.totals(report),
            "policyDigest": visible(report.policy_digest or ""),
            "rootDigest": visible(report.root_digest or ""),
        },
    }
    return as_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rules(report: Report) -> list[dict[str, JSON]]:
    by_id: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        by_id.setdefault(_rule_id(verdict), []).append(verdict)
    return [_rule(name, verdicts) for name, verdicts in by_id.items()]


def _rule_id(verdict: Verdict) -> str:
    return f"{one_line(verdict.pack)}/{one_line(verdict.check)}"


def _rule(name: str, verdicts: list[Verdict]) -> dict[str, JSON]:
    first = verdicts[0]
    controls = [f"{framework}:{each}" for framework, ids in sorted(first.controls.items()) for each in ids]
    known = {
        "id": name,
        "shortDescription": _message(first.title or name),
        "fullDescription": _message(first.description or first.title or name),
        "help": _message(
            "\n".join(filter(None, (first.remediation, *first.references))) or first.title or name
        ),
        "defaultConfiguration": {"level": _LEVELS[first.severity]},
        "properties": {
            # GitHub reads the severity of what is tagged so.
            "tags": [visible(tag) for tag in dict.fromkeys(("security", *first.tags, *controls))][:TAGS],
            "controls": [visible(control) for control in controls],
            "security-severity": _SECURITY[first.severity],
            "verdicts": [
                {
                    "environment": visible(verdict.environment),
                    "status": wording.word(verdict),
                    "examined": wording.examined(verdict),
                    "population": verdict.population,
                    "exceptions": verdict.exceptions,
                    "noOccurrences": wording.no_occurrences(verdict),
                }
                for verdict in verdicts
            ],
        },
    }
    return {key: value for key, value in known.items() if value}


def _results(report: Report, verdict: Verdict) -> Iterator[dict[str, JSON]]:
    if verdict.status < Status.FAIL:
        return
    waivers = wording.waivers(report, verdict)
    if verdict.status is Status.ERROR:
        facts = {"code": verdict.code, "help": visible(verdict.help)}
        yield _result(verdict, f"Could not be decided: {verdict.reason}", verdict.name, "error", facts)
    for number, outcome in enumerate(verdict.outcomes):
        if outcome.status is not Status.FAIL:
            continue
        # Two expectations can find one record.
        suffix = f":{number}" if number else ""
        if not outcome.violations:
            result = _result(verdict, outcome.reason, f"{verdict.name}{suffix}", _level(outcome))
            yield result | (_suppressed(waivers) if outcome.is_waived else {})
        for found in outcome.violations:
            yield _of_violation(verdict, outcome, found, waivers, suffix)
        if more := outcome.exceptions - len(outcome.violations):
            text = f"{quantity(more, 'further exception')}, listed in the run's evidence: {outcome.reason}"
            if outcome.violations:
                yield _result(verdict, text, f"{verdict.name}{suffix}: more", _level(outcome))


def _of_violation(
    verdict: Verdict, outcome: Outcome, found: Violation, waivers: list[str], suffix: str
) -> dict[str, JSON]:
    facts = {
        "code": outcome.code,
        "policy": wording.place(verdict.location, verdict.address),
        "expected": visible(outcome.expected),
        "observed": visible(outcome.observed),
        "exceptions": outcome.exceptions,
    }
    text, fingerprint = wording.violation(found), f"{found.fingerprint}{suffix}"
    result = _result(verdict, text, fingerprint, _level(outcome), facts)
    return result | (_suppressed(waivers) if found.waived_by else {})


def _level(outcome: Outcome) -> str:
    return _LEVELS[outcome.severity]


def _result(
    verdict: Verdict, text: str, fingerprint: str, level: str, facts: Mapping[str, JSON] | None = None
) -> dict[str, JSON]:
    return {
        "ruleId": _rule_id(verdict),
        "level": level,
        "message": _message(f"{verdict.environment}: {text}"),
        "locations": [{"physicalLocation": _place(wording.repository_place(verdict))}],
        "partialFingerprints": {"auditor/v1": visible(fingerprint)},
        "properties": {"environment": visible(verdict.environment), **(facts or {})},
    }


def _suppressed(waivers: list[str]) -> dict[str, JSON]:
    justification = "; ".join(waivers) or "waived"
    return {"suppressions": [{"kind": "external", "status": "accepted", "justification": justification}]}


def _place(place: Location | Address) -> dict[str, JSON]:
    region = {"startLine": 1}  # GitHub shows no result without a line
    if isinstance(place, Location):
        region = {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
        }
    return {"artifactLocation": {"uri": _uri(place.file)}, "region": region}


def _uri(file: str) -> str:
    """Return a path as a URI reference (RFC 3986), relative as it is given."""
    return quote(visible(file).replace("\\", "/"), safe="/")


def _notification(problem: Diagnostic) -> dict[str, JSON]:
    text = "\n".join(filter(None, (problem.summary, problem.detail, problem.help)))
    level = "error" if problem.level is Level.ERROR else "warning"
    place = problem.location or problem.address
    where = {"locations": [{"physicalLocation": _place(place)}]} if place else {}
    return {**_note(level, text), **where, "descriptor": {"id": problem.code}}


def _note(level: str, text: str) -> dict[str, JSON]:
    return {"level": level, "message": _message(text)}


def _message(text: str) -> dict[str, str]:
    """Return a text as a message, in which nothing is a link (section 3.11.6)."""
    return {"text": shorten(visible(text).replace("](", "] ("), MESSAGE_CHARACTERS)}
