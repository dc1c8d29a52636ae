"""What `doctor` asks: a small read of every planned endpoint, and the roles of the worker application itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from auditor.model.environment import Environment
from auditor.model.plan import Plan, PlannedQuery
from auditor.model.resource import Catalogue, ResourceKind
from auditor.planner.queries import Maker

_OWN: Final = "own_role_assignments"
_ROLES: Final = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """
    A plan of small reads alone, with the catalogue that it is made with.

    `own` are the ids of the queries on the worker application's own role assignments by environment, `names`
    those on the names of roles.
    """

    plan: Plan
    catalogue: Catalogue
    own: Mapping[str, str]
    names: Mapping[str, str]


def checkup(made: Plan, catalogue: Catalogue, environments: Iterable[Environment]) -> Checkup:
    """Return the small reads of a plan: of each resource one record, or one page where no less can be asked for."""
    by_name = {environment.name: environment for environment in environments}
    catalogue = {**catalogue, _OWN: _of_one(catalogue["application_role_assignments"])}
    small: dict[tuple[str, str], PlannedQuery] = {}
    for query in made.queries:
        key = query.environment, query.resource
        if key not in small:
            make = Maker(query.resource, by_name[query.environment], catalogue, made.as_of, own_resources=())
            small[key] = make.probe("/".join(key), query)
    own, names, workers = {}, {}, []
    for name in {query.environment: None for query in made.queries}:
        environment = by_name[name]
        if environment.credentials is None:
            continue
        worker = environment.credentials
        path = f"/environments/{quote(worker.environment_id, safe='')}/applications/{quote(worker.client_id, safe='')}"
        of_own, of_roles = (
            Maker(kind, environment, catalogue, made.as_of, own_resources=()).everything(
                f"{name}/worker/{kind}"
            )
            for kind in (_OWN, _ROLES)
        )
        workers += [replace(of_own, path=f"{path}/roleAssignments"), of_roles]
        own[name], names[name] = of_own.id, of_roles.id
    plan = replace(made, queries=tuple(workers), probes=tuple(small.values()))
    return Checkup(plan=plan, catalogue=catalogue, own=own, names=names)


def _of_one(kind: ResourceKind) -> ResourceKind:
    """Return role assignments as those of one application, which the records then need not name."""
    required = [name for name in kind.item["required"] if name != (kind.for_each and kind.for_each.name)]
    changes = {
        "kind": _OWN,
        "for_each": None,
        "identity": ("id",),
        "item": {**kind.item, "required": required},
    }
    return kind.model_copy(update=changes)
