"""OSCAL: assessment results, for tools of governance, risk and compliance (NIST, pages.nist.gov/OSCAL)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from auditor.model.diagnostic import Diagnostic
from auditor.model.instant import format_instant
from auditor.model.value import JSON
from auditor.model.verdict import Asked, Report, Status, Verdict
from auditor.model.wording import quantity
from auditor.reporter import wording
from auditor.reporter.neutral import as_json, one_line, shorten, visible

OSCAL_VERSION: Final = "1.1.3"
NAMESPACE: Final = "https://auditor.invalid/ns/oscal"
"""Names our properties; nothing is there to be read, which the top-level name says (RFC 6761, section 6.4)."""
VIOLATIONS: Final = 20
"""Exceptions listed of each expectation."""

_FACT_CHARACTERS: Final = 2_000


def render(report: Report, **_options: object) -> str:
    """
    Write a report as OSCAL assessment results.

    Shape: one result; an observation for each check, with links to the requests that it rests on, which are resources
    of the back matter; a finding for each control that a check names, satisfied only where every check that speaks
    to it passed. A control of which every check was skipped has none. Identifiers depend on the run alone.
    """
    result = {
        "uuid": _uuid(report, "result"),
        "title": "PingOne audit",
        "description": _text(report.exit_reason) or "done",
        "start": format_instant(report.started_at),
        "end": format_instant(report.finished_at),
        "props": [
            _prop("run", report.run_id),
            _prop("exit-code", str(report.exit_code)),
            *([_prop("root-digest", report.root_digest)] if report.root_digest else []),
            *(_prop(name.replace("_", "-"), str(count)) for name, count in wording.totals(report).items()),
        ],
        "reviewed-controls": {"control-selections": [_selection(report)]},
        "observations": [_observation(report, verdict) for verdict in report.verdicts] + _problems(report),
        "findings": [_finding(report, *one) for one in _by_control(report).items()],
        "remarks": "\n\n".join(_remarks(report)),
    }
    document = {
        "uuid": _uuid(report, "assessment-results"),
        "metadata": {
            "title": "PingOne audit",
            "last-modified": format_instant(report.finished_at),
            "version": _text(report.run_id) or "-",
            "oscal-version": OSCAL_VERSION,
        },
        # There is no assessment plan in OSCAL; what was asked stands in the back matter.
        "import-ap": {"href": f"#{_uuid(report, 'plan')}"},
        "results": [_without_empty(result)],
        "back-matter": {
            "resources": [_plan(report), *(_resource(report, asked) for asked in report.asked)],
        },
    }
    return as_json({"assessment-results": document})


def _remarks(report: Report) -> Iterator[str]:
    yield from wording.provenance(report)
    yield from wording.tenants(report)
    if wording.nothing_selected(report):
        yield wording.NOTHING_SELECTED
    yield visible(f"auditor {report.tool_version}, policies {report.policy_digest or 'unknown'}")


def _selection(report: Report) -> dict[str, JSON]:
    names = [_control_id(*control) for control in _by_control(report)]
    if not names:  # none is not allowed, and "all" would be a lie
        return {
            "description": "No check that was carried out names a control.",
            "include-controls": [{"control-id": "no-control"}],
        }
    return {"include-controls": [{"control-id": name} for name in dict.fromkeys(names)]}


def _by_control(report: Report) -> dict[tuple[str, str], list[Verdict]]:
    """Return the verdicts by framework and control, without those that were skipped."""
    found: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in report.verdicts:
        if verdict.status is not Status.SKIP:
            for framework, ids in sorted(verdict.controls.items()):
                for each in ids:
                    found.setdefault((framework, each), []).append(verdict)
    return found


def _finding(report: Report, control: tuple[str, str], verdicts: list[Verdict]) -> dict[str, JSON]:
    framework, name = control
    status = max(verdict.status for verdict in verdicts)
    counts = {word: sum(wording.word(verdict) == word for verdict in verdicts) for word in _WORDS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    if quiet := sum(map(wording.no_occurrences, verdicts)):
        told += f" ({quiet} of them with no occurrences)"
    return {
        "uuid": _uuid(report, f"finding {framework} {name}"),
        "title": _text(f"{framework} {name}") or "-",
        "description": f"{quantity(len(verdicts), 'check')}: {told}",
        "target": {
            "type": "objective-id",
            "target-id": _control_id(framework, name),
            "status": {
                "state": "satisfied" if status is Status.PASS else "not-satisfied",
                "reason": {Status.PASS: "pass", Status.FAIL: "fail"}.get(status, "other"),
            },
        },
        "related-observations": [
            {"observation-uuid": _uuid(report, f"observation {verdict.name}")} for verdict in verdicts
        ],
    }


_WORDS: Final = ("error", "fail", "waived", "pass")


def _observation(report: Report, verdict: Verdict) -> dict[str, JSON]:
    asked = {one.query.id: one for one in report.asked}
    label = " (no occurrences)" if wording.no_occurrences(verdict) else ""
    facts = wording.told(wording.facts(report, verdict, violations=VIOLATIONS), _FACT_CHARACTERS)
    lines = (
        [] if verdict.status is Status.PASS else [f"{name}: {text}" if name else text for name, text in facts]
    )
    known = {
        "uuid": _uuid(report, f"observation {verdict.name}"),
        "title": _text(verdict.title) or _text(verdict.check) or "-",
        "description": f"{wording.word(verdict)}: {wording.examined(verdict)}{label}",
        "props": [
            _prop("environment", verdict.environment),
            _prop("pack", verdict.pack),
            _prop("check", verdict.check),
            _prop("severity", verdict.severity),
            _prop("verdict", verdict.status.word),
            _prop("waived", "true" if verdict.is_waived else "false"),
            _prop("code", verdict.code),
            _prop("population", str(verdict.population)),
            _prop("exceptions", str(verdict.exceptions)),
            _prop("undecided", str(verdict.undecided)),
        ],
        "methods": ["TEST"],
        "types": ["control-objective"],
        "relevant-evidence": [
            {
                "href": f"#{_uuid(report, f'query {query}')}",
                "description": wording.request(asked[query]),
            }
            for query in verdict.queries
            if query in asked
        ],
        "collected": format_instant(report.finished_at),
        "remarks": visible("\n".join([*lines, *(f"caveat: {caveat}" for caveat in verdict.caveats)])),
    }
    return _without_empty(known)


def _problems(report: Report) -> list[JSON]:
    return [_problem(report, number, problem) for number, problem in enumerate(report.problems)]


def _problem(report: Report, number: int, problem: Diagnostic) -> dict[str, JSON]:
    place = wording.place_of(problem)
    text = "\n".join(filter(None, (problem.summary, problem.detail, problem.help, place)))
    return {
        "uuid": _uuid(report, f"problem {number}"),
        "title": _text(problem.summary) or problem.code,
        "description": visible(text) or problem.code,
        "props": [_prop("code", problem.code), _prop("level", problem.level.value)],
        "methods": ["TEST"],
        "collected": format_instant(report.finished_at),
    }


def _plan(report: Report) -> dict[str, JSON]:
    reads = quantity(len(report.asked), "read")
    return {
        "uuid": _uuid(report, "plan"),
        "title": "What was asked",
        "description": f"{reads} of PingOne, each a resource of its own.",
    }


def _resource(report: Report, asked: Asked) -> dict[str, JSON]:
    end = asked.end
    lines = [f"{name}: {text}" for name, text in wording.told(wording.query(asked), _FACT_CHARACTERS)]
    return {
        "uuid": _uuid(report, f"query {asked.query.id}"),
        "title": _text(asked.query.id) or "-",
        "description": visible("\n".join(lines)),
        "props": [
            _prop("complete", "true" if end and end.complete else "false"),
            _prop("records", str(end.records if end else 0)),
            _prop("requests", str(end.requests if end else 0)),
        ],
    }


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": NAMESPACE, "value": _text(value) or "-"}


def _control_id(framework: str, name: str) -> str:
    """Return a control as an OSCAL token; NIST's own have theirs in the catalogues that it publishes (`ac-6`)."""
    own = name.lower() if framework.startswith("nist") else f"{framework}-{name}"
    token = re.sub(r"[^A-Za-z0-9_.-]", "_", visible(own))
    return token if re.match("[A-Za-z_]", token) else f"_{token}"


def _text(text: str) -> str:
    return shorten(one_line(text), _FACT_CHARACTERS)


def _uuid(report: Report, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, visible(f"auditor:{report.run_id}:{name}")))


def _without_empty(document: dict[str, JSON]) -> dict[str, JSON]:
    """Return an object without empty lists and texts, which OSCAL does not allow."""
    return {name: value for name, value in document.items() if value not in ("", [])}
