"""`auditor explain` and `auditor graph`: what a plan holds, check by check."""

from __future__ import annotations

from datetime import datetime

from auditor import jmes, planner, scim
from auditor.app.jobs import Job, plan
from auditor.model.diagnostic import Checked, unknown_check
from auditor.model.query import CompiledCheck
from auditor.model.resource import Catalogue, is_optional
from auditor.reporter.explanation import Explanation


def explain(
    job: Job, name: str | None = None, now: datetime | None = None
) -> Checked[tuple[Explanation, ...]]:
    """
    Explain a check, named by its id, with its pack (`pack/check`), or with its environment too; else all selected ones.

    Result: an explanation for each environment and pack that has such a check.
    """
    planned = plan(job, now)
    if planned.value is None:
        return Checked(None, planned.diagnostics)
    program, catalogue = planned.value.program, planned.value.project.catalogue
    known = {check.name: check for check in program.checks}
    found = [
        check
        for full, check in known.items()
        if (check.selected if name is None else f"/{full}".endswith(f"/{name}"))
    ]
    if name is not None and not found:
        ids = {check.id for check in program.checks}
        unknown = unknown_check(name, ids, "the project", "See: auditor plan")
        return Checked(None, (*planned.diagnostics, unknown))
    explained = tuple(
        Explanation(
            check=check,
            plan=planned.value.plan,
            fields=fields_of_check(check, catalogue),
            waivers=program.waivers_of(check),
            kept=tuple(planner.kept(check, each, planned.value.plan.as_of) for each in check.expectations),
        )
        for check in found
    )
    return Checked(explained, planned.diagnostics)


def fields_of_check(check: CompiledCheck, catalogue: Catalogue) -> dict[str, dict[str, bool]]:
    """Return the fields that a check reads, by query, with whether each may be absent."""
    reads: dict[str, set[str]] = {name: set() for name in check.queries}
    for name, query in check.queries.items():
        if query.where:
            rule_of = scim.rules(catalogue[query.resource])
            tree = scim.parse(query.where, check.values)
            reads[name] |= {".".join(rule_of(attribute).path) for attribute in scim.attributes(tree)}
    texts: list[tuple[str | None, str]] = [(None, text) for text in check.bind.values()]
    texts += [(expectation.over, expectation.expression) for expectation in check.expectations]
    for over, text in texts:
        for path in jmes.fields_read(jmes.parse(text, check.values)):
            # What sees all queries together names the query first.
            query_name, _, rest = path.partition(".") if over is None else (over, "", path)
            if query_name in reads and rest:
                reads[query_name].add(rest)
    return {
        name: {
            path: is_optional(catalogue[check.queries[name].resource].item, path) for path in sorted(paths)
        }
        for name, paths in reads.items()
    }
