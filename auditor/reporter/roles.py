"""The least roles of a plan, for people."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.model.plan import NeededRole, Plan, reads_only
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line
from auditor.reporter.page import Page


def render(plan: Plan, roles: Sequence[NeededRole], *, width: int, color: bool) -> str:
    """Write roles by environment, each with what it is for; of those that can change something, for which checks."""
    page = Page(width, color=color)
    page.put(f"The least roles of the worker application, for {quantity(len(plan.checks), 'check')}", "bold")
    for environment in plan.environments:
        page.section(one_line(f"{environment.name} · {environment.id or 'no id yet'}"))
        for role in (role for role in roles if role.environment == environment.name):
            page.put(one_line(role.role), "bold", head="  ")
            page.facts(_facts(role), limit=10_000)
    page.blank()
    page.put(
        "Give them to the worker application limited to these environments; what an organization holds, such as "
        "licences, may need the whole organization. A new worker application has the roles of who made it: take the "
        "others away. auditor doctor tells what is missing and what is too much."
    )
    return str(page)


def _facts(role: NeededRole) -> list[tuple[str, str]]:
    facts = [("reads", ", ".join(role.resources))]
    if not reads_only(role.role):
        facts.append(
            ("beware", "It can change things; a role that only reads would do but for these checks.")
        )
        facts.append(("checks", ", ".join(role.checks)))
    return facts
