"""
From a program to a plan: exactly what will be asked, offline.

The plan is a function of its arguments alone; the same program as of the same instant gives the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import count

from auditor import scim
from auditor.model.environment import Environment
from auditor.model.instant import Window
from auditor.model.plan import Count, Plan, PlannedEnvironment, PlannedQuery, coverage
from auditor.model.query import CompiledCheck, Program
from auditor.model.resource import Catalogue
from auditor.planner.checkup import Checkup, checkup
from auditor.planner.counts import Counts
from auditor.planner.document import from_document, to_document
from auditor.planner.keeping import kept
from auditor.planner.merging import EVERYTHING, Demand, Shared, alone, length, shared, span
from auditor.planner.queries import MAX_URL, Maker
from auditor.planner.roles import least, needed_roles, partial_reads, superfluous
from auditor.planner.windows import narrowed, resolve

__all__ = [
    "MAX_URL",
    "Checkup",
    "checkup",
    "from_document",
    "kept",
    "least",
    "needed_roles",
    "partial_reads",
    "plan",
    "samples",
    "superfluous",
    "to_document",
]


def plan(
    program: Program,
    catalogue: Catalogue,
    *,
    as_of: datetime,
    tool_version: str,
    merge: bool = True,
    given: bool = False,
    counts: Iterable[Count] = (),
) -> Plan:
    """
    Return what has to be asked for a program.

    Checks on one resource of one environment share a query where that reads nothing more than one query for
    each would; without *merge* every check has its own. Skipped checks ask for nothing. *as_of* counts in
    whole milliseconds, as PingOne's filters do: what the plan shows is what is asked. With *given*, the records
    come from files, in which none can still appear. Where *counts* show that one scan of a window takes no more
    requests than several filters, it is scanned.

    Raises:
        ValueError: a window leaves the calendar, so near to its first year is *as_of*.
    """
    as_of = as_of.replace(microsecond=as_of.microsecond // 1_000 * 1_000)
    environments = {environment.name: environment for environment in program.environments}
    queries: list[PlannedQuery] = []
    probes: list[PlannedQuery] = []
    requests_unmerged = 0
    known = Counts(counts)
    skipped = {
        check.name: skip for check in program.checks if (skip := _skip(check, given=given)) is not None
    }
    asked = [check for check in program.checks if check.name not in skipped]
    for (name, resource), demands in _by_resource(asked, catalogue, as_of, settles=not given).items():
        make = _Resource(program, catalogue, environments[name], resource, as_of, known)
        own = make.queries(alone(demands))
        found = make.queries(make.scanned(make.shared(demands))) if merge else own
        requests_unmerged += sum(query.requests_at_least for query in own)
        queries += found
        probes += make.probes(found)
    return Plan(
        tool_version=tool_version,
        as_of=as_of,
        policy_digest=program.digest,
        environments=tuple(
            PlannedEnvironment(name=e.name, id=e.id, region=e.region, api_url=e.api_url)
            for e in program.environments
        ),
        queries=tuple(queries),
        probes=tuple(probes),
        requests_unmerged=requests_unmerged,
        checks=tuple(check.name for check in program.checks),
        skipped=skipped,
        valid_until=min((q.coverage.until for q in queries if q.coverage and q.coverage.until), default=None),
    )


def samples(
    program: Program, catalogue: Catalogue, *, as_of: datetime, tool_version: str
) -> tuple[PlannedQuery, ...]:
    """
    Return queries whose first pages tell how much there is to read: those of a plan, and scans of their windows.

    Each is about the newest slice of its window alone.
    """
    made = plan(program, catalogue, as_of=as_of, tool_version=tool_version)
    environments = {environment.name: environment for environment in program.environments}
    found: dict[tuple[object, ...], PlannedQuery] = {}
    for query in made.queries:
        environment = environments[query.environment]
        own = program.own_resources
        make = Maker(query.resource, environment, catalogue, as_of, own_resources=own)
        for sample in (query, make.scan(f"{query.id}/scan", query)):
            newest = sample.slices[-1:]
            key = (sample.environment, sample.resource, sample.filter, newest)
            if newest and sample.each is None:
                found.setdefault(key, replace(sample, window=newest[0], slices=newest, uses=()))
    return tuple(found.values())


def _skip(check: CompiledCheck, *, given: bool) -> str | None:
    """Return why nothing is asked for a check; None where something is."""
    if check.excluded is None and check.archive is not None and not given:
        kinds = dict.fromkeys(query.resource for query in check.queries.values())
        options = " ".join(f"--records {kind}=FILE" for kind in kinds)
        return f"It is about more than PingOne holds at once; give an export: {options}"
    return check.excluded


def _by_resource(
    checks: Iterable[CompiledCheck], catalogue: Catalogue, as_of: datetime, *, settles: bool
) -> dict[tuple[str, str], list[Demand]]:
    """Return what checks demand, by environment and resource, in their order."""
    demands: dict[tuple[str, str], list[Demand]] = {}
    number = count()
    for check in checks:
        for name, query in check.queries.items():
            kind = catalogue[query.resource]
            own = resolve(query, kind, as_of, settles=settles)
            where = scim.parse(query.where, check.values) if query.where else EVERYTHING
            demand = Demand(
                number=next(number),
                check=check,
                name=name,
                query=query,
                where=where,
                window=narrowed(own, where, kind),
                own=own,
            )
            demands.setdefault((check.environment, query.resource), []).append(demand)
    return demands


class _Resource:
    """Plans the queries on one resource of one environment."""

    def __init__(
        self,
        program: Program,
        catalogue: Catalogue,
        environment: Environment,
        resource: str,
        as_of: datetime,
        counts: Counts,
    ) -> None:
        self.kind = catalogue[resource]
        self.counts = counts
        self.name = f"{environment.name}/{resource}"
        self.as_of = as_of
        self.pushdown = program.pushdown
        self.make = Maker(resource, environment, catalogue, as_of, own_resources=program.own_resources)

    def shared(self, demands: list[Demand]) -> list[Shared]:
        """Return demands in groups that share a query, in the order of their first."""
        alike: dict[tuple[object, ...], list[Demand]] = {}
        for demand in demands:
            alike.setdefault(demand.kind, []).append(demand)
        groups = []
        for members in alike.values():

            def fits(pushed: scim.Filter, like: Demand = members[0]) -> bool:
                return self.make.fits(like, pushed)

            groups += shared(members, self.kind, self.pushdown, fits=fits, is_held=self._is_held)
        return sorted(groups, key=lambda group: group.demands[0].number)

    def queries(self, groups: list[Shared]) -> list[PlannedQuery]:
        """Return the query of each group, numbered."""
        return [self._query(f"{self.name}/{number}", group) for number, group in enumerate(groups, 1)]

    def _query(self, query_id: str, group: Shared) -> PlannedQuery:
        query = self.make.query(query_id, group)
        return replace(query, requests_expected=self.counts.requests(query))

    def scanned(self, groups: list[Shared]) -> list[Shared]:
        """Return groups with some of them as one scan, where counts show that this takes no more requests."""
        if not self.counts:
            return groups
        for longest in sorted(groups, key=lambda group: -length(group.window)):
            window, members = longest.window, []
            for group in groups:
                alike = group.demands[0].kind == longest.demands[0].kind
                joined = span(window, group.window, self.kind, self._is_held) if alike else None
                if joined or (alike and group.window == window):
                    window = joined or window
                    members.append(group)
            demands = sorted((d for group in members for d in group.demands), key=lambda d: d.number)
            scan = Shared(demands=tuple(demands), window=window, pushed=EVERYTHING)
            if self._is_cheaper(scan, members):
                rest = [group for group in groups if group not in members]
                return sorted([*self.scanned(rest), scan], key=lambda group: group.demands[0].number)
        return groups

    def _is_cheaper(self, scan: Shared, groups: list[Shared]) -> bool:
        """Tell whether one scan is known to take no more requests than several queries."""
        at_once = self._query("", scan).requests_expected
        apart = [self._query("", group) for group in groups]
        expected = [query.requests_expected for query in apart if query.requests_expected is not None]
        if at_once is None or len(expected) < len(apart):
            return False
        is_one = len(apart) == 1 and not apart[0].further_filters
        return not is_one and at_once <= sum(expected)

    def probes(self, queries: list[PlannedQuery]) -> list[PlannedQuery]:
        """Return the one request that tells an empty answer from a silent log, where emptiness is normal."""
        spans = [
            (query.window.end - query.window.start, query)
            for query in queries
            if query.window and query.slices
        ]
        if self.kind.empty != "normal" or not spans:
            return []
        _, longest = max(spans, key=lambda span: span[0])
        return [self.make.probe(f"{self.name}/probe", longest)]

    def _is_held(self, window: Window | None) -> bool:
        held = coverage(window, self.kind, self.as_of)
        return held is None or held.covered
