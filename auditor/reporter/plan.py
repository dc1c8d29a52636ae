"""A plan for people: what will be asked, and what is left to this program."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from auditor import scim
from auditor.model.instant import format_instant
from auditor.model.plan import Coverage, Plan, PlannedQuery, Use
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line
from auditor.reporter.page import Page
from auditor.reporter.wording import Fact

_WHOLE: Final = 1_000_000
"""What will be asked is shown whole, however long it is."""


_NAMED: Final = 10
"""Checks that are named beside the reason for which they are skipped; of more there is only the number."""


def render(plan: Plan, *, width: int, color: bool, probed: bool = False) -> str:
    """
    Write a plan for a terminal of *width* cells; *probed* tells that first pages were asked for it.

    Shape: a line about the plan as a whole; per environment every query with its decoded filter, window,
    coverage, requests and roles, and below it each check with the part of its filter that is evaluated here;
    what is skipped; one line that sums up.
    """
    page = Page(width, color=color)
    page.put(f"Plan as of {format_instant(plan.as_of)} · policies {plan.policy_digest}", "dim")
    ids = {environment.name: environment for environment in plan.environments}
    for name, queries in groupby(plan.queries, key=lambda query: query.environment):
        environment = ids[name]
        known = [environment.id or "no id yet", environment.region or environment.api_url or "no region yet"]
        page.section(one_line(f"{name} · {' · '.join(known)}"))
        for query in queries:
            page.blank()
            own = "  (defined by this project)" if query.own_resource else ""
            page.put(one_line(f"{query.method} {query.path}{own}"), "bold", head=f"  {query.id}  ")
            page.facts(_facts(query), limit=_WHOLE)
        for probe in plan.probes:
            if probe.environment == name:
                text = "asked only if nothing is found above, since a silent log proves nothing: 1 record"
                page.blank()
                page.put(one_line(f"{text} of {probe.resource}"), head=f"  {probe.id}  ")
    if plan.skipped:
        page.section("Skipped")
        for reason in dict.fromkeys(plan.skipped.values()):
            names = [name for name, own in plan.skipped.items() if own == reason]
            told = ", ".join(names) if len(names) <= _NAMED else quantity(len(names), "check")
            page.put(one_line(f"{reason.removesuffix('.')}: {told}"), head="  ")
    page.blank()
    asked = "First pages alone have been asked." if probed else "Nothing has been asked yet."
    page.put(f"{_summary(plan)} {asked}", "bold")
    return str(page)


def _facts(query: PlannedQuery) -> Iterator[Fact]:
    if query.filter:
        yield "filter", one_line(scim.fill_window(query.filter, query.window))
    for text in query.further_filters:
        yield "and", one_line(scim.fill_window(text, query.window))
    if query.fallbacks:
        yield "if refused", _fallbacks(query)
    if query.each:
        yield (
            "each",
            one_line(f"of {query.each.method} {query.each.path} (one of {', '.join(query.each.roles)})"),
        )
    yield "parameters", one_line(", ".join(f"{name}={value}" for name, value in query.parameters.items()))
    if query.window:
        slices = f", in {len(query.slices)} slices" if len(query.slices) > 1 else ""
        yield "window", f"{query.window}{slices}"
    yield "coverage", _coverage(query.coverage)
    number = quantity(query.requests_at_least, "request")
    rate = f"{query.requests_per_s:g} a second ({query.rate_group})"
    expected = f", about {query.requests_expected} expected" if _is_estimated(query) else ""
    yield "requests", f"{'' if query.requests_exact else 'at least '}{number}{expected}, at most {rate}"
    yield "roles", f"one of {', '.join(query.roles)}"
    for caveat in query.caveats:
        yield "caveat", one_line(caveat)
    for use in query.uses:
        yield "serves", one_line(f"{use.check}, {use.name}" if use.name else use.check)
        yield "", f"here: {_here(use, query)}"
        if use.keeps:
            yield "", one_line(f"keeps: {use.keeps}")
        for caveat in use.caveats:
            yield "", one_line(f"caveat: {caveat}")


def _is_estimated(query: PlannedQuery) -> bool:
    return not query.requests_exact and query.requests_expected is not None


def _fallbacks(query: PlannedQuery) -> str:
    steps = [
        "the window alone" if len(step) == 1 else f"{len(step)} filters, one by one"
        for step in query.fallbacks
    ]
    return ", then ".join(steps)


def _here(use: Use, query: PlannedQuery) -> str:
    """Return what this program evaluates of a check."""
    window = f"the window {use.window}" if use.window != query.window else ""
    return " and ".join(filter(None, (window, one_line(use.residual)))) or "the window only"


def _coverage(coverage: Coverage | None) -> str:
    if coverage is None:
        return "what is there now"
    if coverage.covered:
        until = f" until {format_instant(coverage.until)}" if coverage.until else ""
        return f"the whole window can be read{until}"
    return f"NOT COVERED: {coverage.uncovered}. {one_line(coverage.note)}"


def _summary(plan: Plan) -> str:
    saved = plan.requests_unmerged - plan.requests_at_least
    saving = f" ({saved} fewer than with one query for each check)" if saved > 0 else ""
    exact = all(query.requests_exact for query in plan.queries)
    valid = f" Valid until {format_instant(plan.valid_until)}." if plan.valid_until else ""
    queries = quantity(len(plan.queries), "query").replace("querys", "queries")
    requests = f"{'' if exact else 'at least '}{quantity(plan.requests_at_least, 'request')}{saving}"
    return f"{quantity(len(plan.checks), 'check')}, {queries}, {requests}.{valid}"
