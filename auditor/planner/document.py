"""The plan as a document: plain JSON with a `format_version` (`schemas/plan.schema.json`)."""

from __future__ import annotations

from typing import Any, Final

from auditor import scim
from auditor.model.instant import Window, format_instant
from auditor.model.plan import Coverage, Plan, PlannedQuery

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
