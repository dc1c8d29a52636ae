"""`auditor doctor`: whether a run could read what is planned, and whether it could do more than that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Final

from auditor import __version__, fetcher, planner
from auditor.app.clock import new_run_id, wall_clock
from auditor.app.jobs import Job, Planned, plan
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.environment import Environment
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import HeldRole
from auditor.model.resource import value_at
from auditor.model.value import JSON
from auditor.reporter import doctor as view
from auditor.reporter.doctor import MAX_SKEW_S, Examination, Examined

ATTEMPTS: Final = 2
"""How often a read is tried: who asks what is wrong does not want to wait for it to pass."""


def examine(
    job: Job, *, require_least_privilege: bool = False, now: datetime | None = None
) -> Checked[Examination]:
    """
    Get tokens, make one small read of every planned endpoint, and look at the worker applications' own roles.

    Result: what was found in each environment. What is missing is an error; what is too much is a warning, or an
    error with *require_least_privilege*, which also demands that the roles can be known.
    """
    planned = plan(job, now, choose=False)
    if planned.value is None:
        return Checked(None, planned.diagnostics)
    project = planned.value.project
    asked = planner.checkup(planned.value.plan, project.catalogue, project.environments)
    ends, records = asyncio.run(_read(asked, planned.value, job))
    examined = tuple(
        _examined(environment, planned.value, asked, ends, records)
        for environment in project.environments
        if any(query.environment == environment.name for query in asked.plan.probes)
    )
    examined = tuple(_with_spared(one, examined, planned.value) for one in examined)
    level = Level.ERROR if require_least_privilege else Level.WARNING
    missing = [problem for one in examined for problem in _missing(one, planned.value)]
    too_much = [problem for one in examined for problem in _too_much(one, level)]
    code, reason = 0, "everything that is planned can be read"
    if missing:
        code, reason = 1, "not everything that is planned can be read"
    elif too_much and require_least_privilege:
        code, reason = 2, "the roles are not known to be the least"
    problems = (*planned.diagnostics, *missing, *dict.fromkeys(too_much))
    return Checked(
        Examination(environments=examined, problems=problems, exit_code=code, exit_reason=reason),
        planned.diagnostics,
    )


def examination_text(found: Examination, *, width: int, color: bool) -> str:
    """Return what was found, for people."""
    return view.render(found, width=width, color=color)


def examination_document(found: Examination) -> str:
    """Return what was found as JSON text."""
    return json.dumps(view.document(found), indent=2) + "\n"


async def _read(
    asked: planner.Checkup, planned: Planned, job: Job
) -> tuple[dict[str, QueryEnd], dict[str, list[JSON]]]:
    """Return how each query ended, and the records of those that are more than a look."""
    settings = fetcher.Settings(
        clock=wall_clock,
        user_agent=f"auditor/{__version__}",
        attempts=ATTEMPTS,
        run_id=new_run_id(wall_clock()),
        concealed=job.concealed,
    )
    environments = {environment.name: environment for environment in planned.project.environments}
    ends: dict[str, QueryEnd] = {}
    records: dict[str, list[JSON]] = {}
    async with aclosing(fetcher.fetch(asked.plan, asked.catalogue, environments, settings)) as events:
        async for event in events:
            if isinstance(event, Page):
                records.setdefault(event.query, []).extend(event.records)
            else:
                ends[event.query] = event
    return ends, records


def _examined(
    environment: Environment,
    planned: Planned,
    asked: planner.Checkup,
    ends: dict[str, QueryEnd],
    records: dict[str, list[JSON]],
) -> Examined:
    name = environment.name
    reads = tuple(
        (query, ends[query.id])
        for query in asked.plan.probes
        if query.environment == name and query.id in ends
    )
    own = ends.get(asked.own.get(name, ""))
    all_ends = [end for _, end in reads] + ([own] if own else [])
    skews = [end.clock_skew_s for end in all_ends if end.clock_skew_s is not None]
    held = None
    if own is not None and own.complete:
        names = {record["id"]: str(record["name"]) for record in records.get(asked.names[name], ())}
        held = tuple(_held(record, names) for record in records.get(own.query, ()))
    return Examined(
        environment=environment,
        reads=reads,
        token=any(end.requests for end in all_ends),  # nothing is sent without one
        clock_skew_s=max(skews, key=abs, default=None),
        needed=tuple(role for role in planner.needed_roles(planned.plan) if role.environment == name),
        held=held,
        spared={},
    )


def _held(record: JSON, names: dict[str, str]) -> HeldRole:
    role = str(value_at(record, "role.id"))
    return HeldRole(
        role=names.get(role, role),
        scope_type=str(value_at(record, "scope.type")),
        scope_id=str(value_at(record, "scope.id")),
    )


def _with_spared(one: Examined, every: Iterable[Examined], planned: Planned) -> Examined:
    """Return an environment with what its worker application holds too much, for all that it reads."""
    if one.held is None:
        return one
    worker = one.environment.credentials
    own = [other.environment for other in every if other.environment.credentials == worker]
    catalogue = planned.project.catalogue
    whole = any(catalogue[query.resource].scope == "organization" for query in planned.plan.queries)
    return replace(one, spared=planner.superfluous(planned.plan, own, one.held, whole_organization=whole))


# What is wrong


def _missing(one: Examined, planned: Planned) -> Iterator[Diagnostic]:
    """Yield what keeps an environment from being read; one reason that several reads have is told once."""
    name, skew_s = one.environment.name, one.clock_skew_s or 0
    failures = dict.fromkeys(end.failure for _, end in one.reads if end.failure is not None)
    if abs(skew_s) > MAX_SKEW_S:
        yield Diagnostic(
            code="evidence.clock",
            summary="Clocks differ",
            detail=f"PingOne's clock and this one are {abs(skew_s):,.0f} s apart: windows would be others.",
            help="Set the clock of this machine (NTP), then run again.",
            subject=name,
        )
    yield from _forbidden(one)
    for failure in failures:
        if failure.code not in ("evidence.clock", "query.forbidden"):
            yield Diagnostic(
                code=failure.code,
                summary="Can not be read" if one.token else "No token",
                detail=failure.reason,
                help=failure.help,
                subject=name,
            )
    for resource, role in planner.partial_reads(planned.plan, one.environment, one.held or ()).items():
        yield Diagnostic(
            code="roles.partial",
            summary="Read in part only",
            detail=f"{resource} is read by {role}, held for a part of the environment alone: the rest does not show.",
            help="Give the role for the whole environment.",
            subject=name,
        )


def _forbidden(one: Examined) -> Iterator[Diagnostic]:
    """Yield what the worker application may not read, with the roles that would do for all of it."""
    refused = {
        query.resource: end.failure.reason
        for query, end in one.reads
        if end.failure is not None and end.failure.code == "query.forbidden"
    }
    if not refused:
        return
    roles = ", ".join(role.role for role in one.needed if refused.keys() & set(role.resources))
    of_environment = {query.resource for query, _ in one.reads if query.path.startswith("/environments/")}
    is_all = bool(of_environment) and of_environment <= refused.keys()
    doubt = "Check the environment's id: it may be another organization's or region's. " if is_all else ""
    yield Diagnostic(
        code="query.forbidden",
        summary="Roles are missing",
        detail=f"Not allowed (status 403): {', '.join(refused)}. {next(iter(refused.values()))}",
        help=f"{doubt}Give the worker application in this environment: {roles}.",
        subject=one.environment.name,
    )


def _too_much(one: Examined, level: Level) -> Iterator[Diagnostic]:
    """Yield what the worker application could spare, or that this is not known."""
    if not any(end.failure is None for _, end in one.reads):
        return
    if one.held is None:
        yield Diagnostic(
            code="roles.unknown",
            summary="Roles not known",
            detail="The worker application may not read its own roles, so whether they are too much is not known.",
            help="Look at them in PingOne, or give it a role that may read them: Configuration Read Only.",
            subject=one.environment.name,
            level=level,
        )
        return
    for role, what_to_do in one.spared.items():
        yield Diagnostic(
            code="roles.too-much",
            summary="More than is needed",
            detail=f"The worker application holds {role.role} for {role.scope_type} {role.scope_id}.",
            help=what_to_do,
            subject=_worker(one),
            level=level,
        )


def _worker(one: Examined) -> str:
    credentials = one.environment.credentials
    return f"worker application {credentials.client_id}" if credentials else one.environment.name
