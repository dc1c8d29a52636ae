"""What is shown besides reports: mistakes, plans, and the vocabulary of policies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Literal

from auditor import config, jmes, planner
from auditor.app.formatting import Formatted
from auditor.model.comparison import Comparison, History
from auditor.model.diagnostic import Diagnostic
from auditor.model.plan import Plan, reads_only
from auditor.reporter import FORMATS
from auditor.reporter import comparison as comparison_view
from auditor.reporter import explanation as explanation_view
from auditor.reporter import graph as graph_view
from auditor.reporter import plan as plan_view
from auditor.reporter import roles as roles_view
from auditor.reporter import schema as schema_view
from auditor.reporter import suggestions as suggestions_view
from auditor.reporter import waivers as waivers_view
from auditor.reporter.diagnostics_json import plain
from auditor.reporter.explanation import Explanation
from auditor.reporter.suggestions import Suggestions


def formats() -> tuple[str, ...]:
    """Return the names of the report formats."""
    return tuple(FORMATS)


def plan_text(plan: Plan, *, width: int, color: bool, probed: bool = False) -> str:
    """Return a plan for people; *probed* tells that first pages were asked for it."""
    return plan_view.render(plan, width=width, color=color, probed=probed)


def plan_document(plan: Plan) -> str:
    """Return a plan as JSON text."""
    return _json(planner.to_document(plan))


def roles_text(plan: Plan, *, width: int, color: bool) -> str:
    """Return the least roles that a plan needs, for people."""
    return roles_view.render(plan, planner.needed_roles(plan), width=width, color=color)


def roles_document(plan: Plan) -> str:
    """Return the least roles that a plan needs, as JSON text."""
    needed = planner.needed_roles(plan)
    roles = [{**asdict(role), "reads_only": reads_only(role.role)} for role in needed]
    return _json({"format_version": "1.0", "roles": roles})


def comparison_text(
    comparison: Comparison,
    form: Literal["text", "json", "markdown"],
    *,
    privacy: Literal["ids", "full"] | None = None,
    width: int,
    color: bool,
) -> str:
    """Return two runs beside one another, in a form; Markdown shows identifiers for names unless *privacy* is given."""
    if (privacy or ("ids" if form == "markdown" else "full")) == "ids":
        comparison = comparison.without_names()
    if form == "markdown":
        return comparison_view.render_markdown(comparison)
    if form == "json":
        return comparison_view.render_json(comparison)
    return comparison_view.render(comparison, width=width, color=color)


def history_text(history: History, *, as_json: bool, width: int, color: bool) -> str:
    """Return what several runs said, for people or as JSON."""
    if as_json:
        return comparison_view.render_json(history)
    return comparison_view.render_history(history, width=width, color=color)


def graph_text(plan: Plan) -> str:
    """Return a plan as a Mermaid flowchart."""
    return graph_view.render(plan)


def explanation_text(explanation: Explanation, *, width: int, color: bool) -> str:
    """Return what can be told of a check before a run, for people."""
    return explanation_view.render(explanation, width=width, color=color)


def explanations_document(explanations: Sequence[Explanation]) -> str:
    """Return what can be told of checks before a run, as JSON text."""
    checks = [explanation_view.document(each) for each in explanations]
    return _json({"format_version": "1.0", "checks": checks})


def pruned_document(runs: Sequence[str], diagnostics: Sequence[Diagnostic], *, only_said: bool) -> str:
    """Return which runs were, or would be, taken away, as JSON text."""
    problems = [plain(diagnostic) for diagnostic in diagnostics]
    return _json({"format_version": "1.0", "dry_run": only_said, "runs": list(runs), "diagnostics": problems})


def formatted_document(files: Sequence[Formatted], diagnostics: Sequence[Diagnostic]) -> str:
    """Return which files are canonical, and what changes in the others, as JSON text."""
    found = [{"file": each.file, "canonical": not each.changed, "diff": each.diff()} for each in files]
    problems = [plain(diagnostic) for diagnostic in diagnostics]
    return _json({"format_version": "1.0", "files": found, "diagnostics": problems})


def waivers_text(standings: Sequence[waivers_view.Standing], *, width: int, color: bool) -> str:
    """Return how waivers stand, for people."""
    return waivers_view.render(standings, width=width, color=color)


def waiver_changes_text(
    changes: Sequence[waivers_view.Change], *, since: str, width: int, color: bool
) -> str:
    """Return what changes of waivers since a revision do, for people."""
    return waivers_view.render_changes(changes, since=since, width=width, color=color)


def diagnostics_document(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return mistakes as JSON text, in the shape of `terraform validate -json`."""
    found = [plain(diagnostic) for diagnostic in diagnostics]
    errors = sum(diagnostic["severity"] == "error" for diagnostic in found)
    return _json(
        {
            "format_version": "1.0",
            "valid": errors == 0,
            "error_count": errors,
            "warning_count": len(found) - errors,
            "diagnostics": found,
        }
    )


def suggestions_text(suggestions: Suggestions, *, as_json: bool = False) -> str:
    """Return suggested values as a file of variables, all commented out, or as JSON text."""
    if as_json:
        return _json(suggestions_view.document(suggestions))
    return suggestions_view.render(suggestions)


DOCUMENTS: Final = (
    "policy", "project", "framework", "resource", "test", "waivers", "report", "plan", "test-report",
)  # fmt: skip
"""The JSON Schemas of documents, each a file `schemas/NAME.schema.json`."""


def schema_names() -> tuple[str, ...]:
    """Return everything that `schema` knows."""
    return (*config.shipped_kinds(), *DOCUMENTS, "functions", "frameworks", *config.shipped_frameworks())


def schema(name: str | None, *, as_json: bool, width: int, color: bool) -> str:
    """
    Return a part of the vocabulary, for people or as JSON.

    Raises:
        KeyError: there is no such part.
    """
    kinds = config.shipped_kinds()
    if name is None:
        if as_json:
            return _json({"format_version": "1.0", "names": list(schema_names())})
        return schema_view.render_kinds(kinds.values(), width=width, color=color)
    if name == "functions":
        functions = list(jmes.FUNCTIONS.values())
        if as_json:
            return _json({"format_version": "1.0", "functions": [_function(f) for f in functions]})
        return schema_view.render_functions(functions, width=width, color=color)
    frameworks = config.shipped_frameworks()
    if name == "frameworks" or name in frameworks:
        found = list(frameworks.values()) if name == "frameworks" else [frameworks[name]]
        if as_json:
            shown = [framework.model_dump(mode="json", exclude={"version"}) for framework in found]
            return _json({"format_version": "1.0", "frameworks": shown})
        return schema_view.render_frameworks(found, width=width, color=color)
    if name in DOCUMENTS:
        return config.shipped("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    kind = kinds[name]
    if as_json:
        return _json({"format_version": "1.0", **kind.model_dump(mode="json")})
    return schema_view.render_kind(kind, width=width, color=color)


def _function(function: jmes.Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "signature": str(function),
        "result": list(function.result),
        "standard": function.standard,
        "summary": function.summary,
        "example": str(function.example),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"
