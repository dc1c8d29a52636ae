"""One check explained for people: what it is about, what is asked for it, what it reads, what it comes to when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.model.instant import format_instant
from auditor.model.plan import Plan, PlannedQuery, Use
from auditor.model.query import CompiledCheck, CompiledExpectation
from auditor.model.waiver import Waiver
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line
from auditor.reporter.page import Page
from auditor.reporter.wording import Fact, answered_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """
    A check with what can be told of it before a run.

    `fields` holds by query name the fields that its expressions and filter read, and whether each may be absent;
    `kept` says for each expectation what of the records it keeps, and why, empty for nothing that grows. `waivers`
    are those of the check in its environment.
    """

    check: CompiledCheck
    plan: Plan
    fields: Mapping[str, Mapping[str, bool]]
    kept: tuple[str, ...]
    waivers: tuple[Waiver, ...] = ()

    @property
    def queries(self) -> tuple[tuple[PlannedQuery, Use], ...]:
        """The planned queries that serve the check, each with how."""
        return tuple(
            (query, use) for query in self.plan.queries for use in query.uses if use.check == self.check.name
        )


def render(explanation: Explanation, *, width: int, color: bool) -> str:
    """Write an explanation for a terminal of *width* cells."""
    page = Page(width, color=color)
    check = explanation.check
    page.put(one_line(check.title), "bold", head=f"{one_line(check.name)}  ")
    page.facts(_about(check))
    page.facts(("waiver", answered_for(waiver)) for waiver in explanation.waivers)
    page.facts((("skipped", one_line(explanation.plan.skipped.get(check.name, ""))),))
    for name, query in check.queries.items():
        page.section(f"Query {name}" if name else "Query")
        page.facts(_query(explanation, name, query.where, query.pushed))
    if check.bind:
        page.section("Bound once all records are there")
        page.facts((f"bind.{name}", one_line(text)) for name, text in check.bind.items())
    for number, (expectation, kept) in enumerate(zip(check.expectations, explanation.kept, strict=True), 1):
        page.section(f"Expectation {number} of {len(check.expectations)}")
        page.facts(_expectation(expectation, kept))
    return str(page)


def document(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values; the planned queries are those of `auditor plan --json`."""
    check = explanation.check
    return {
        "name": check.name,
        "title": check.title,
        "severity": check.severity,
        "description": check.description,
        "blind_spots": check.blind_spots,
        "remediation": check.remediation,
        "references": list(check.references),
        "controls": {framework: list(controls) for framework, controls in check.controls.items()},
        "tags": list(check.tags),
        "skipped": explanation.plan.skipped.get(check.name),
        "waivers": [waiver.name for waiver in explanation.waivers],
        "values": {
            name: {
                "value": None if value.sensitive else value.json,
                "sensitive": value.sensitive,
                "origin": value.origin,
            }
            for name, value in check.values.items()
        },
        "queries": [_query_document(explanation, name) for name in check.queries],
        "bind": dict(check.bind),
        "expectations": [
            {
                "form": each.form,
                "expression": each.expression,
                "over": each.over,
                "severity": each.severity,
                "keeps": kept,
                "on_missing": each.on_missing,
                "on_empty": dict(each.on_empty),
                "message": each.message,
            }
            for each, kept in zip(check.expectations, explanation.kept, strict=True)
        ],
    }


def _query_document(explanation: Explanation, name: str) -> dict[str, Any]:
    query = explanation.check.queries[name]
    return {
        "name": name,
        "resource": query.resource,
        "where": query.where,
        "pushed": query.pushed,
        "planned": [
            {
                "id": planned.id,
                "window": {"from": format_instant(use.window.start), "to": format_instant(use.window.end)}
                if use.window
                else None,
                "residual": use.residual,
                "requests": {"at_least": planned.requests_at_least, "exact": planned.requests_exact},
                "shared_with": sorted({other.check for other in planned.uses} - {explanation.check.name}),
                "roles": list(planned.roles),
            }
            for planned, use in explanation.queries
            if use.name == name
        ],
        "reads": [
            {"path": path, "optional": is_optional}
            for path, is_optional in explanation.fields.get(name, {}).items()
        ],
    }


def _about(check: CompiledCheck) -> Iterator[Fact]:
    yield "severity", check.severity
    yield "why", one_line(check.description)
    yield "blind spots", one_line(check.blind_spots)
    for framework, controls in check.controls.items():
        yield "controls", f"{framework}: {', '.join(controls)}"
    yield "tags", ", ".join(check.tags)
    yield "remediation", one_line(check.remediation)
    for name, value in check.values.items():
        shown = "(sensitive)" if value.sensitive else json.dumps(value.json, ensure_ascii=False)
        yield "value", one_line(f"{name} = {shown} (from {value.origin})")


def _query(explanation: Explanation, name: str, where: str, pushed: str) -> Iterator[Fact]:
    yield "resource", explanation.check.queries[name].resource
    yield "where", one_line(where) or "everything"
    yield "server", one_line(pushed) or "the window only"
    for query, use in explanation.queries:
        if use.name == name:
            others = len(query.uses) - 1
            shared = f", shared with {quantity(others, 'other check')}" if others else ""
            yield "here", one_line(use.residual) or "the window only"
            yield "window", str(use.window or "what is there now")
            exact = "" if query.requests_exact else "at least "
            yield "request", f"{query.id}{shared}: {exact}{quantity(query.requests_at_least, 'request')}"
            yield "roles", f"one of {', '.join(query.roles)}"
    for path, is_optional in explanation.fields.get(name, {}).items():
        yield "reads", f"{path}{'  (may be absent)' if is_optional else ''}"


def _expectation(expectation: CompiledExpectation, kept: str) -> Iterator[Fact]:
    over = f" over {expectation.over}" if expectation.over else ""
    yield expectation.form, f"{one_line(expectation.expression)}{over}"
    yield "severity", expectation.severity
    yield "reducer", _reducer(expectation, kept)
    yield "on_missing", expectation.on_missing or "an error, which says what is absent"
    for name, on_empty in expectation.on_empty.items():
        yield "on_empty", f"{name}: {on_empty}" if name else on_empty
    yield "message", one_line(expectation.message or "")


def _reducer(expectation: CompiledExpectation, kept: str) -> str:
    if kept:
        return one_line(f"keeps {kept}")
    if expectation.form == "every":
        return "each record on its own, as it comes"
    return "streams: records are reduced as they come, and none is kept"
