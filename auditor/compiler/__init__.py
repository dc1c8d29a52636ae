"""
From policies to a program: filters split, expressions checked, every default decided.

Nothing here asks anybody anything, and nothing is evaluated: a mistake that can be seen without a tenant is
found here, all of them in one call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from auditor.compiler.expressions import check_expression, check_message
from auditor.compiler.queries import compile_query
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.policy import Check, Expectation, OnEmpty
from auditor.model.project import LoadedPack, Project
from auditor.model.query import CompiledCheck, CompiledExpectation, Program, Pushdown
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.source import Address
from auditor.model.value import Values

__all__ = ["compile"]


def compile(project: Project, *, pushdown: Pushdown = "documented") -> Checked[Program]:  # noqa: A001  # the stage's verb
    """
    Compile every check of a project for each of its environments.

    Result: the program, or None where any check has an error; the mistakes of all checks, each once.
    """
    checks: list[CompiledCheck] = []
    diagnostics: dict[Diagnostic, None] = {}
    for environment in project.environments:
        for pack in sorted(project.packs, key=lambda pack: pack.id):
            values = project.values.get((environment.name, pack.id), {})
            for check_id, check, address in _checks(pack):
                compiled = _compile_check(
                    check, check_id, pack, environment.name, values, address, project, pushdown
                )
                diagnostics.update(dict.fromkeys(compiled.diagnostics))
                if compiled.value is not None:
                    checks.append(compiled.value)
    found = tuple(diagnostics)
    if any(diagnostic.level is Level.ERROR for diagnostic in found):
        return Checked(None, found)
    program = Program(
        checks=tuple(checks),
        environments=project.environments,
        digest=_digest(checks, project.catalogue),
        own_resources=project.own_resources,
    )
    return Checked(program, found)


def _checks(pack: LoadedPack) -> list[tuple[str, Check, Address]]:
    """Return the checks of a pack with their addresses, in the order of their names, whatever file they are in."""
    found = [
        (check_id, check, Address(file=file).at("checks", check_id))
        for file, document in pack.files.items()
        for check_id, check in document.checks.items()
    ]
    return sorted(found, key=lambda entry: entry[0])


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
    used = set(query.value.values) if query.value else set()
    severity = pack.severities.get(check_id, check.severity)
    kind = project.catalogue.get(check.query.resource)
    expectations = []
    for position, expectation in enumerate(check.expect):
        here = address.at("expect", position)
        message = expectation.message or check.message
        checked = [check_expression(expectation.expression, values, here.at(expectation.form))]
        if message is not None:
            owner = here if expectation.message else address
            checked.append(check_message(message, values, owner.at("message")))
        for part in checked:
            used |= part.value or frozenset()
            problems += part.diagnostics
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
    if query.value is None or any(problem.level is Level.ERROR for problem in problems):
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
        query=query.value.query,
        expectations=tuple(expectations),
        remediation=check.remediation,
        references=check.references,
        values={name: value for name, value in values.items() if name in used},
        address=address,
        excluded=pack.excluded.get(check_id),
    )
    return Checked(compiled, tuple(problems))


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


def _digest(checks: Iterable[CompiledCheck], catalogue: Catalogue) -> str:
    """Return the SHA-256 of what decides the verdicts, with sensitive values left out."""
    checks = list(checks)
    kinds = sorted({check.query.resource for check in checks})
    content = {
        "checks": [_deciding(check) for check in checks],
        "resources": {name: catalogue[name].model_dump(mode="json") for name in kinds},
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _deciding(check: CompiledCheck) -> dict[str, Any]:
    """Return what decides the verdict of a check: neither prose, nor where it stands, nor what is pushed."""
    query = asdict(check.query)
    return {
        "name": check.name,
        "severity": check.severity,
        "excluded": check.excluded is not None,
        "query": {key: value for key, value in query.items() if key not in ("pushed", "residual")},
        "expectations": [
            {
                "form": expectation.form,
                "expression": expectation.expression,
                "severity": expectation.severity,
                "on_missing": expectation.on_missing,
                "on_empty": expectation.on_empty,
            }
            for expectation in check.expectations
        ],
        "values": {name: None if value.sensitive else value.json for name, value in check.values.items()},
    }
