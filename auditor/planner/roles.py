"""The least administrator roles with which a plan can be run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from auditor.model.environment import Environment
from auditor.model.plan import HeldRole, NeededRole, Plan, PlannedQuery, reads_only

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


def superfluous(
    plan: Plan, environments: Iterable[Environment], held: Iterable[HeldRole], *, whole_organization: bool
) -> dict[HeldRole, str]:
    """
    Return the roles of one worker application that are too much for some environments, with what to do.

    *environments* are all that it reads, *whole_organization* tells whether anything that is planned belongs to
    the organization and not to one of them. What stays reads as much as all of them.
    """
    held, environments = list(held), list(environments)
    spared = dict.fromkeys(held, "Nothing that is planned needs it: take it away.")
    for environment in environments:
        readers = _readers(query for query in plan.queries if query.environment == environment.name)
        here = [one for one in held if _reaches(one, environment)]
        best = least(readers)
        kept = {one.role for one in here}.intersection(best)
        # What the least roles do not read already needs others that are held.
        rest = {name: roles for name, roles in readers.items() if kept.isdisjoint(roles)}
        instead = ", ".join(role for role in best if role not in kept)
        for role in (*kept, *least(rest, {one.role for one in here})):
            # One that reaches the environment alone is less than one for the whole organization.
            one = min(
                (one for one in here if one.role == role), key=lambda one: one.scope_type == "ORGANIZATION"
            )
            if role not in kept and not reads_only(role):
                spared[one] = f"It can change things. Instead of it these will do: {instead}."
            elif one.scope_type == "ORGANIZATION" and not whole_organization:
                names = ", ".join(found.name for found in environments)
                spared[one] = f"It reaches the whole organization. Limit it to: {names}."
            else:
                spared.pop(one, None)
    return spared


def partial_reads(plan: Plan, environment: Environment, held: Iterable[HeldRole]) -> dict[str, str]:
    """Return what is read by a role for a part of an environment alone, such as a population, with that role."""
    held = list(held)
    whole = {one.role for one in held if _reaches(one, environment)}
    part = {one.role for one in held if one.scope_type not in _WHOLE}
    readers = _readers(query for query in plan.queries if query.environment == environment.name)
    return {
        name: role
        for name, roles in readers.items()
        if whole.isdisjoint(roles) and (role := _first(roles, part)) is not None
    }


def _reaches(one: HeldRole, environment: Environment) -> bool:
    """Tell whether a role holds for all of an environment. Where the organization is not named, it is the worker's."""
    if one.scope_type == "ENVIRONMENT":
        return one.scope_id == environment.id
    return one.scope_type == "ORGANIZATION"


_WHOLE: Final = ("ORGANIZATION", "ENVIRONMENT")
