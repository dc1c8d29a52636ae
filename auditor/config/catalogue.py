"""The resource kinds: the shipped ones and the project's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from auditor.config import documents
from auditor.config.descriptors import Flaw, lint, lint_holders, refused_path
from auditor.config.files import read_text, shipped
from auditor.config.request import Reading
from auditor.model.resource import ResourceKind
from auditor.model.source import Address


@cache
def shipped_kinds() -> dict[str, ResourceKind]:
    """
    Return the shipped resource kinds by name.

    Raises:
        RuntimeError: the installation is broken.
    """
    kinds = {}
    for path in sorted(shipped("schemas", "resources").glob("*.yaml")):
        checked = documents.read(ResourceKind, read_text(path, path.name).value or "", path.name)
        if checked.value is None:
            raise RuntimeError(f"a shipped resource kind is broken: {checked.diagnostics}")
        kinds[checked.value.kind] = checked.value
    return kinds


def own_kinds(paths: Sequence[str], reading: Reading) -> dict[str, ResourceKind] | None:
    """
    Read the project's own resource kinds; return them by name, or None where there is a mistake in any.

    A kind may not take the name of a shipped one, contradict itself, or read a path that answers with secrets.
    """
    kinds: dict[str, ResourceKind] = {}
    places: dict[str, Address] = {}
    before = len(reading.problems)
    for file in paths:
        kind = reading.document(ResourceKind, reading.folder / file, file)
        if kind is None:
            continue
        here = Address(file=file)
        if kind.kind in shipped_kinds() or kind.kind in kinds:
            reading.problem(
                "resource.duplicate-kind",
                "Duplicate resource kind",
                f'There is a resource kind "{kind.kind}" already.',
                help="Give it another name.",
                address=here.at("kind"),
            )
        if detail := refused_path(kind):
            reading.problem(
                "resource.refused-path",
                "Path is refused",
                detail,
                help="Only what the environment or organization of a run holds is read, and never a secret.",
                address=here.at("path"),
            )
        for flaw in lint(kind):
            _incoherent(flaw, here, reading)
        kinds[kind.kind] = kind
        places[kind.kind] = here
    for kind in kinds.values():
        for flaw in lint_holders(kind, {**shipped_kinds(), **kinds}):
            _incoherent(flaw, places[kind.kind], reading)
    return kinds if len(reading.problems) == before else None


def _incoherent(flaw: Flaw, here: Address, reading: Reading) -> None:
    reading.problem(
        "resource.incoherent",
        "Resource kind contradicts itself",
        flaw.detail,
        help=flaw.help or "See: auditor schema resource",
        address=here.at(*flaw.route),
    )
