"""
From a program to a plan: exactly what will be asked, offline.

The plan is a function of its arguments alone; the same program as of the same instant gives the same plan.
"""

from __future__ import annotations

from datetime import datetime
from itertools import count

from auditor import scim
from auditor.model.environment import Environment
from auditor.model.instant import Window
from auditor.model.plan import Plan, PlannedEnvironment, PlannedQuery, coverage
from auditor.model.query import Program
from auditor.model.resource import Catalogue
from auditor.planner.document import to_document
from auditor.planner.merging import Demand, Shared, alone, shared
from auditor.planner.queries import MAX_URL, Maker
from auditor.planner.windows import resolve

__all__ = ["MAX_URL", "plan", "to_document"]


def plan(
    program: Program,
    catalogue: Catalogue,
    *,
    as_of: datetime,
    tool_version: str,
    merge: bool = True,
    given: bool = False,
) -> Plan:
    """
    Return what has to be asked for a program.

    Checks on one resource of one environment share a query where that reads nothing more than one query for
    each would; without *merge* every check has its own. Excluded checks ask for nothing. *as_of* counts in
    whole milliseconds, as PingOne's filters do: what the plan shows is what is asked. With *given*, the records
    come from files, in which none can still appear.

    Raises:
        ValueError: a window leaves the calendar, so near to its first year is *as_of*.
    """
    as_of = as_of.replace(microsecond=as_of.microsecond // 1_000 * 1_000)
    environments = {environment.name: environment for environment in program.environments}
    queries: list[PlannedQuery] = []
    probes: list[PlannedQuery] = []
    requests_unmerged = 0
    for (name, resource), demands in _by_resource(program, catalogue, as_of, settles=not given).items():
        make = _Resource(program, catalogue, environments[name], resource, as_of)
        own = make.queries(alone(demands))
        found = make.queries(make.shared(demands)) if merge else own
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
        skipped={check.name: check.excluded for check in program.checks if check.excluded is not None},
        valid_until=min((q.coverage.until for q in queries if q.coverage and q.coverage.until), default=None),
    )


def _by_resource(
    program: Program, catalogue: Catalogue, as_of: datetime, *, settles: bool
) -> dict[tuple[str, str], list[Demand]]:
    """Return what the checks that are not excluded demand, by environment and resource, in their order."""
    demands: dict[tuple[str, str], list[Demand]] = {}
    number = count()
    for check in program.checks:
        for name, query in check.queries.items() if check.excluded is None else ():
            window = resolve(query, catalogue[query.resource], as_of, settles=settles)
            demand = Demand(number=next(number), check=check, name=name, query=query, window=window)
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
    ) -> None:
        self.kind = catalogue[resource]
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
        return [self.make.query(f"{self.name}/{number}", group) for number, group in enumerate(groups, 1)]

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
