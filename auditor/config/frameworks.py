"""The frameworks that verdicts can be shown by: the shipped ones and the project's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from auditor.config import documents
from auditor.config.files import read_text, shipped
from auditor.config.request import PACK_PREFIX, PROJECT_FILE, Reading
from auditor.model.diagnostic import Level, did_you_mean, nearest
from auditor.model.framework import Framework
from auditor.model.project import LoadedPack, PolicySource, ProjectFile
from auditor.model.source import Address


@cache
def shipped_frameworks() -> Mapping[str, Framework]:
    """Return the shipped frameworks by name; a broken one is a RuntimeError."""
    found = {}
    for path in sorted(shipped("schemas", "frameworks").glob("*.yaml")):
        checked = documents.read(Framework, read_text(path, path.name).value or "", path.name)
        if checked.value is None or checked.value.framework != path.stem:
            raise RuntimeError(f"the shipped framework {path.stem} is broken: {checked.diagnostics}")
        found[checked.value.framework] = checked.value
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Named:
    """What one place says of the controls of a check: a framework and criteria of it."""

    address: Address
    framework: str
    criteria: tuple[str, ...]


def read(
    document: ProjectFile | None, names: Sequence[str], reading: Reading, packs: Iterable[LoadedPack] = ()
) -> tuple[Framework, ...]:
    """
    Return the frameworks that the command line names, each once.

    A file of the project takes the place of a shipped one of the same name. What the project and the checks of
    *packs* say of controls is looked up too: a criterion that is not there would never be seen in any view. Of the
    project, which changes what a view shows, that is a mistake; a policy gets a warning, since it may be used where
    another view is, and names a framework that no view is of as it likes unless that looks like a known one.
    """
    own = _own(document.frameworks if document else (), reading)
    changed, written = list(_changed_controls(document)), list(_written_controls(packs))
    if not (names or own or changed or written):
        return ()
    known = {**shipped_frameworks(), **own}
    for named in changed:
        if named.framework not in known:
            reading.problem(
                "project.unknown-framework",
                "Unknown framework",
                f'There is no framework "{named.framework}".',
                help=did_you_mean(named.framework, known)
                or "Describe it in a file of its own, listed under frameworks.",
                address=named.address.key(),
            )
        _look_up(named, known, reading, "project.unknown-criterion", Level.ERROR)
    for named in written:
        if named.framework not in known and (meant := nearest(named.framework, known)):
            reading.problem(
                "policy.unknown-framework",
                "Unknown framework",
                f'There is no framework "{named.framework}", so that no view shows it.',
                help=f'did you mean "{meant}"?',
                address=named.address.key(),
                level=Level.WARNING,
            )
        _look_up(named, known, reading, "policy.unknown-criterion", Level.WARNING)
    for name in names:
        if name not in known:
            reading.problem(
                "option.unknown-framework",
                "Unknown framework",
                f'There is no framework "{name}".',
                help=did_you_mean(name, known) or "See: auditor schema frameworks",
                subject="--framework",
            )
    return tuple(known[name] for name in dict.fromkeys(names) if name in known)


def _look_up(
    named: _Named, known: Mapping[str, Framework], reading: Reading, code: str, level: Level
) -> None:
    """Report criteria that the view of their framework, if there is one, does not list."""
    if named.framework not in known:
        return
    criteria = known[named.framework].criteria
    for position, criterion in enumerate(named.criteria):
        if criterion not in criteria:
            reading.problem(
                code,
                "Unknown criterion",
                f'The view "{named.framework}" lists no "{criterion}".',
                help=did_you_mean(criterion, criteria)
                or "See: auditor schema frameworks. A file under frameworks can list more.",
                address=named.address.at(position),
                level=level,
            )


def _own(files: Sequence[str], reading: Reading) -> dict[str, Framework]:
    own: dict[str, Framework] = {}
    for file in files:
        framework = reading.document(Framework, reading.folder / file, file)
        if framework is None:
            continue
        if framework.framework in own:
            reading.problem(
                "project.duplicate-framework",
                "Duplicate framework",
                f'Another file of the project describes "{framework.framework}".',
                help="Rename one of the two, or put them together.",
                address=Address(file=file).at("framework"),
            )
        own[framework.framework] = framework
    return own


def _changed_controls(document: ProjectFile | None) -> Iterator[_Named]:
    """Yield what the project's packs say of the controls of checks."""
    for number, source in enumerate(document.policies if document else ()):
        if isinstance(source, PolicySource):
            here = Address(file=PROJECT_FILE).at("policies", number, "controls")
            for check, controls in source.controls.items():
                for name, criteria in controls.items():
                    yield _Named(here.at(check, name), name, criteria)


def _written_controls(packs: Iterable[LoadedPack]) -> Iterator[_Named]:
    """Yield what policies say of the controls of their checks, but for shipped ones, which fit the shipped views."""
    for pack in packs:
        for file, policy in pack.files.items():
            if file.startswith(PACK_PREFIX):
                continue
            for check_id, check in policy.checks.items():
                for name, criteria in check.controls.items():
                    yield _Named(Address(file=file).at("checks", check_id, "controls", name), name, criteria)
