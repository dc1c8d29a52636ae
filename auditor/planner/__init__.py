"""
From a program to a plan: exactly what will be asked, offline.

The plan is a function of its arguments alone; the same program as of the same instant gives the same plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from auditor import scim
from auditor.model.environment import Environment
from auditor.model.instant import Duration, Window, edges
from auditor.model.plan import Plan, PlannedEnvironment, PlannedQuery, Use, coverage
from auditor.model.query import CompiledCheck, CompiledQuery, Program
from auditor.model.resource import Catalogue, ResourceKind
from auditor.planner.document import to_document
from auditor.planner.windows import bucket_length, resolve, settled

__all__ = ["MAX_URL", "plan", "to_document"]

MAX_URL: Final = 6_000
"""Bytes of path and query of the longest URL: PingOne's platform limits name 6 KB for all headers together."""

_SOONEST: Final = timedelta(milliseconds=1)
"""How long after the plan's instant the first request is sent at the least: what ages out with it is gone by then."""


def plan(program: Program, catalogue: Catalogue, *, as_of: datetime, tool_version: str) -> Plan:
    """
    Return what has to be asked for a program.

    Checks on one resource of one environment that need the same records share one query. Excluded checks
    ask for nothing. *as_of* counts in whole milliseconds, as PingOne's filters do: what the plan shows is
    what is asked.

    Raises:
        ValueError: a window leaves the calendar, so near to its first year is *as_of*.
    """
    as_of = as_of.replace(microsecond=as_of.microsecond // 1_000 * 1_000)
    groups: dict[tuple[object, ...], list[CompiledCheck]] = {}
    for check in program.checks:
        if check.excluded is None:
            query = check.query
            window = resolve(query, catalogue[query.resource], as_of)
            options = tuple(sorted(query.options.items()))
            key = (check.environment, query.resource, window, query.include_partial, options, query.pushed)
            groups.setdefault(key, []).append(check)
    environments = {environment.name: environment for environment in program.environments}
    numbers: dict[str, int] = {}
    queries = []
    for checks in groups.values():
        environment = environments[checks[0].environment]
        name = f"{environment.name}/{checks[0].query.resource}"
        numbers[name] = numbers.get(name, 0) + 1
        planned = _query(
            f"{name}/{numbers[name]}",
            checks[0].query,
            environment,
            catalogue,
            as_of,
            own=program.own_resources,
        )
        uses = tuple(
            Use(check=check.name, where=check.query.where, residual=check.query.residual) for check in checks
        )
        queries.append(replace(planned, uses=uses))
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
        skipped={check.name: check.excluded for check in program.checks if check.excluded is not None},
        valid_until=min((q.coverage.until for q in queries if q.coverage and q.coverage.until), default=None),
    )


def _query(
    query_id: str,
    query: CompiledQuery,
    environment: Environment,
    catalogue: Catalogue,
    as_of: datetime,
    *,
    own: frozenset[str],
) -> PlannedQuery:
    kind = catalogue[query.resource]
    each = None
    if kind.for_each is not None:
        every = _everything(catalogue[kind.for_each.resource])
        each = _query(f"{query_id}/each", every, environment, catalogue, as_of, own=own)
    window = resolve(query, kind, as_of)
    length = bucket_length(query, kind)
    slices = _slices(window, kind)
    page_size = _page_size(kind, query.options)
    requests, exact = _requests(query, kind, slices, page_size, as_of)
    path = _path(kind, environment)
    parameters = _parameters(kind, query.options, page_size)
    filter_text = _filter(query, kind, window)
    return PlannedQuery(
        id=query_id,
        environment=environment.name,
        resource=kind.kind,
        method="POST" if _needs_post(kind, path, parameters, filter_text, window) else "GET",
        path=path,
        parameters=parameters,
        filter_parameter=kind.filter.parameter if kind.filter and filter_text else None,
        filter=filter_text,
        window=window,
        slices=slices,
        include_partial=query.include_partial,
        options=query.options,
        uses=(),
        coverage=coverage(window, kind, as_of + _SOONEST),
        # How many records of another kind there are, nobody knows before they are read.
        requests_at_least=each.requests_at_least if each else requests,
        requests_exact=exact and not each,
        page_size=page_size,
        expected_records=None if window is None or length is None or each else _periods(window, length),
        rate_group=kind.rate.group,
        requests_per_s=kind.rate.requests / kind.rate.per_s * kind.rate.share,
        roles=kind.roles,
        caveats=(*kind.caveats, *_unsettled(kind, window, as_of)),
        own_resource=kind.kind in own,
        each=each,
    )


def _everything(kind: ResourceKind) -> CompiledQuery:
    """Return the query for all records of a kind."""
    return CompiledQuery(
        resource=kind.kind,
        window=None,
        include_partial=False,
        options={name: option.default for name, option in kind.options.items()},
        where="",
        pushed="",
        residual="",
    )


def _path(kind: ResourceKind, environment: Environment) -> str:
    """Return the path below the API base; an identifier that is not known yet stays a name in braces."""
    path = kind.path
    known = {"environment_id": environment.id, "organization_id": environment.organization_id}
    for name, value in known.items():
        if value is not None:
            path = path.replace(f"{{{name}}}", value)
    return path


def _page_size(kind: ResourceKind, options: Mapping[str, str | int]) -> int | None:
    limit = kind.page.limit
    if limit is None:
        return None
    for option, sizes in limit.by_option.items():
        if (size := sizes.get(str(options.get(option)))) is not None:
            return size
    return limit.default


def _parameters(
    kind: ResourceKind, options: Mapping[str, str | int], page_size: int | None
) -> dict[str, str]:
    parameters = dict(kind.page.parameters)
    for name, option in kind.options.items():
        if option.parameter is not None:
            parameters[option.parameter] = str(options[name])
    if kind.page.limit is not None:
        parameters[kind.page.limit.parameter] = str(page_size)
    return parameters


def _filter(query: CompiledQuery, kind: ResourceKind, window: Window | None) -> str:
    """Return the filter with `${window.start}` and `${window.end}` for the ends of a slice."""
    terms: list[scim.Filter] = []
    if kind.window is not None and window is not None:
        for bound, name in ((kind.window.start, "window.start"), (kind.window.end, "window.end")):
            if bound is not None:
                attribute, operator = scim.Attribute(bound.attribute), scim.Operator(bound.operator)
                terms.append(scim.Compare(attribute, operator, scim.Placeholder(name)))
    for name, option in kind.options.items():
        if option.attribute is not None:
            value = scim.Literal(str(query.options[name]))
            terms.append(scim.Compare(scim.Attribute(option.attribute), scim.Operator.EQ, value))
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
    return tuple(Window(start, end) for start, end in zip(starts, [*starts[1:], window.end], strict=True))


def _needs_post(
    kind: ResourceKind, path: str, parameters: Mapping[str, str], filter_text: str, window: Window | None
) -> bool:
    """Tell whether a filter is too long or too personal for a URL, where the endpoint has another way."""
    if kind.post is None or kind.filter is None or not filter_text:
        return False
    known = kind.filter.attributes
    if any(known[name].personal for name in scim.attributes(scim.parse(filter_text)) if name in known):
        return True
    sent = {kind.filter.parameter: scim.fill_window(filter_text, window), **parameters}
    return len(f"{path}?{urlencode(sent, quote_via=quote)}") > MAX_URL


def _requests(
    query: CompiledQuery,
    kind: ResourceKind,
    slices: tuple[Window, ...],
    page_size: int | None,
    as_of: datetime,
) -> tuple[int, bool]:
    """Return how many requests a query takes at least, and whether it takes exactly as many."""
    at_least, length = max(len(slices), 1), bucket_length(query, kind)
    if kind.page.next is None:
        return at_least, True
    # An endpoint without an end of the range answers up to now, however short the window.
    until_now = kind.window is not None and kind.window.end is None
    if page_size is None or length is None or not slices or not until_now:
        return at_least, False
    periods = _periods(Window(slices[0].start, max(slices[-1].end, as_of)), length)
    return max(math.ceil(periods / page_size), 1), True


def _periods(window: Window, length: Duration) -> int:
    """Return how many buckets begin in a window."""
    return sum(1 for _ in edges(window, length))


def _unsettled(kind: ResourceKind, window: Window | None, as_of: datetime) -> tuple[str, ...]:
    """Return what has to be said of a window whose newest records may not have appeared yet."""
    if window is None or kind.buckets is not None or window.end <= settled(kind, as_of):
        return ()
    late = f"Records may appear up to {kind.settling} late, so the newest of the window may be missing"
    return (f"{late}; window: hot ends before them.",)
