"""What the doctor found: the token, the clocks, what may be read, and the roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auditor.model.diagnostic import Diagnostic
from auditor.model.environment import Environment
from auditor.model.evidence import QueryEnd
from auditor.model.plan import HeldRole, NeededRole, PlannedQuery
from auditor.reporter.neutral import one_line
from auditor.reporter.page import Page
from auditor.reporter.text import render_diagnostics
from auditor.reporter.wording import Fact

MAX_SKEW_S: Final = 60
"""Seconds that two clocks may be apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """
    One environment: what was read of it and how that ended, and the roles of its worker application.

    `held` is absent where the worker application may not read its own roles; `spared` are those that are too
    much, with what to do. `clock_skew_s` is by how much PingOne's clock was ahead of ours, where it told.
    """

    environment: Environment
    reads: tuple[tuple[PlannedQuery, QueryEnd], ...]
    token: bool
    clock_skew_s: float | None
    needed: tuple[NeededRole, ...]
    held: tuple[HeldRole, ...] | None
    spared: Mapping[HeldRole, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All environments, what is wrong with them, and what the exit code is and why."""

    environments: tuple[Examined, ...]
    problems: tuple[Diagnostic, ...]
    exit_code: int
    exit_reason: str


def render(found: Examination, *, width: int, color: bool) -> str:
    """Write an examination for a terminal of *width* cells: each environment apart, then what to do."""
    page = Page(width, color=color)
    for number, one in enumerate(found.environments):
        if number:
            page.blank()
        environment = one.environment
        place = [environment.id or "no id", environment.region or "", environment.api_url or "no region"]
        page.put(one_line(f"{environment.name} · {' · '.join(filter(None, place))}"), "bold")
        for good, label, text in _lines(one):
            style = {True: "green", False: "bold red", None: "yellow"}[good]
            word = {True: "ok", False: "FAULT", None: "unknown"}[good]
            page.put(one_line(text), head=f"  {word:8} {label:7}  ", head_style=style)
        page.facts(_roles(one), limit=10_000)
    text = f"{page}\n"
    if found.problems:
        text += render_diagnostics(found.problems, width=width, color=color)
        text += "\n"
    return text


def _lines(one: Examined) -> Iterator[tuple[bool | None, str, str]]:
    credentials = one.environment.credentials
    client = (
        f"client {credentials.client_id} ({credentials.auth_method})" if credentials else "no credentials"
    )
    yield one.token, "token", f"{client} at {one.environment.auth_url or 'an unknown host'}"
    skew_s = one.clock_skew_s
    if skew_s is not None:
        way = "ahead of" if skew_s > 0 else "behind"
        told = f"PingOne's clock is {abs(skew_s):,.0f} s {way} this one" if skew_s else "as PingOne's"
        yield abs(skew_s) <= MAX_SKEW_S, "clock", told
    if one.token:
        for code in dict.fromkeys(end.failure and end.failure.code for _, end in one.reads):
            names = [query.resource for query, end in one.reads if (end.failure and end.failure.code) == code]
            yield code is None, "reads", f"{', '.join(names)}{f' [{code}]' if code else ''}"


def _roles(one: Examined) -> Iterator[Fact]:
    yield "least roles", ", ".join(role.role for role in one.needed)
    if one.held is None:
        yield "held", "not known: the worker application may not read its own roles" if one.token else ""
        return
    for number, role in enumerate(one.held):
        much = " - TOO MUCH" if role in one.spared else ""
        here = role.scope_id == one.environment.id
        where = "this environment" if here else f"{role.scope_type.lower()} {role.scope_id}"
        yield "" if number else "held", f"{role.role}, for {where}{much}"


def document(found: Examination) -> dict[str, Any]:
    """Return an examination as a JSON document; it holds no secret."""
    return {
        "format_version": "1.0",
        "healthy": found.exit_code == 0,
        "exit_code": found.exit_code,
        "exit_reason": found.exit_reason,
        "environments": [_environment(one) for one in found.environments],
        "problems": [
            {
                "severity": problem.level.value,
                "code": problem.code,
                "summary": problem.summary,
                "detail": problem.detail,
                "help": problem.help,
                "subject": problem.subject,
            }
            for problem in found.problems
        ],
    }


def _environment(one: Examined) -> dict[str, Any]:
    environment, credentials = one.environment, one.environment.credentials
    return {
        "name": environment.name,
        "id": environment.id,
        "region": environment.region,
        "api_url": environment.api_url,
        "auth_url": environment.auth_url,
        "client_id": credentials and credentials.client_id,
        "token": one.token,
        "clock_skew_s": one.clock_skew_s,
        "reads": [
            {
                "resource": query.resource,
                "path": query.path,
                "readable": end.failure is None,
                "code": end.failure and end.failure.code,
                "reason": end.failure and end.failure.reason,
                "help": end.failure and end.failure.help,
                "roles": list(query.roles),
                "correlation_ids": list(end.correlation_ids),
            }
            for query, end in one.reads
        ],
        "least_roles": [role.role for role in one.needed],
        "held_roles": None
        if one.held is None
        else [
            {
                "role": role.role,
                "scope": {"type": role.scope_type, "id": role.scope_id},
                "too_much": one.spared.get(role),
            }
            for role in one.held
        ],
    }
