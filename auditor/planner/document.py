"""The plan as a document: plain JSON with a `format_version` (`schemas/plan.schema.json`)."""

from __future__ import annotations

from typing import Any, Final

from auditor import scim
from auditor.model.instant import Window, format_instant, parse_instant
from auditor.model.plan import Count, Coverage, Inputs, Plan, PlannedEnvironment, PlannedQuery, Use

FORMAT_VERSION: Final = "1.0"


def to_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON values, with instants as text and arrays that are never null."""
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": plan.tool_version,
        "as_of": format_instant(plan.as_of),
        "valid_until": format_instant(plan.valid_until) if plan.valid_until else None,
        "policy_digest": plan.policy_digest,
        "environments": [
            {"name": e.name, "id": e.id, "region": e.region, "api_url": e.api_url} for e in plan.environments
        ],
        "queries": [_query(query) for query in plan.queries],
        "probes": [_query(query) for query in plan.probes],
        "checks": list(plan.checks),
        "skipped": dict(plan.skipped),
        "requests_at_least": plan.requests_at_least,
        "requests_unmerged": plan.requests_unmerged,
        "covered": all(query.coverage.covered for query in plan.queries if query.coverage),
        "inputs": {
            "paths": list(plan.inputs.paths),
            "environments": list(plan.inputs.environments),
            "variables": [list(given) for given in plan.inputs.variables],
            "pushdown": plan.inputs.pushdown,
            "merge": plan.inputs.merge,
            "frameworks": list(plan.inputs.frameworks),
            "counts": [
                {
                    "environment": count.environment,
                    "resource": count.resource,
                    "filter": count.filter,
                    "window": _window(count.window),
                    "records": count.records,
                }
                for count in plan.inputs.counts
            ],
            "checks": list(plan.inputs.checks),
            "tags": list(plan.inputs.tags),
            "controls": list(plan.inputs.controls),
        },
    }


def _query(query: PlannedQuery) -> dict[str, Any]:
    return {
        "id": query.id,
        "environment": query.environment,
        "resource": query.resource,
        "own_resource": query.own_resource,
        "method": query.method,
        "path": query.path,
        "each": _query(query.each) if query.each else None,
        "parameters": dict(query.parameters),
        "filter_parameter": query.filter_parameter,
        "filter_template": query.filter,
        "filter": scim.fill_window(query.filter, query.window),
        "further_filters": [scim.fill_window(text, query.window) for text in query.further_filters],
        "fallbacks": [[scim.fill_window(text, query.window) for text in step] for step in query.fallbacks],
        "window": _window(query.window),
        "slices": [_window(piece) for piece in query.slices],
        "include_partial": query.include_partial,
        "options": dict(query.options),
        "coverage": _coverage(query.coverage),
        "requests": {
            "at_least": query.requests_at_least,
            "exact": query.requests_exact,
            "expected": query.requests_expected,
        },
        "page_size": query.page_size,
        "expected_records": query.expected_records,
        "rate": {
            "group": query.rate_group,
            "requests_per_s": query.requests_per_s,
            "at_least_s": round(query.requests_at_least / query.requests_per_s, 3),
        },
        "roles": list(query.roles),
        "caveats": list(query.caveats),
        "checks": [
            {
                "check": use.check,
                "name": use.name,
                "window": _window(use.window),
                "where": use.where,
                "residual": use.residual,
                "caveats": list(use.caveats),
                "keeps": use.keeps,
            }
            for use in query.uses
        ],
    }


def _window(window: Window | None) -> dict[str, str] | None:
    return (
        None if window is None else {"from": format_instant(window.start), "to": format_instant(window.end)}
    )


def _coverage(coverage: Coverage | None) -> dict[str, Any] | None:
    if coverage is None:
        return None
    return {
        "covered": coverage.covered,
        "uncovered": _window(coverage.uncovered),
        "until": format_instant(coverage.until) if coverage.until else None,
        "note": coverage.note,
    }


def from_document(document: dict[str, Any]) -> Plan:
    """
    Return the plan that a document under `schemas/plan.schema.json` is; `to_document` makes the same of it again.

    Raises:
        ValueError: an instant or a filter in it is none.
    """
    inputs, until = document["inputs"], document["valid_until"]
    return Plan(
        tool_version=document["tool_version"],
        as_of=parse_instant(document["as_of"]),
        policy_digest=document["policy_digest"],
        environments=tuple(PlannedEnvironment(**planned) for planned in document["environments"]),
        queries=tuple(map(_query_from, document["queries"])),
        checks=tuple(document["checks"]),
        skipped=document["skipped"],
        probes=tuple(map(_query_from, document["probes"])),
        requests_unmerged=document["requests_unmerged"],
        valid_until=parse_instant(until) if until else None,
        inputs=Inputs(
            paths=tuple(inputs["paths"]),
            environments=tuple(inputs["environments"]),
            variables=tuple((option, text) for option, text in inputs["variables"]),
            pushdown=inputs["pushdown"],
            merge=inputs["merge"],
            counts=tuple(
                Count(**{**count, "window": _window_from(count["window"])}) for count in inputs["counts"]
            ),
            checks=tuple(inputs["checks"]),
            tags=tuple(inputs["tags"]),
            controls=tuple(inputs["controls"]),
            frameworks=tuple(inputs["frameworks"]),
        ),
    )


def _query_from(document: dict[str, Any]) -> PlannedQuery:
    same = (
        "id", "environment", "resource", "own_resource", "method", "path", "parameters", "filter_parameter",
        "include_partial", "options", "page_size", "expected_records",
    )  # fmt: skip
    requests, rate = document["requests"], document["rate"]
    return PlannedQuery(
        **{name: document[name] for name in same},
        filter=document["filter_template"],
        further_filters=tuple(document["further_filters"]),
        fallbacks=tuple(map(tuple, document["fallbacks"])),
        window=_window_from(document["window"]),
        slices=tuple(_a_window_from(piece) for piece in document["slices"]),
        uses=tuple(
            Use(**{**use, "window": _window_from(use["window"]), "caveats": tuple(use["caveats"])})
            for use in document["checks"]
        ),
        coverage=_coverage_from(document["coverage"]),
        requests_at_least=requests["at_least"],
        requests_exact=requests["exact"],
        requests_expected=requests["expected"],
        rate_group=rate["group"],
        requests_per_s=rate["requests_per_s"],
        roles=tuple(document["roles"]),
        caveats=tuple(document["caveats"]),
        each=_query_from(document["each"]) if document["each"] else None,
    )


def _a_window_from(document: dict[str, str]) -> Window:
    return Window(parse_instant(document["from"]), parse_instant(document["to"]))


def _window_from(document: dict[str, str] | None) -> Window | None:
    return _a_window_from(document) if document else None


def _coverage_from(document: dict[str, Any] | None) -> Coverage | None:
    if document is None:
        return None
    return Coverage(
        covered=document["covered"],
        uncovered=_window_from(document["uncovered"]),
        until=parse_instant(document["until"]) if document["until"] else None,
        note=document["note"],
    )
