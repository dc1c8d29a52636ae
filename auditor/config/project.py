"""The project: what is audited, by which policies, with which values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from auditor.config import documents, environments, frameworks, packs, variables, waivers, yaml
from auditor.config.catalogue import catalogue, own_kinds
from auditor.config.files import exists, is_folder
from auditor.config.packs import Packs
from auditor.config.privacy import hushed
from auditor.config.request import PROJECT_FILE, Reading, Request, misnamed
from auditor.config.variables import Given
from auditor.model.diagnostic import Checked, Diagnostic, Level, did_you_mean
from auditor.model.environment import Environment
from auditor.model.framework import Framework
from auditor.model.policy import Variable
from auditor.model.project import LoadedPack, Project, ProjectFile
from auditor.model.resource import Catalogue
from auditor.model.source import Address
from auditor.model.value import Values
from auditor.model.waiver import Waiver, WaiverPolicy

Declared = Mapping[str, Mapping[str, tuple[Variable, Address]]]
"""Variables by pack and name, with where they are declared."""


def load(request: Request) -> Checked[Project]:
    """
    Read everything that people wrote: project, resource kinds, policies, variables.

    Every mistake of every file is found in one call, in the order of file and line. The project is None
    where there is any error. Nothing is asked of a tenant, and nothing outside the named files is read.
    """
    checked = load_readable(request)
    return Checked(None if checked.errors else checked.value, checked.diagnostics)


def load_readable(request: Request) -> Checked[Project]:
    """
    Read as `load` does, and also return what is sound of a project that has mistakes.

    Result: all packs that could be read, so that compiling them finds further mistakes in the same run, with
    those marked of which something is missing; None where the project file or a resource kind has mistakes,
    since what a policy may say rests on those.
    """
    reading = Reading(request.folder, request.texts)
    _tell_misnamed(request, reading)
    document, is_sound = project_file(request, reading)
    if not is_sound:
        if is_folder(request.folder):
            packs.read(document, request, reading)
        return Checked(None, _told(reading, (), all_public=False))
    kinds = own_kinds(document.resources if document else (), reading)
    kinds_by_name = catalogue(kinds or {})
    found = packs.read(document, request, reading)
    views = frameworks.read(document, request.frameworks, reading, found.loaded)
    chosen, names = environments.selected(document, request, reading)
    texts, problems = set(reading.texts), len(reading.problems)
    given = [*found.given, *variables.read_given(document, request, reading)]
    variable_files = set(reading.texts) - texts
    declared = _declared(found.loaded)
    values, unsound = _values(
        declared,
        given,
        names,
        found,
        reading,
        is_complete=len(reading.problems) == problems,
        is_selection=document is not None and bool(request.paths),
    )
    accepted = document.accept_values if document else {}
    if kinds is not None and accepted:
        _check_accepted(accepted, kinds_by_name, reading)
    broken = found.broken | unsound
    all_names = document.environments if document and document.environments else names
    project = Project(
        packs=tuple(found.loaded),
        incomplete=frozenset(pack.id for pack in found.loaded if broken & {pack.id, None}),
        environments=chosen or tuple(Environment(name=name) for name in names),
        catalogue=kinds_by_name,
        frameworks=views,
        own_resources=frozenset(kinds or ()),
        accept_values=dict(accepted),
        values=values,
        waivers=_told_of(waivers.read(all_names, reading), found.loaded, request),
        waiver_policy=document.waiver_policy if document else WaiverPolicy(),
        sources=reading.texts,
    )
    all_public = not found.broken and not any(
        variable.sensitive for pack in declared.values() for variable, _ in pack.values()
    )
    diagnostics = _told(reading, variable_files, all_public=all_public)
    return Checked(None if kinds is None else project, diagnostics)


def _tell_misnamed(request: Request, reading: Reading) -> None:
    for name, right in misnamed(request).items():
        reading.problem(
            "file.misnamed",
            "File is not read",
            f'"{name}" is not read under this name.',
            help=f"Name it {right}.",
            subject=name,
            level=Level.WARNING,
        )


def load_frameworks(request: Request) -> Checked[tuple[Framework, ...]]:
    """Return the frameworks that a request names: shipped ones, or those of the project, if there is one."""
    reading = Reading(request.folder)
    if not request.frameworks:
        return Checked(())
    path = request.folder / PROJECT_FILE
    document = reading.document(ProjectFile, path, PROJECT_FILE) if exists(path) else None
    found = frameworks.read(document, request.frameworks, reading)
    return Checked(None if reading.problems else found, located(reading.problems, reading.texts))


def project_file(request: Request, reading: Reading) -> tuple[ProjectFile | None, bool]:
    """
    Return the project file, and whether it is sound: as it stands, or not there and not needed.

    Of a file with mistakes the sound keys are returned, so that the policies that it names are read too.
    """
    path = request.folder / PROJECT_FILE
    if not is_folder(request.folder):
        reading.problem(
            "file.not-found", "File not found", f'There is no folder "{request.folder}".', subject="--chdir"
        )
    elif exists(path):
        document = reading.document(ProjectFile, path, PROJECT_FILE)
        return (document, True) if document else (_sound_keys(reading), False)
    elif not request.paths:
        reading.problem(
            "project.not-found",
            "No project",
            f'The folder "{request.folder}" holds no {PROJECT_FILE}, and no policies are named.',
            help="Name policy files or folders, go to a project with --chdir, or run: auditor init",
            subject=PROJECT_FILE,
        )
    return None, all(problem.level is Level.WARNING for problem in reading.problems)


def _sound_keys(reading: Reading) -> ProjectFile | None:
    data = yaml.load(reading.texts.get(PROJECT_FILE, ""), PROJECT_FILE).value
    spoiled = {
        problem.address.route[0] for problem in reading.problems if problem.address and problem.address.route
    }
    sound = (
        {key: value for key, value in data.items() if key not in spoiled} if isinstance(data, dict) else {}
    )
    return documents.validate(ProjectFile, {**sound, "version": 1}, PROJECT_FILE).value


def _declared(loaded: Sequence[LoadedPack]) -> Declared:
    return {
        pack.id: {
            name: (variable, Address(file=file).at("variables", name))
            for file, policy in pack.files.items()
            for name, variable in policy.variables.items()
        }
        for pack in loaded
    }


def _values(
    declared: Declared,
    given: Sequence[Given],
    environment_names: Iterable[str],
    found: Packs,
    reading: Reading,
    *,
    is_complete: bool,
    is_selection: bool,
) -> tuple[dict[tuple[str, str], Values], set[str]]:
    """
    Return the values by environment and pack, and the packs with a mistake among their variables.

    *is_complete* tells that all that gives values could be read; else none is blamed for not being given.
    *is_selection* tells that the command line chose some of a project's packs.
    """
    if not found.broken:
        # With a policy file that can not be read, what it declares is unknown.
        # A file gives values to all packs of a project, also where the command line selects some of them.
        told = [item for item in given if not (is_selection and item.address)]
        reading.problems += variables.undeclared(told, declared)
    result: dict[tuple[str, str], Values] = {}
    unsound: set[str] = set()
    for environment in environment_names:
        for pack, own in declared.items():
            values, problems = variables.resolve(pack, own, given, environment)
            result[environment, pack] = values
            if problems:
                unsound.add(pack)
            reading.problems += [p for p in problems if is_complete or p.code != "variable.not-given"]
    return result, unsound


def _told_of(read: Iterable[Waiver], loaded: Sequence[LoadedPack], request: Request) -> tuple[Waiver, ...]:
    """Return the waivers that a run can be about: where the command line chose policies, those of its checks."""
    checks = {
        f"{pack.id}/{check}" for pack in loaded for file in pack.files.values() for check in file.checks
    }
    return tuple(waiver for waiver in read if not request.paths or waiver.check in checks)


def _check_accepted(accepted: Mapping[str, object], kinds: Catalogue, reading: Reading) -> None:
    known = {
        name
        for kind in kinds.values()
        if kind.filter
        for name, attribute in kind.filter.attributes.items()
        if attribute.values
    }
    for name in accepted:
        if name not in known:
            reading.problem(
                "policy.unknown-attribute",
                "Unknown attribute",
                f'No resource kind has an attribute "{name}" whose values are known.',
                help=did_you_mean(name, known),
                address=Address(file=PROJECT_FILE).at("accept_values", name).key(),
            )


def _told(reading: Reading, variable_files: Collection[str], *, all_public: bool) -> tuple[Diagnostic, ...]:
    return tuple(
        hushed(diagnostic, reading.texts, variable_files=variable_files, all_public=all_public)
        for diagnostic in located(reading.problems, reading.texts)
    )


def located(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """
    Return diagnostics with their locations, each once, in the order of file and line.

    A line of a policy that holds the default of a sensitive variable is not shown.
    """
    found = [
        documents.at(d, sources[d.address.file]) if d.address and d.address.file in sources else d
        for d in diagnostics
    ]
    return tuple(sorted(dict.fromkeys(_discreet(d, sources) for d in found), key=_place))


def _discreet(diagnostic: Diagnostic, sources: Mapping[str, str]) -> Diagnostic:
    where = diagnostic.location
    if where is None or where.file == PROJECT_FILE or "sensitive" not in sources.get(where.file, ""):
        return diagnostic
    return hushed(diagnostic, sources, variable_files=(), all_public=False)


def _place(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    where = diagnostic.location
    if where is None:
        file = diagnostic.address.file if diagnostic.address else diagnostic.subject
        return (file, 0, 0, diagnostic.code)
    return (where.file, where.line, where.column, diagnostic.code)
