"""The resource kinds: the shipped ones and the project's own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from auditor.config import documents
from auditor.config.files import read_text
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.resource import ResourceKind


def shipped(*parts: str) -> Path:
    """
    Return a file or folder that ships with the program, such as `shipped("schemas", "resources")`.

    In an installed program it lies inside the package; in a checkout beside it.
    """
    package = Path(str(files("auditor")))
    inside = package.joinpath("_shipped", *parts)
    return inside if inside.exists() else package.parent.joinpath(*parts)


@cache
def shipped_kinds() -> dict[str, ResourceKind]:
    """Return the shipped resource kinds by name."""
    kinds = {}
    for path in sorted(shipped("schemas", "resources").glob("*.yaml")):
        checked = read_kind(path, path.name)
        if checked.value is None:
            raise RuntimeError(f"a shipped resource kind is broken: {checked.diagnostics}")
        kinds[checked.value.kind] = checked.value
    return kinds


def read_kind(path: Path, file: str) -> Checked[ResourceKind]:
    """Read one resource kind."""
    text = read_text(path, file)
    if text.value is None:
        return Checked(None, text.diagnostics)
    return documents.read(ResourceKind, text.value, file)


_REFUSED_PATHS = ("secret", "token", "password", "credential", "authorize")


def own_kinds(paths: list[tuple[Path, str]]) -> Checked[dict[str, ResourceKind]]:
    """
    Read the project's own resource kinds.

    A kind may not take the name of a shipped one, nor read a path that answers with secrets or tokens.
    """
    kinds: dict[str, ResourceKind] = {}
    diagnostics: list[Diagnostic] = []
    for path, file in paths:
        checked = read_kind(path, file)
        diagnostics += checked.diagnostics
        kind = checked.value
        if kind is None:
            continue
        if kind.kind in shipped_kinds() or kind.kind in kinds:
            diagnostics.append(
                Diagnostic(
                    code="resource.duplicate-kind",
                    summary="Duplicate resource kind",
                    detail=f'There is a resource kind "{kind.kind}" already.',
                    help="Give it another name.",
                    subject=file,
                )
            )
        if any(step.casefold().rstrip("s") in _REFUSED_PATHS for step in kind.path.split("/")):
            diagnostics.append(
                Diagnostic(
                    code="resource.refused-path",
                    summary="Path is refused",
                    detail=f'"{kind.path}" answers with secrets, tokens or credentials, which are never read.',
                    help="Remove the resource kind.",
                    subject=file,
                )
            )
        kinds[kind.kind] = kind
    return Checked(kinds, tuple(diagnostics))
