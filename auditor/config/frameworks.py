"""The frameworks that verdicts can be shown by: the shipped ones and the project's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from auditor.config import documents
from auditor.config.files import read_text, shipped
from auditor.config.request import PROJECT_FILE, Reading
from auditor.model.diagnostic import did_you_mean
from auditor.model.framework import Framework
from auditor.model.project import PolicySource, ProjectFile
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


def read(document: ProjectFile | None, names: Sequence[str], reading: Reading) -> tuple[Framework, ...]:
    """
    Return the frameworks that the command line names, each once.

    A file of the project takes the place of a shipped one of the same name. What the project's packs say of
    controls is checked too: a criterion that is not there would never be seen in any view.
    """
    own = _own(document.frameworks if document else (), reading)
    changed = list(_changed_controls(document))
    if not (names or own or changed):
        return ()
    known = {**shipped_frameworks(), **own}
    for address, name, criteria in changed:
        if name not in known:
            reading.problem(
                "project.unknown-framework",
                "Unknown framework",
                f'There is no framework "{name}".',
                help=did_you_mean(name, known)
                or "Describe it in a file of its own, listed under frameworks.",
                address=address.key(),
            )
            continue
        for position, criterion in enumerate(criteria):
            if criterion not in known[name].criteria:
                reading.problem(
                    "project.unknown-criterion",
                    "Unknown criterion",
                    f'The view "{name}" lists no "{criterion}".',
                    help=did_you_mean(criterion, known[name].criteria)
                    or "See: auditor schema frameworks. A file under frameworks can list more.",
                    address=address.at(position),
                )
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


def _changed_controls(document: ProjectFile | None) -> Iterator[tuple[Address, str, tuple[str, ...]]]:
    """Yield what the project's packs say of the controls of checks: where, of which framework, which criteria."""
    for number, source in enumerate(document.policies if document else ()):
        if isinstance(source, PolicySource):
            here = Address(file=PROJECT_FILE).at("policies", number, "controls")
            for check, controls in source.controls.items():
                for name, criteria in controls.items():
                    yield here.at(check, name), name, criteria
