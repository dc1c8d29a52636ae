"""
From a program to a plan: exactly what will be asked, offline.

The plan is a function of its arguments alone; the same program as of the same instant gives the same plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from auditor import scim
from auditor.model.instant import Duration, Window, edges
from auditor.model.plan import Plan, PlannedEnvironment, PlannedQuery, Use, coverage
from auditor.model.query import CompiledCheck, CompiledQuery, Program
from auditor.model.resource import Catalogue, Limit, ResourceKind
from auditor.planner.document import to_document
from auditor.planner.windows import bucket_length, resolve

__all__ = ["plan", "to_document"]

MAX_URL: Final = 6_000
"""Bytes of the longest URL: PingOne's platform limits name 6 KB for headers, of which the URL is a part."""


def plan(program: Program, catalogue: Catalogue, *, as_of: datetime, tool_version: str) -> Plan:
    """
    Return what has to be asked for a program.

    Checks on one resource of one environment that need the same records share one query. Excluded checks
    ask for nothing.
    """
    groups: dict[tuple[object, ...], list[CompiledCheck]] = {}
    skipped: dict[str, str] = {}
    for check in program.checks:
        if check.excluded is not None:
            skipped[check.name] = check.excluded
            continue
        query = check.query
        kind = catalogue[query.resource]
        window = resolve(query, kind, as_of)
        key = (
            check.environment,
            kind.kind,
            window,
            query.include_partial,
            *query.options.items(),
            query.pushed,
        )
        groups.setdefault(key, []).append(check)
    counts: dict[tuple[str, str], int] = {}
    queries = []
    for checks in groups.values():
        first = checks[0]
        number = counts[first.environment, first.query.resource] = (
            counts.get((first.environment, first.query.resource), 0) + 1
        )
        query_id = f"{first.environment}/{first.query.resource}/{number}"
        queries.append(_query(query_id, checks, program, catalogue[first.query.resource], as_of))
    return Plan(
        tool_version=tool_version,
        as_of=as_of,
        policy_digest=program.digest,
        environments=tuple(
            PlannedEnvironment(name=e.name, id=e.id, region=e.region, api_url=e.api_url)
            for e in program.environments
        ),
        queries=tuple(queries),
        checks=tuple(check.name for check in program.checks),
        skipped=skipped,
        valid_until=_first(q.coverage.until for q in queries if q.coverage),
    )


def _first(instants: Iterable[datetime | None]) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _query(
    query_id: str, checks: list[CompiledCheck], program: Program, kind: ResourceKind, as_of: datetime
) -> PlannedQuery:
    query = checks[0].query
    environment = next(e for e in program.environments if e.name == checks[0].environment)
    window = resolve(query, kind, as_of)
    slices = _slices(window, kind)
    limit = _page_size(kind.page.limit, query.options) if kind.page.limit else None
    filter_text = _filter(query, kind, window)
    path = kind.path
    for name, value in (("environment_id", environment.id), ("organization_id", environment.organization_id)):
        if value is not None:
            path = path.replace(f"{{{name}}}", value)
    parameters = dict(kind.page.parameters)
    parameters |= {
        option.parameter: str(query.options[name])
        for name, option in kind.options.items()
        if option.parameter is not None
    }
    if kind.page.limit and limit is not None:
        parameters[kind.page.limit.parameter] = str(limit)
    expected = _expected(query, kind, window)
    periods = _periods_until_now(query, kind, window, as_of)
    exact = kind.page.next is None or (periods is not None and limit is not None)
    requests = math.ceil((periods or 1) / (limit or 1)) if exact and limit else len(slices) or 1
    return PlannedQuery(
        id=query_id,
        environment=environment.name,
        resource=kind.kind,
        method="POST" if kind.post and _needs_post(filter_text, path, kind) else "GET",
        path=path,
        parameters=parameters,
        filter_parameter=kind.filter.parameter if kind.filter and filter_text else None,
        filter=filter_text,
        window=window,
        slices=slices,
        include_partial=query.include_partial,
        options=query.options,
        uses=tuple(
            Use(check=check.name, where=check.query.where, residual=check.query.residual) for check in checks
        ),
        coverage=coverage(window, kind, as_of),
        requests_at_least=requests,
        requests_exact=exact,
        page_size=limit,
        expected_records=expected,
        rate_group=kind.rate.group,
        requests_per_s=kind.rate.requests / kind.rate.per_s * kind.rate.share,
        roles=kind.roles,
        caveats=kind.caveats,
        own_resource=kind.kind in program.own_resources,
    )


def _page_size(limit: Limit, options: Mapping[str, str | int]) -> int:
    for option, sizes in limit.by_option.items():
        if (size := sizes.get(str(options.get(option)))) is not None:
            return size
    return limit.default


def _filter(query: CompiledQuery, kind: ResourceKind, window: Window | None) -> str:
    """Return the filter with `${window.start}` and `${window.end}` for the ends of a slice."""
    terms: list[scim.Filter] = []
    if kind.window is not None and window is not None:
        for bound, name in ((kind.window.start, "window.start"), (kind.window.end, "window.end")):
            if bound is not None:
                attribute, operator = scim.Attribute(bound.attribute), scim.Operator(bound.operator)
                terms.append(scim.Compare(attribute, operator, scim.Placeholder(name)))
    terms += [
        scim.Compare(
            scim.Attribute(option.attribute), scim.Operator.EQ, scim.Literal(str(query.options[name]))
        )
        for name, option in kind.options.items()
        if option.attribute is not None
    ]
    if query.pushed:
        terms.append(scim.parse(query.pushed))
    return scim.render(scim.all_of(terms)) if terms else ""


def _slices(window: Window | None, kind: ResourceKind) -> tuple[Window, ...]:
    """Cut a window into spans that one query may ask for, the oldest first, since that ages first."""
    if window is None:
        return ()
    if kind.window is None or kind.window.longest is None:
        return (window,)
    starts = list(edges(window, Duration.parse(kind.window.longest)))
    return tuple(Window(s, e) for s, e in zip(starts, [*starts[1:], window.end], strict=True))


def _needs_post(filter_text: str, path: str, kind: ResourceKind) -> bool:
    if len(quote(filter_text)) + len(path) > MAX_URL:
        return True
    names = scim.attributes(scim.parse(filter_text)) if filter_text else frozenset()
    attributes = kind.filter.attributes if kind.filter else {}
    return any(attributes[name].personal for name in names if name in attributes)


def _expected(query: CompiledQuery, kind: ResourceKind, window: Window | None) -> int | None:
    """Return how many buckets a complete answer has in the window."""
    length = bucket_length(query, kind)
    if length is None or window is None:
        return None
    return sum(1 for _ in edges(window, length))


def _periods_until_now(
    query: CompiledQuery, kind: ResourceKind, window: Window | None, as_of: datetime
) -> int | None:
    """Return how many buckets the endpoint answers where it always answers up to now."""
    length = bucket_length(query, kind)
    if length is None or window is None or kind.window is None or kind.window.end is not None:
        return None
    return sum(1 for _ in edges(Window(window.start, max(as_of, window.end)), length))
