"""
What nothing was wrong with, remembered until anything that was read is different.

`auditor validate` of a thousand files is then answered in the time that it takes to read them. Nothing else asks
here: a run always loads and compiles everything itself, so that no verdict rests on what is remembered.

Only a validation without any diagnostic is remembered, and none that a secret may have come to: neither one with
a sensitive variable, nor one to which the environment of the process gave a value. What is remembered lies in
the user's own cache folder, never in the project, whose files strangers may propose. It holds names and digests;
to lose it costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from auditor.config.files import PACKAGE, exists, is_inside, policy_files, read_text, shipped, test_files
from auditor.config.request import (
    AUTOMATIC_FILES,
    PACK_PREFIX,
    PROJECT_FILE,
    VARIABLES_FILE,
    WAIVERS_FILE,
    Request,
    misnamed,
)

if TYPE_CHECKING:
    from auditor.model.project import Project

_MAX_REMEMBERED: Final = 32
_REFERENCE: Final = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
_VALUES: Final = ("PINGONE_", "AUDITOR_PINGONE_", "AUDITOR_VAR_")
"""How the variables of the process begin that give a value to any project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What was found valid: how many checks, in which packs."""

    checks: int
    packs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """
    One validation: what it named, a digest of all that it read, and its answer.

    `policies` and `resources` (with frameworks) are the names in the project file, or of policies those on the
    command line; `variables` are those of the process that the project file refers to.
    """

    policies: tuple[str, ...]
    resources: tuple[str, ...]
    variables: tuple[str, ...]
    digest: str
    answer: Validated


class _DifferentError(Exception):
    """What is named does not lead to files that can be read."""


def recall(request: Request) -> Validated | None:
    """Return what was found valid when the same was asked of the same files; None where that is not known."""
    file = _file(request)
    if file is None:
        return None
    with suppress(OSError, _DifferentError):
        memory = _read(file).get(_key(request))
        if memory is not None and not _is_given(request.environ, memory.variables):
            paths = _paths(request, memory.policies, memory.resources)
            if _digest((path, _text(path)) for path in paths) == memory.digest:
                return memory.answer
    return None


def remember(request: Request, project: Project, answer: Validated) -> None:
    """Remember that nothing was wrong with a project, as it was read, unless a secret may have come to it."""
    file = _file(request)
    text = project.sources.get(PROJECT_FILE, "")
    variables = tuple(sorted(set(_REFERENCE.findall(text))))
    if file is None or _is_given(request.environ, variables) or _has_sensitive(project):
        return
    policies, resources = _named(text)
    texts = {
        request.folder / name: source
        for name, source in project.sources.items()
        if not name.startswith(PACK_PREFIX)
    }
    with suppress(OSError, _DifferentError):
        memory = _Memory(
            policies=tuple(request.paths) or policies,
            resources=resources,
            variables=variables,
            digest=_digest(texts.items()),
            answer=answer,
        )
        # Where the next validation would look elsewhere than this one did, nothing is known.
        if set(_paths(request, memory.policies, memory.resources)) == set(texts):
            _write(file, {**_read(file), _key(request): memory})


# What is asked, and what is read for it


def _key(request: Request) -> str:
    """Return a digest of what is asked, and of the program that answers."""
    asked = [
        _program(),
        str(request.folder.resolve()),
        list(request.paths),
        list(request.variables),
        list(request.environments),
        request.choose,
        list(request.allow_hosts),
        list(request.frameworks),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _program() -> str:
    """Return a digest of Python, of what is installed, and of the program's code, schemas and policies."""
    found = hashlib.sha256(sys.version.encode())
    for entry in sys.path:
        with suppress(OSError):
            installed = [path.name for path in Path(entry).glob("*.dist-info")]
            found.update(json.dumps(sorted(installed)).encode())
    for folder, files in ((PACKAGE, "*.py"), (shipped("schemas"), "*.*"), (shipped("policies"), "*.*")):
        for path in sorted(folder.rglob(files)):
            content = path.read_bytes()
            found.update(f"{path.relative_to(folder.parent)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _is_given(environ: Mapping[str, str], variables: Collection[str]) -> bool:
    """Tell whether the environment of the process gives a value, which may be a secret."""
    return any(value and (name.startswith(_VALUES) or name in variables) for name, value in environ.items())


def _has_sensitive(project: Project) -> bool:
    return any(
        variable.sensitive
        for pack in project.packs
        for policy in pack.files.values()
        for variable in policy.variables.values()
    )


def _named(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of policies, and of resource kinds and frameworks, in a project file; none without one."""
    from auditor.config import documents
    from auditor.model.project import ProjectFile

    document = documents.read(ProjectFile, text, PROJECT_FILE).value
    if document is None:
        return (), ()
    policies = (source if isinstance(source, str) else source.pack for source in document.policies)
    return tuple(policies), (*document.resources, *document.frameworks)


def _paths(request: Request, policies: Iterable[str], resources: Iterable[str]) -> Iterator[Path]:
    """
    Yield every file that `auditor.config.load` would read, some of them more than once.

    Raises:
        _DifferentError: a name leads out of the project, to nothing that can be read, or is not quite one that is.
    """
    folder = request.folder
    if misnamed(request):
        raise _DifferentError
    automatic = sorted(path.name for path in folder.glob(AUTOMATIC_FILES) if path.name[0] != ".")
    for name in (PROJECT_FILE, *resources, VARIABLES_FILE, *automatic, WAIVERS_FILE):
        if exists(folder / name):
            yield _own(folder / name, folder)
    for option, text in request.variables:
        if option == "--var-file":
            yield folder / text
    for name in policies:
        if name.startswith(PACK_PREFIX) or not exists(folder / name):
            continue  # a shipped pack, unless something comes to have its name
        path = folder / name if request.paths else _own(folder / name, folder)
        found = policy_files(path, name, path if request.paths else folder)
        if found.value is None or found.diagnostics:
            raise _DifferentError
        yield from found.value
        yield from test_files(path, name, path if request.paths else folder).value or ()


def _own(path: Path, folder: Path) -> Path:
    if not is_inside(path, folder):
        raise _DifferentError
    return path


def _text(path: Path) -> str:
    text = read_text(path, path.name).value
    if text is None:
        raise _DifferentError
    return text


def _digest(texts: Iterable[tuple[Path, str]]) -> str:
    """Return a digest of files and what stands in them, in whatever order they are given."""
    lines = {(os.fsencode(path), hashlib.sha256(text.encode()).digest()) for path, text in texts}
    return hashlib.sha256(
        b"".join(b"%d %b%b" % (len(path), path, text) for path, text in sorted(lines))
    ).hexdigest()


# Where it is kept


def _file(request: Request) -> Path | None:
    """Return the file of the user's cache folder; None where there is no such folder, or it lies in the project."""
    environ = request.environ
    base = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", ""), ".cache"))
    is_own = base.is_absolute() and not is_inside(base, request.folder)
    return base / "auditor" / "validated.json" if is_own and hasattr(os, "geteuid") else None


def _read(file: Path) -> dict[str, _Memory]:
    """Return what is remembered by key; nothing where the file is broken, or others may read or write it."""
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                return {}
            return {key: _parsed(entry) for key, entry in json.load(stream).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _parsed(entry: Any) -> _Memory:
    return _Memory(
        policies=_texts(entry["policies"]),
        resources=_texts(entry["resources"]),
        variables=_texts(entry["variables"]),
        digest=str(entry["digest"]),
        answer=Validated(checks=int(entry["answer"]["checks"]), packs=_texts(entry["answer"]["packs"])),
    )


def _texts(value: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, value))


def _write(file: Path, memories: Mapping[str, _Memory]) -> None:
    """
    Write what is remembered, the newest last, whole or not at all and for nobody else.

    Raises:
        OSError: it can not be written.
    """
    import tempfile

    kept = dict(list(memories.items())[-_MAX_REMEMBERED:])
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            json.dump({key: asdict(memory) for key, memory in kept.items()}, stream)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
