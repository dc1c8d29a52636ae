"""The least administrator roles with which a plan can be run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

from auditor.model.plan import NeededRole, Plan, PlannedQuery, reads_only

Readers = Mapping[str, Sequence[str]]
"""The roles that may read a resource, the least first, by the name of the resource."""


def needed_roles(plan: Plan) -> tuple[NeededRole, ...]:
    """
    Return the least roles for each environment of a plan: those that can change least, and as few as will do.

    Each resource stands with the first of its roles that is among them.
    """
    return tuple(
        NeededRole(
            environment=environment.name,
            role=role,
            resources=tuple(name for name, roles in readers.items() if _first(roles, chosen) == role),
            checks=() if reads_only(role) else _only_writers(queries),
        )
        for environment in plan.environments
        for queries in [[query for query in plan.queries if query.environment == environment.name]]
        for readers in [_readers(queries)]
        for chosen in [least(readers)]
        for role in chosen
    )


def _only_writers(queries: Iterable[PlannedQuery]) -> tuple[str, ...]:
    """Return the checks that read what no role may read that can change nothing."""
    found = (
        use.check
        for query in queries
        if not all(any(map(reads_only, roles)) for roles in _readers([query]).values())
        for use in query.uses
    )
    return tuple(dict.fromkeys(found))


def _readers(queries: Iterable[PlannedQuery]) -> Readers:
    """Return who may read what queries ask for, and what they ask for first."""
    asked = [one for query in queries for one in (query.each, query) if one is not None]
    return {query.resource: query.roles for query in asked}


def _first(roles: Sequence[str], chosen: Collection[str]) -> str | None:
    return next((role for role in roles if role in chosen), None)


def least(readers: Readers, among: Collection[str] | None = None) -> tuple[str, ...]:
    """
    Return the least roles that together may read all resources, or as many as any of *among* may.

    Fewer roles that can change something are less; of these, those that resources name earlier; then fewer roles.
    """
    wanted = {
        name: [role for role in roles if among is None or role in among] for name, roles in readers.items()
    }
    ranks: dict[str, int] = {}
    for roles in wanted.values():
        for rank, role in enumerate(roles):
            ranks[role] = max(ranks.get(role, 0), rank)
    sets = {frozenset(roles) for roles in wanted.values() if roles}
    # A resource that whoever may read another one may read too decides nothing.
    deciding = [one for one in sets if not any(other < one for other in sets)]
    candidates = sorted(frozenset().union(*deciding), key=lambda role: (ranks[role], role))
    if not candidates:
        return ()
    covering = (
        chosen
        for size in range(1, len(deciding) + 1)
        for chosen in combinations(candidates, size)
        if all(one.intersection(chosen) for one in deciding)
    )
    return min(
        covering,
        key=lambda chosen: (
            sum(not reads_only(role) for role in chosen),
            sum(ranks[role] for role in chosen if not reads_only(role)),
            len(chosen),
            sum(ranks[role] for role in chosen),
        ),
    )
