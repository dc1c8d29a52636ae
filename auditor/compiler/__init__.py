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

from auditor.compiler.checks import File, compile_check
from auditor.compiler.expressions import Records
from auditor.compiler.locals import compile_locals
from auditor.compiler.waivers import compile_waivers
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.project import LoadedPack, Project
from auditor.model.query import CompiledCheck, Program, Pushdown, plain_kinds
from auditor.model.resource import Catalogue
from auditor.model.source import Address

__all__ = ["compile"]


def compile(  # noqa: A001  # the stage's verb
    project: Project, *, pushdown: Pushdown = "documented", digests: bool = True
) -> Checked[Program]:
    """
    Compile every check of a project for each of its environments.

    Result: the program, or None where any check has an error; the mistakes of all checks, each once. Without
    *digests* the program has no digest, which only a plan needs.
    """
    checks: list[CompiledCheck] = []
    diagnostics: dict[Diagnostic, None] = {}
    records = Records(project.catalogue, project.accept_values)
    for environment in project.environments:
        for pack in sorted(project.packs, key=lambda pack: pack.id):
            compiled = _compile_pack(pack, environment.name, project, pushdown, records)
            diagnostics.update(dict.fromkeys(compiled.diagnostics))
            checks += compiled.value or ()
    waivers = compile_waivers(project, checks)
    found = (*diagnostics, *waivers.diagnostics)
    if any(diagnostic.level is Level.ERROR for diagnostic in found):
        return Checked(None, found)
    program = Program(
        checks=tuple(checks),
        environments=project.environments,
        digest=_digest(checks, project.catalogue) if digests else "",
        own_resources=project.own_resources,
        pushdown=pushdown,
        waivers=waivers.value or (),
    )
    return Checked(program, found)


def _compile_pack(
    pack: LoadedPack, environment: str, project: Project, pushdown: Pushdown, records: Records
) -> Checked[tuple[CompiledCheck, ...]]:
    """Compile the checks of a pack, in the order of their names, whatever file they are in."""
    values = project.values.get((environment, pack.id), {})
    checks: dict[str, CompiledCheck] = {}
    diagnostics: list[Diagnostic] = []
    for name, document in pack.files.items():
        made = compile_locals(document.locals, values, Address(file=name).at("locals"))
        diagnostics += made.diagnostics
        if made.value is None:
            continue
        file = File(
            project=project,
            pack=pack,
            name=name,
            document=document,
            environment=environment,
            pushdown=pushdown,
            locals=made.value,
            records=records,
        )
        for shared, query in document.queries.items():
            found = file.query(query, file.address("queries", shared)).diagnostics
            diagnostics += (problem for problem in found if not made.value.explains(problem))
        for check_id, check in document.checks.items():
            compiled = compile_check(check, check_id, file)
            diagnostics += compiled.diagnostics
            if compiled.value is not None:
                checks[check_id] = compiled.value
    return Checked(tuple(checks[check_id] for check_id in sorted(checks)), tuple(diagnostics))


def _digest(checks: Iterable[CompiledCheck], catalogue: Catalogue) -> str:
    """Return the SHA-256 of what decides the verdicts, with sensitive values left out."""
    checks = list(checks)
    content = {
        "checks": [_deciding(check) for check in checks],
        "resources": plain_kinds(checks, catalogue),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _deciding(check: CompiledCheck) -> dict[str, Any]:
    """Return what decides the verdict of a check: neither prose, nor where it stands, nor what is pushed."""
    return {
        "name": check.name,
        "severity": check.severity,
        "excluded": check.excluded is not None,
        "queries": {
            name: {key: value for key, value in asdict(query).items() if key not in ("pushed", "residual")}
            for name, query in check.queries.items()
        },
        "bind": dict(check.bind),
        "expectations": [
            {
                "form": expectation.form,
                "over": expectation.over,
                "expression": expectation.expression,
                "severity": expectation.severity,
                "on_missing": expectation.on_missing,
                "on_empty": dict(expectation.on_empty),
            }
            for expectation in check.expectations
        ],
        "values": {name: None if value.sensitive else value.json for name, value in check.values.items()},
    }
