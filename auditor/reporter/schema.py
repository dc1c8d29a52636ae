"""Resource kinds for people: what a policy can ask for, and what a record holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor import jmes
from auditor.model.framework import Framework
from auditor.model.resource import Option, ResourceKind, WindowRule, fields
from auditor.reporter.neutral import one_line
from auditor.reporter.page import Page
from auditor.reporter.wording import Fact


def render_kinds(kinds: Iterable[ResourceKind], *, width: int, color: bool) -> str:
    """Write the known resource kinds, one line each."""
    page = Page(width, color=color)
    page.put("Resource kinds", "bold")
    for kind in kinds:
        page.put(kind.kind, "bold", head="  ")
        page.put(one_line(kind.summary), head="      ")
    page.blank()
    page.put(
        "More of one: auditor schema KIND. Functions: auditor schema functions. Criteria: auditor schema frameworks. "
        "Documents, as JSON Schemas: auditor schema policy | project | framework | resource | plan | report."
    )
    return str(page)


def render_frameworks(frameworks: Iterable[Framework], *, width: int, color: bool) -> str:
    """Write frameworks with the criteria that they list."""
    page = Page(width, color=color)
    for framework in frameworks:
        page.section(one_line(f"{framework.framework}: {framework.title}"))
        page.put(one_line(framework.scope))
        page.put(f"Period: {framework.period_days} days", "dim")
        for criterion, title in framework.criteria.items():
            page.put(one_line(title), head=f"  {one_line(criterion):9}  ")
    page.blank()
    page.put(
        "Checks name criteria in controls; a project changes that under policies and adds files of its own under "
        "frameworks: auditor schema framework."
    )
    return str(page).lstrip()


def render_kind(kind: ResourceKind, *, width: int, color: bool) -> str:
    """Write everything that a policy's author needs to know of one kind."""
    page = Page(width, color=color)
    page.put(kind.kind, "bold")
    page.put(one_line(kind.summary))
    page.facts(_facts(kind))
    if kind.options:
        page.section("Options of a query")
        for name, option in kind.options.items():
            page.put(one_line(f"{name}: {_option(option)}"), head="  ")
    page.section("Fields of a record (in expressions and in `where`)")
    attributes = {
        rule.path: (name, rule) for name, rule in (kind.filter.attributes if kind.filter else {}).items()
    }
    for path, schema, many in fields(kind.item):
        name, rule = attributes.get(path, (path, None))
        server = f"  server: {' '.join(rule.operators)}" if rule else ""
        optional = "" if path in kind.item.get("required", ()) or "." in path else "  optional"
        shown = f"{schema.get('format', schema.get('type', 'anything'))}{' (several)' if many else ''}"
        page.put(one_line(f"{name}  {shown}{optional}{server}"), head="  ")
        if description := schema.get("description"):
            page.put(one_line(description), "dim", head="      ")
    return str(page)


def _facts(kind: ResourceKind) -> Iterator[Fact]:
    yield "endpoint", f"GET {kind.path}"
    if rule := kind.for_each:
        yield "each", f"once for each record of {rule.resource}, which is {rule.name} in every record"
    yield "window", _window(kind.window)
    if kind.retention:
        yield "held", f"the last {kind.retention.hot} at once. {kind.retention.older}"
    yield (
        "empty",
        "an error, unless the policy says otherwise" if kind.empty == "error" else "an ordinary day",
    )
    yield (
        "rate",
        f"{kind.rate.requests} requests in {kind.rate.per_s:g} s for the licence ({kind.rate.group})",
    )
    yield "roles", f"one of {', '.join(kind.roles)}"
    for caveat in kind.caveats:
        yield "caveat", one_line(caveat)
    for source in kind.sources:
        yield "source", one_line(f"{source.title}, read {source.read}")


def _window(rule: WindowRule | None) -> str:
    if rule is None:
        return "none: what is there now"
    longest = f", at most {rule.longest} a query (longer windows are cut)" if rule.longest else ""
    end = "" if rule.end else "; the endpoint always answers up to now"
    return f"by {rule.start.attribute}{longest}{end}"


def _option(option: Option) -> str:
    choice = " | ".join(option.values) or f"{option.type} from {option.minimum} to {option.maximum}"
    return f"{choice} (default {option.default}). {option.summary}"


def render_functions(functions: Iterable[jmes.Function], *, width: int, color: bool) -> str:
    """Write the functions of expressions, the auditor's own first."""
    page = Page(width, color=color)
    for title, standard in (("Functions of the auditor", False), ("Functions of JMESPath", True)):
        page.section(title)
        for function in functions:
            if function.standard is standard:
                page.put(f"{function} -> {' or '.join(function.result)}", "bold", head="  ")
                page.put(one_line(function.summary), head="      ")
    return str(page)
