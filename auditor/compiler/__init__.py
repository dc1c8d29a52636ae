"""
From policies to a program: filters split, expressions checked, every default decided.

Nothing here asks anybody anything, and nothing is evaluated: a mistake that can be seen without a tenant is
found here, all of them in one call.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, is_dataclass
from typing import Any

from auditor.compiler.expressions import check_expression, check_message
from auditor.compiler.queries import compile_query
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.policy import Check, Expectation, OnEmpty
from auditor.model.project import LoadedPack, Project
from auditor.model.query import CompiledCheck, CompiledExpectation, Program, Pushdown
from auditor.model.resource import ResourceKind
from auditor.model.source import Address
from auditor.model.value import Value, Values

__all__ = ["compile"]


def compile(project: Project, *, pushdown: Pushdown = "documented") -> Checked[Program]:  # noqa: A001  # the stage's verb
    """
    Compile every check of a project for each of its environments.

    Result: the program, or None where any check has an error; the mistakes of all checks.
    """
    checks: list[CompiledCheck] = []
    diagnostics: dict[Diagnostic, None] = {}
    for environment in project.environments:
        for pack in project.packs:
            values = project.values.get((environment.name, pack.id), {})
            for file, document in pack.files.items():
                for check_id, check in document.checks.items():
                    address = Address(file=file).at("checks", check_id)
                    compiled = _compile_check(
                        check, check_id, pack, environment.name, values, address, project, pushdown
                    )
                    diagnostics.update(dict.fromkeys(compiled.diagnostics))
                    if compiled.value is not None:
                        checks.append(compiled.value)
    ordered = tuple(sorted(checks, key=lambda check: (_position(check, project), check.pack, check.id)))
    found = tuple(diagnostics)
    if any(diagnostic.level == "error" for diagnostic in found):
        return Checked(None, found)
    program = Program(
        checks=ordered,
        environments=project.environments,
        digest=_digest(ordered, project),
        own_resources=project.own_resources,
    )
    return Checked(program, found)


def _position(check: CompiledCheck, project: Project) -> int:
    return next(i for i, e in enumerate(project.environments) if e.name == check.environment)


def _compile_check(
    check: Check,
    check_id: str,
    pack: LoadedPack,
    environment: str,
    values: Values,
    address: Address,
    project: Project,
    pushdown: Pushdown,
) -> Checked[CompiledCheck]:
    query = compile_query(
        check.query,
        values,
        address.at("query"),
        catalogue=project.catalogue,
        pushdown=pushdown,
        accept_values=project.accept_values,
    )
    problems = list(query.diagnostics)
    severity = pack.severities.get(check_id, check.severity)
    kind = project.catalogue.get(check.query.resource)
    expectations = []
    for position, expectation in enumerate(check.expect):
        here = address.at("expect", position)
        problems += check_expression(expectation.expression, values, here.at(expectation.form))
        message = expectation.message or check.message
        if message is not None:
            where = here if expectation.message else address
            problems += check_message(message, values, where.at("message"))
        expectations.append(
            CompiledExpectation(
                form=expectation.form,
                expression=expectation.expression,
                severity=expectation.severity or severity,
                message=message,
                on_missing=expectation.on_missing or check.on_missing,
                on_empty=_on_empty(expectation, check, kind),
                address=here,
            )
        )
    if problems or query.value is None:
        return Checked(None, tuple(problems))
    compiled = CompiledCheck(
        environment=environment,
        pack=pack.id,
        pack_title=pack.title,
        id=check_id,
        title=check.title,
        description=check.description,
        severity=severity,
        controls=check.controls,
        tags=check.tags,
        query=query.value,
        expectations=tuple(expectations),
        remediation=check.remediation,
        references=check.references,
        values=_used(values, check, expectations),
        address=address,
        excluded=pack.excluded.get(check_id),
    )
    return Checked(compiled)


def _on_empty(expectation: Expectation, check: Check, kind: ResourceKind | None) -> OnEmpty | None:
    """
    Return what an empty population counts as; None where the expression itself decides.

    The descriptor decides unless the policy does: no events is an ordinary day, no counts is news. `that`
    over no events is evaluated like any other list; `some` of nothing fails.
    """
    given = expectation.on_empty or check.on_empty
    if given is not None:
        return given
    if kind is None or kind.empty == "error":
        return "error"
    if expectation.form == "that":
        return None
    return "fail" if expectation.form == "some" else "pass"


def _used(values: Values, check: Check, expectations: list[CompiledExpectation]) -> Values:
    """Return the values that a check names."""
    texts = [
        check.query.where or "",
        *(e.expression for e in expectations),
        *(e.message or "" for e in expectations),
    ]
    return {name: value for name, value in values.items() if any(f"${{{name}}}" in text for text in texts)}


def _digest(checks: tuple[CompiledCheck, ...], project: Project) -> str:
    """Return the SHA-256 of what decides the verdicts, with sensitive values left out."""
    kinds = sorted({check.query.resource for check in checks})
    content = {
        "checks": [_plain({**asdict(check), "address": None}) for check in checks],
        "resources": {name: project.catalogue[name].model_dump(mode="json") for name in kinds},
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(value: Any) -> Any:
    match value:
        case {"json": json_value, "sensitive": sensitive, "origin": _}:
            return None if sensitive else json_value
        case dict():
            return {key: _plain(inner) for key, inner in value.items() if key != "address"}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case Value():
            return None if value.sensitive else value.json
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
