"""The packs of a project: which files make them up, and what the project changes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from auditor.config import yaml
from auditor.config.files import (
    exists,
    is_inside,
    is_test,
    names_beside,
    outside,
    policy_files,
    shipped,
    tested,
)
from auditor.config.request import PACK_PREFIX, PROJECT_FILE, Reading, Request
from auditor.config.variables import Given
from auditor.model.diagnostic import Diagnostic, did_you_mean
from auditor.model.policy import PolicyFile, Severity
from auditor.model.project import LoadedPack, PolicySource, ProjectFile
from auditor.model.source import Address


@dataclass(slots=True)
class Packs:
    """
    The packs that could be read, in the order of their ids.

    `given` holds what their entries in the project give for variables. `broken` holds the ids of packs of which
    a file could not be read, and None where such a file does not even tell its pack.
    """

    loaded: list[LoadedPack] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    broken: set[str | None] = field(default_factory=set)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """One name of policies: of the project file, at an address there, or of the command line."""

    source: PolicySource
    address: Address | None = None
    name: Address | None = None
    """Where the project file names the policies: all of an entry, or its `pack`."""


def read(document: ProjectFile | None, request: Request, reading: Reading) -> Packs:
    """Read the policies that the command line names, or else the project, and put them together as packs."""
    packs = Packs()
    entries = _entries(document, request)
    files: dict[str, PolicyFile] = {}
    named: dict[str, list[_Entry]] = {}
    for entry in entries:
        problems = len(reading.problems)
        found = list(_policy_files(entry, reading))
        if len(reading.problems) > problems:
            packs.broken.add(None)
        for path, file in found:
            named.setdefault(file, []).append(entry)
            if len(named[file]) > 1:
                continue
            told = len(reading.problems)
            policy = reading.document(PolicyFile, path, file, trusted=True)
            if policy is None:
                packs.broken.add(_pack_id(reading.texts.get(file, "")))
                policy = _sound_part(file, reading, reading.problems[told:])
            if policy is not None:
                files[file] = policy
    by_pack = sorted(files, key=lambda file: (files[file].pack.id, file))
    for pack_id, members in groupby(by_pack, key=lambda file: files[file].pack.id):
        own = {file: files[file] for file in members}
        packs.loaded.append(_pack(pack_id, own, [entry for file in own for entry in named[file]]))
        _check_twice(own, reading)
    for entry in entries:
        own_packs = [pack for pack in packs.loaded if any(entry in named[file] for file in pack.files)]
        packs.given += _given(entry, own_packs)
        if not packs.broken:
            _check_names(entry, own_packs, reading)
    return packs


def _sound_part(file: str, reading: Reading, problems: Sequence[Diagnostic]) -> PolicyFile | None:
    """
    Return a policy file without its checks and variables that have mistakes, to look for more in the others.

    None where the mistakes lie deeper: in what is no YAML, in the pack's name, in what checks share.
    """
    from auditor.config import documents

    data = yaml.load(reading.texts.get(file, ""), file).value
    if not isinstance(data, dict):
        return None
    spoiled: dict[str, set[object]] = {"checks": set(), "variables": set()}
    for problem in problems:
        route = problem.address.route if problem.address else ()
        if len(route) == 1 and route[0] not in PolicyFile.model_fields:
            data = {key: value for key, value in data.items() if key != route[0]}
        elif len(route) == 3 and problem.code == "schema.unknown-key" and route[0] == "checks":
            check = {key: value for key, value in data["checks"][route[1]].items() if key != route[2]}
            # What a misspelt key stood for may be missing now; nothing can be wrong with these.
            data = {**data, "checks": {**data["checks"], route[1]: {"title": "", "expect": "none", **check}}}
        elif len(route) > 1 and route[0] in spoiled:
            spoiled[str(route[0])].add(route[1])
        else:
            return None
    for section, names in spoiled.items():
        if isinstance(data.get(section), dict):
            data = {
                **data,
                section: {name: part for name, part in data[section].items() if name not in names},
            }
    return documents.validate(PolicyFile, data, file).value


def _entries(document: ProjectFile | None, request: Request) -> list[_Entry]:
    if request.paths or document is None:
        return [_Entry(PolicySource(pack=path)) for path in request.paths]
    base = Address(file=PROJECT_FILE).at("policies")
    here = [base.at(position) for position in range(len(document.policies))]
    return [
        _Entry(PolicySource(pack=source), address, address)
        if isinstance(source, str)
        else _Entry(source, address, address.at("pack"))
        for source, address in zip(document.policies, here, strict=True)
    ]


def _policy_files(entry: _Entry, reading: Reading) -> Iterator[tuple[Path, str]]:
    """Yield the policy files behind an entry with the names that people see of them."""
    name, address = entry.source.pack, entry.name
    path = reading.folder / name
    packs = {folder.name: folder for folder in shipped("policies").iterdir() if folder.is_dir()}
    plain = name.removeprefix(PACK_PREFIX)
    if plain != name or (address and plain in packs and not exists(path)):
        if plain in packs:
            for found in policy_files(packs[plain], name, packs[plain]).value or ():
                yield found, f"{PACK_PREFIX}{plain}/{found.relative_to(packs[plain]).as_posix()}"
            return
        reading.problem(
            "project.unknown-pack",
            "Unknown pack",
            f'There is no shipped pack "{plain}".',
            help=did_you_mean(plain, packs),
            address=address,
            subject=name,
        )
        return
    if address and exists(path) and not is_inside(path, reading.folder):
        reading.problems.append(outside(name).with_(address=address))
        return
    if is_test(path.name) and exists(path):
        # A file of tests stands for its policy, as where a shell names every file of a folder.
        beside = (path.with_name(policy) for policy in tested(path.name))
        yield from ((found, reading.shown(found)) for found in beside if exists(found))
        return
    checked = policy_files(path, name, reading.folder if address else path)
    for problem in checked.diagnostics:
        detail, help = problem.detail, problem.help
        if problem.code == "file.not-found":
            shipped_names = packs if address else (f"{PACK_PREFIX}{pack}" for pack in packs)
            help = did_you_mean(path.name, [*names_beside(path), *shipped_names])
            detail = f'There is no file, folder or shipped pack "{name}".' if address else detail
        reading.problems.append(problem.with_(address=address, detail=detail, help=help))
    for found in checked.value or ():
        yield found, reading.shown(found)


def _pack_id(text: str) -> str | None:
    """Return the pack that a file with mistakes says it belongs to."""
    data = yaml.load(text, "").value
    pack = data.get("pack") if isinstance(data, dict) else None
    pack_id = pack.get("id") if isinstance(pack, dict) else None
    return pack_id if isinstance(pack_id, str) else None


def _pack(pack_id: str, files: Mapping[str, PolicyFile], entries: Sequence[_Entry]) -> LoadedPack:
    excluded: dict[str, str] = {}
    severities: dict[str, Severity] = {}
    controls: dict[str, dict[str, tuple[str, ...]]] = {}
    for entry in dict.fromkeys(entries):
        excluded.update(entry.source.exclude)
        severities.update(entry.source.severity)
        for check, changed in entry.source.controls.items():
            controls.setdefault(check, {}).update(changed)
    return LoadedPack(
        id=pack_id,
        title=next((policy.pack.title for policy in files.values() if policy.pack.title), pack_id),
        files=files,
        excluded=excluded,
        severities=severities,
        controls=controls,
    )


def _check_twice(files: Mapping[str, PolicyFile], reading: Reading) -> None:
    """Report checks and variables that two files of a pack define."""
    seen: dict[tuple[str, str], str] = {}
    for file, policy in files.items():
        for section, names in (("checks", policy.checks), ("variables", policy.variables)):
            for name in names:
                first = seen.setdefault((section, name), file)
                if first != file:
                    reading.problem(
                        "policy.defined-twice",
                        "Defined twice",
                        f'The pack "{policy.pack.id}" defines "{name}" in {first} too.',
                        help="Rename or remove one of the two.",
                        address=Address(file=file).at(section, name).key(),
                    )


def _given(entry: _Entry, packs: Sequence[LoadedPack]) -> Iterator[Given]:
    """Yield the variables of an entry for each of its packs that declares them, else for its first."""
    for name, value in entry.source.variables.items():
        declaring = [
            pack for pack in packs if any(name in policy.variables for policy in pack.files.values())
        ]
        for pack in declaring or packs[:1]:
            yield Given(
                name=name,
                value=value,
                origin=PROJECT_FILE,
                pack=pack.id,
                address=entry.address and entry.address.at("variables", name),
            )


def _check_names(entry: _Entry, packs: Sequence[LoadedPack], reading: Reading) -> None:
    checks = {check for pack in packs for policy in pack.files.values() for check in policy.checks}
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("exclude", entry.source.exclude),
        ("severity", entry.source.severity),
        ("controls", entry.source.controls),
    )
    for section, names in sections:
        for name in names:
            if name not in checks:
                reading.problem(
                    "project.unknown-check",
                    "Unknown check",
                    f'The pack has no check "{name}".',
                    help=did_you_mean(name, checks),
                    address=entry.address and entry.address.at(section, name).key(),
                )
