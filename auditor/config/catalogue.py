"""The resource kinds: the shipped ones and the project's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from auditor.config import documents
from auditor.config.descriptors import Flaw, lint, lint_holders, refused_path
from auditor.config.files import read_text, shipped
from auditor.config.request import Reading
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.source import Address


class _Kinds(Mapping[str, ResourceKind]):
    """Resource kinds by name: the shipped ones, each of which is read when it is first asked for, and others."""

    def __init__(self, own: Mapping[str, ResourceKind]) -> None:
        self._own = own

    def __getitem__(self, name: str) -> ResourceKind:
        return self._own[name] if name in self._own else _shipped_kind(name)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in _shipped_names()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*_shipped_names(), *self._own)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def catalogue(own: Mapping[str, ResourceKind]) -> Catalogue:
    """Return the shipped resource kinds and others by name; to ask for a broken shipped one is a RuntimeError."""
    return _Kinds(own)


def shipped_kinds() -> Catalogue:
    """Return the shipped resource kinds by name, as `catalogue` does."""
    return _Kinds({})


@cache
def _shipped_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in shipped("schemas", "resources").glob("*.yaml")))


@cache
def _shipped_kind(name: str) -> ResourceKind:
    if name not in _shipped_names():
        raise KeyError(name)
    path = shipped("schemas", "resources", f"{name}.yaml")
    checked = documents.read(ResourceKind, read_text(path, path.name).value or "", path.name)
    if checked.value is None or checked.value.kind != name:
        raise RuntimeError(f"the shipped resource kind {name} is broken: {checked.diagnostics}")
    return checked.value


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
        for flaw in lint_holders(kind, catalogue(kinds)):
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
