"""One planned query: path, parameters, filter, slices, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from auditor import scim
from auditor.model.environment import Environment
from auditor.model.instant import Duration, Window, edges
from auditor.model.plan import PlannedQuery, Use, coverage
from auditor.model.query import CompiledQuery
from auditor.model.resource import Catalogue, ForEach, ResourceKind
from auditor.planner.keeping import kept_of
from auditor.planner.merging import EVERYTHING, Demand, Shared
from auditor.planner.windows import bucket_length

MAX_URL: Final = 6_000
"""Bytes of path and query of the longest URL: PingOne's platform limits name 6 KB for all headers together."""

_SOONEST: Final = timedelta(milliseconds=1)
"""How long after the plan's instant the first request is sent at the least: what ages out with it is gone by then."""


class Maker:
    """Makes the planned queries on one resource of one environment."""

    def __init__(
        self,
        resource: str,
        environment: Environment,
        catalogue: Catalogue,
        as_of: datetime,
        *,
        own_resources: Collection[str],
    ) -> None:
        self.kind = catalogue[resource]
        self.environment = environment
        self.catalogue = catalogue
        self.as_of = as_of
        self.own_resources = own_resources

    def query(self, query_id: str, group: Shared) -> PlannedQuery:
        """Return the query that serves a group of demands."""
        query, pushed = group.demands[0].query, group.pushed
        return replace(
            self._planned(query_id, query, group.window, pushed),
            fallbacks=self._fallbacks(query, group),
            uses=tuple(self._use(demand, pushed) for demand in group.demands),
        )

    def scan(self, query_id: str, query: PlannedQuery) -> PlannedQuery:
        """Return a query for all records of the window of another one."""
        compiled = replace(self._everything(), options=query.options, include_partial=query.include_partial)
        return self._planned(query_id, compiled, query.window, EVERYTHING)

    def everything(self, query_id: str) -> PlannedQuery:
        """Return the query for all records."""
        return self._planned(query_id, self._everything(), None, EVERYTHING)

    def _everything(self) -> CompiledQuery:
        return CompiledQuery(
            resource=self.kind.kind,
            window=None,
            include_partial=False,
            options={name: option.default for name, option in self.kind.options.items()},
            where="",
            pushed="",
            residual="",
        )

    def _planned(
        self, query_id: str, query: CompiledQuery, window: Window | None, pushed: scim.Filter
    ) -> PlannedQuery:
        kind = self.kind
        each = None
        if kind.for_each is not None:
            each = self._of(kind.for_each).everything(f"{query_id}/each")
        length = bucket_length(query, kind)
        slices = _slices(window, kind)
        page_size = _page_size(kind, query.options)
        path = _path(kind, self.environment)
        parameters = _parameters(kind, query.options, page_size)
        text = self._filter(query, pushed, window)
        is_post = _needs_post(kind, path, parameters, text, window)
        filters: tuple[str, ...] = (text,)
        if not is_post and not _fits(kind, path, parameters, text, window):
            filters = self._split(query, pushed, path, parameters, window)
        requests, exact = _requests(query, kind, slices, page_size, self.as_of)
        return PlannedQuery(
            id=query_id,
            environment=self.environment.name,
            resource=kind.kind,
            method="POST" if is_post else "GET",
            path=path,
            parameters=parameters,
            filter_parameter=kind.filter.parameter if kind.filter and text else None,
            filter=filters[0],
            further_filters=filters[1:],
            window=window,
            slices=slices,
            include_partial=query.include_partial,
            options=query.options,
            uses=(),
            coverage=coverage(window, kind, self.as_of + _SOONEST),
            # How many records of another kind there are, nobody knows before they are read.
            requests_at_least=each.requests_at_least if each else requests * len(filters),
            requests_exact=exact and not each,
            page_size=page_size,
            expected_records=None if window is None or length is None or each else _periods(window, length),
            rate_group=kind.rate.group,
            requests_per_s=_rate(kind),
            roles=kind.roles,
            caveats=kind.caveats,
            own_resource=kind.kind in self.own_resources,
            each=each,
        )

    def probe(self, query_id: str, longest: PlannedQuery) -> PlannedQuery:
        """Return the request that shows whether there is any record at all where a query would find some."""
        kind, window = self.kind, longest.slices[-1] if longest.slices else None
        parameters = dict(longest.parameters)
        if kind.page.limit is not None:
            parameters[kind.page.limit.parameter] = str(kind.page.limit.minimum)
        text = self._filter(longest, EVERYTHING, window)
        return replace(
            longest,
            id=query_id,
            method="GET",
            parameters=parameters,
            filter=text,
            filter_parameter=kind.filter.parameter if kind.filter and text else None,
            further_filters=(),
            fallbacks=(),
            window=window,
            slices=(window,) if window else (),
            uses=(),
            requests_at_least=1,
            requests_exact=True,
            page_size=kind.page.limit.minimum if kind.page.limit is not None else None,
            caveats=(),
            each=self._of(kind.for_each).probe(f"{query_id}/each", longest.each)
            if kind.for_each and longest.each
            else None,
        )

    def _of(self, other: ForEach) -> Maker:
        """Return the maker of queries on the kind of whose records each has a collection of its own."""
        own = self.own_resources
        return Maker(other.resource, self.environment, self.catalogue, self.as_of, own_resources=own)

    def fits(self, demand: Demand, pushed: scim.Filter) -> bool:
        """Tell whether a filter can be asked in one request."""
        kind, options = self.kind, demand.query.options
        path, parameters = (
            _path(kind, self.environment),
            _parameters(kind, options, _page_size(kind, options)),
        )
        text = self._filter(demand.query, pushed, demand.window)
        return kind.post is not None or _fits(kind, path, parameters, text, demand.window)

    def _use(self, demand: Demand, pushed: scim.Filter) -> Use:
        return Use(
            check=demand.check.name,
            name=demand.name,
            window=demand.own,
            where=demand.query.where,
            residual=scim.residual(demand.where, pushed),
            caveats=_unsettled(self.kind, demand.own, self.as_of),
            keeps=kept_of(demand.check, demand.name, self.as_of),
        )

    def _filter(self, query: CompiledQuery | PlannedQuery, pushed: scim.Filter, window: Window | None) -> str:
        """Return the filter with `${window.start}` and `${window.end}` for the ends of a slice."""
        kind = self.kind
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
        if pushed != EVERYTHING:
            terms.append(pushed)
        return scim.render(scim.all_of(terms)) if terms else ""

    def _fallbacks(self, query: CompiledQuery, group: Shared) -> tuple[tuple[str, ...], ...]:
        """Return what is asked where the server refuses a filter of several demands: theirs one by one, then none."""
        parts = group.parts
        if len(parts) < 2 or group.pushed == EVERYTHING:
            return ()
        one_by_one = tuple(self._filter(query, part, group.window) for part in parts)
        return (one_by_one, (self._filter(query, EVERYTHING, group.window),))

    def _split(
        self,
        query: CompiledQuery,
        pushed: scim.Filter,
        path: str,
        parameters: Mapping[str, str],
        window: Window | None,
    ) -> tuple[str, ...]:
        """Return filters that fit a URL each and together ask for the same; the range alone where none does."""
        pending, done = [pushed], []
        while pending:
            part = pending.pop()
            text = self._filter(query, part, window)
            if _fits(self.kind, path, parameters, text, window):
                done.append(text)
            elif halves := _halves(part):
                pending += reversed(halves)
            else:
                return (self._filter(query, EVERYTHING, window),)
        return tuple(done)


def _halves(tree: scim.Filter) -> tuple[scim.Filter, scim.Filter] | None:
    """Return two filters of which one has to hold where the given one does; None where it is no choice."""
    match tree:
        case scim.Or(terms):
            middle = len(terms) // 2
            return scim.any_of(terms[:middle]), scim.any_of(terms[middle:])
        case scim.And(terms):
            for position, term in enumerate(terms):
                if halves := _halves(term):
                    left, right = (
                        scim.all_of((*terms[:position], half, *terms[position + 1 :])) for half in halves
                    )
                    return left, right
    return None


def _rate(kind: ResourceKind) -> float:
    """Return how many requests a second to send: a limiter that counts by the second admits no half of one."""
    rate = kind.rate.requests / kind.rate.per_s * kind.rate.share
    return math.floor(rate) if rate >= 1 else rate


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


def _slices(window: Window | None, kind: ResourceKind) -> tuple[Window, ...]:
    """Cut a window into spans that one query may ask for, the oldest first, since that ages first."""
    if window is None:
        return ()
    if kind.window is None or kind.window.longest is None:
        return (window,)
    starts = list(edges(window, Duration.parse(kind.window.longest)))
    return tuple(Window(start, end) for start, end in zip(starts, [*starts[1:], window.end], strict=True))


def _needs_post(
    kind: ResourceKind, path: str, parameters: Mapping[str, str], text: str, window: Window | None
) -> bool:
    """Tell whether a filter is too long or too personal for a URL, where the endpoint has another way."""
    if kind.post is None or kind.filter is None or not text:
        return False
    known = kind.filter.attributes
    if any(known[name].personal for name in scim.attributes(scim.parse(text)) if name in known):
        return True
    return not _fits(kind, path, parameters, text, window)


def _fits(
    kind: ResourceKind, path: str, parameters: Mapping[str, str], text: str, window: Window | None
) -> bool:
    if kind.filter is None or not text:
        return True
    sent = {kind.filter.parameter: scim.as_sent(text, window), **parameters}
    return len(f"{path}?{urlencode(sent, quote_via=quote)}") <= MAX_URL


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
    if window is None or kind.buckets is not None or window.end <= kind.settled(as_of):
        return ()
    late = f"Records may appear up to {kind.settling} late, so the newest of the window may be missing"
    return (f"{late}; window: hot ends before them.",)
