"""Whether a run folder is, to the byte, what the run left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from auditor.model.value import parse_json
from auditor.runs.archive import Reopened, entries
from auditor.runs.files import read_bounded
from auditor.runs.folder import FORMAT_VERSION, MANIFEST, MAX_DOCUMENT_BYTES, ROOT, content_of


@dataclass(frozen=True, slots=True)
class Difference:
    """A file of a run that is not as it was left; `file` is its path from the run's folder."""

    file: str
    what: Literal["missing", "added", "changed", "unreadable", "unproven"]
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.what}{f' ({self.detail})' if self.detail else ''}"


def verify(folder: Path, root_digest: str | None = None) -> tuple[Difference, ...]:
    """
    Return everything that is not as the run left it: a changed, missing or added byte.

    *root_digest* is what a report or a signed statement gives as the run's; without it, a folder that somebody
    sealed again after changing it can not be told from a true one.
    """
    return tuple(_differences(folder, root_digest))


def _differences(folder: Path, root_digest: str | None) -> Iterator[Difference]:
    try:
        manifest = read_bounded(folder / MANIFEST, MAX_DOCUMENT_BYTES)
        root = read_bounded(folder / ROOT, MAX_DOCUMENT_BYTES)
    except OSError as error:
        name = Path(error.filename or MANIFEST).name
        yield Difference(name, "missing", "the run was not sealed, or has lost it")
        return
    actual = hashlib.sha256(manifest).hexdigest()
    if root != f"{actual}\n".encode():
        yield Difference(ROOT, "changed", "it is not the SHA-256 of the manifest")
    if root_digest is not None and root_digest.removeprefix("sha256:").lower() != actual:
        went_on = f"sha256:{root_digest.removeprefix('sha256:').lower()}" in _before(folder)
        why = "the run went on after it had this digest" if went_on else f"its SHA-256 is {actual}"
        yield Difference(MANIFEST, "changed", why)
    try:
        files = _files(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield Difference(MANIFEST, "unreadable", str(error))
        return
    for name in sorted(set(content_of(folder)) - set(files)):
        yield Difference(name, "added")
    for name, (size, digest) in files.items():
        yield from _of_file(folder, name, size, digest)


def _before(folder: Path) -> set[str]:
    """Return the root digests that the run had before it went on, as its journal tells them."""
    try:
        return {entry.root_digest for entry in entries(folder) if isinstance(entry, Reopened)}
    except (OSError, ValueError):
        return set()


def _files(manifest: bytes) -> dict[str, tuple[int, str]]:
    document = parse_json(manifest)
    if str(document["format_version"]).partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise ValueError(f"its format is {document['format_version']}")
    return {name: (int(of["bytes"]), str(of["sha256"])) for name, of in document["files"].items()}


def _of_file(folder: Path, name: str, size: int, digest: str) -> Iterator[Difference]:
    steps = PurePosixPath(name)
    path = folder / name
    if steps.is_absolute() or ".." in steps.parts or not path.resolve().is_relative_to(folder.resolve()):
        yield Difference(name, "unreadable", "it lies outside of the run")
        return
    try:
        if path.is_symlink() or not path.is_file():
            yield Difference(name, "missing")
            return
        if path.stat().st_size != size:
            yield Difference(name, "changed", f"it has {path.stat().st_size:,} bytes instead of {size:,}")
            return
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                yield Difference(name, "changed", "its SHA-256 is another one")
    except OSError as error:
        yield Difference(name, "unreadable", error.strerror or str(error))
