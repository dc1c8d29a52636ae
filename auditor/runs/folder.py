"""One run folder: made at the start of a run, added to while it lasts, sealed at its end."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

import orjson
import zstandard

from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.value import JSON, parse_json
from auditor.model.verdict import Violation
from auditor.runs.archive import JOURNAL, PAGES, Archive
from auditor.runs.files import PRIVATE, read_bounded, write_whole
from auditor.runs.values import dump, load

FORMAT_VERSION: Final = "1.0"
MANIFEST: Final = "manifest.json"
ROOT: Final = "manifest.sha256"
VIOLATIONS: Final = "violations.ndjson.zst"
ATTESTATIONS: Final = "attestations"
"""Signed statements over the root digest: added after a run was sealed, and no part of it."""

MAX_DOCUMENT_BYTES: Final = 512 * 1024 * 1024
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""What a violation may take: it holds its record, and no page is longer."""

Evidence = Literal["full", "violations", "digest"]
"""What is kept of a run: everything; no pages, only their digests; nor violations."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFile:
    """A file of records that a run judged instead of a tenant's; the run holds its digest, not its content."""

    kind: str
    file: str
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run was asked to do. `inputs` is the command line's part, which only the program's version knows."""

    format_version: str = FORMAT_VERSION
    run_id: str
    tool_version: str
    started_at: datetime
    evidence: Evidence = "full"
    inputs: Mapping[str, JSON]
    redacted: tuple[str, ...] = ()
    """Fields in which pseudonyms stand for what was received, by dotted path."""
    redacted_from: str | None = None
    """The root digest of the run that it was made from."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One violation, with the name of its check."""

    check: str
    violation: Violation


@dataclass(slots=True)
class RunFolder:
    """The folder of one run; `record` says what the run was asked to do."""

    path: Path
    record: RunRecord

    @classmethod
    def create(cls, runs: Path, record: RunRecord) -> Self:
        """
        Make the folder of a new run below *runs*.

        Raises:
            OSError: it can not be made, or there is one of its name.
        """
        runs.mkdir(parents=True, exist_ok=True)
        path = runs / record.run_id
        path.mkdir(mode=0o700)
        (path / PAGES).mkdir(mode=0o700)
        folder = cls(path, record)
        folder.write("run.json", dump(RunRecord, record, indent=2) + b"\n")
        return folder

    @classmethod
    def open(cls, path: Path) -> Checked[Self]:
        """Return the folder of an earlier run, or why it is none that can be used."""
        try:
            text = _bounded(path / "run.json")
            version = str(parse_json(text)["format_version"])
            if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
                return Checked(None, (_newer(path, version),))
            record = load(RunRecord, text)
            if not record.run_id.isprintable():
                raise ValueError("run_id: it is no name")
            if link := next(_links(path), None):
                return Checked(None, (_no_run(path, f"{link} in it leads elsewhere"),))
            return Checked(cls(path, record))
        except FileNotFoundError:
            why = "there is no run.json in it" if path.exists() else "there is no such folder"
            return Checked(None, (_no_run(path, why),))
        except OSError as error:
            return Checked(None, (_no_run(path, error.strerror or str(error)),))
        except (ValueError, KeyError, TypeError) as error:
            return Checked(None, (_no_run(path, f"its run.json can not be read: {error}"),))

    @property
    def is_sealed(self) -> bool:
        """Whether the run came to its end, be it a bad one."""
        return (self.path / MANIFEST).exists() and (self.path / ROOT).exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Keep everybody else from adding to the folder while the block runs.

        Raises:
            BlockingIOError: somebody else is adding to it.
        """
        try:
            import fcntl
        except ImportError:  # Windows knows no locks of folders
            yield
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)

    def archive(self, *, sealed: bool = False) -> Archive:
        """
        Return the answers that the folder holds so far; with *sealed*, nothing can be added to them.

        Raises:
            OSError: they can not be read.
        """
        return Archive.read(self.path, keeps_bodies=self.record.evidence == "full", sealed=sealed)

    def write(self, name: str, content: bytes) -> None:
        """
        Write a document of the run, whole or not at all.

        Raises:
            OSError: it can not be written.
        """
        write_whole(self.path / name, content, mode=PRIVATE)

    def dump(self, name: str, kind: Any, value: Any) -> None:
        """
        Write a value as a document of the run.

        Raises:
            OSError: it can not be written.
        """
        self.write(name, dump(kind, value) + b"\n")

    def load(self, name: str, kind: type[T]) -> T:
        """
        Return the value of a type that a document of the run holds.

        Raises:
            OSError: there is no such document, or it can not be read.
            ValueError: it does not hold what it should.
        """
        return load(kind, _bounded(self.path / name))

    @contextmanager
    def violations(self, part: int = 0) -> Iterator[Callable[[str, Violation], None] | None]:
        """
        Write all violations of the run while the block runs: what it gets takes a check's name and one of its own.

        None is given where they are not to be kept. Other processes write *parts* of their own, from 1 on, and those
        that were written to their ends are added when the block ends without a number.

        Raises:
            OSError: they can not be written.
        """
        if self.record.evidence == "digest":
            yield None
            return
        path = self.path / (f"{VIOLATIONS}.{part}.part" if part else VIOLATIONS)
        if not part:
            for _, left in self._parts():
                left.unlink()
        with (
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as file,
            zstandard.ZstdCompressor(level=1, write_checksum=True).stream_writer(
                file, closefd=False
            ) as stream,
        ):

            def add(check: str, violation: Violation) -> None:
                stream.write(_line(Kept(check, violation)))

            yield add
        if part:
            path.rename(path.with_suffix(""))
            return
        with path.open("ab") as file:
            for number, other in sorted(self._parts()):
                if number:
                    with other.open("rb") as violations:
                        shutil.copyfileobj(violations, file)
                other.unlink()

    def _parts(self) -> Iterator[tuple[int, Path]]:
        """Yield the files of violations that other processes wrote, with their numbers: 0 where it is not whole."""
        for path in self.path.glob(f"{VIOLATIONS}.*"):
            yield int(path.suffix.strip(".").replace("part", "0")), path

    def read_violations(self) -> Iterator[Kept]:
        """
        Yield all violations of the run.

        Raises:
            OSError: they can not be read.
            ValueError: they are not what was written.
        """
        path = self.path / VIOLATIONS
        if not path.exists():
            return
        try:
            with (
                path.open("rb") as file,
                zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
            ):
                for line in _lines(stream):
                    yield load(Kept, line)
        except zstandard.ZstdError as error:
            raise ValueError(f"{VIOLATIONS}: {error}") from None

    def seal(self) -> str:
        """
        Write the manifest of everything in the folder, and return the root digest: its SHA-256.

        Raises:
            OSError: it can not be written.
        """
        files = {}
        for name in sorted(content_of(self.path)):
            content_path = self.path / name
            with content_path.open("rb") as stream:
                if name in (JOURNAL, VIOLATIONS):  # everything else was, when it was written
                    os.fsync(stream.fileno())
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            files[name] = {"bytes": content_path.stat().st_size, "sha256": digest}
        manifest = {"format_version": FORMAT_VERSION, "run_id": self.record.run_id, "files": files}
        text = json.dumps(manifest, indent=1).encode() + b"\n"
        root = hashlib.sha256(text).hexdigest()
        self.write(MANIFEST, text)
        self.write(ROOT, f"{root}\n".encode())
        return f"sha256:{root}"

    def unseal(self) -> None:
        """
        Take the manifest away, so that the run can go on. What is signed does not: nobody unseals it.

        Raises:
            OSError: it can not be taken away.
        """
        for name in (ROOT, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    @property
    def root_digest(self) -> str | None:
        """The digest of the manifest as it is on disk; None for a run that was not sealed."""
        try:
            return f"sha256:{hashlib.sha256(_bounded(self.path / MANIFEST)).hexdigest()}"
        except OSError:
            return None


def content_of(folder: Path) -> Iterator[str]:
    """Yield the names of all files of a run that its manifest is about, from the folder, with slashes."""
    for parent, folders, files in os.walk(folder):
        here = Path(parent).relative_to(folder)
        if here == Path():
            folders[:] = [name for name in folders if name != ATTESTATIONS]
        for name in (*files, *(name for name in folders if (Path(parent) / name).is_symlink())):
            path = (here / name).as_posix()
            if path not in (MANIFEST, ROOT):
                yield path


def _links(folder: Path) -> Iterator[str]:
    """Yield the links in a run: what is added to or taken from one that goes on must not end up elsewhere."""
    for name in (".", PAGES):
        for path in (folder / name).iterdir() if (folder / name).is_dir() else ():
            if path.is_symlink():
                yield path.relative_to(folder).as_posix()


_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def find_runs(runs: Path) -> tuple[Path, ...]:
    """Return the folders of all runs below a folder, the oldest first: a run's id begins with its instant."""
    if not runs.is_dir():
        return ()
    return tuple(
        path
        for path in sorted(runs.iterdir())
        if _RUN_ID.fullmatch(path.name) and (path / "run.json").is_file()
    )


def _line(kept: Kept) -> bytes:
    """Return a violation as a line of JSON; what the quick writer refuses is written by the thorough one."""
    try:
        return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    except TypeError:  # lone surrogates, integers beyond 64 bits
        return dump(Kept, kept) + b"\n"


def _lines(stream: Any) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(1 << 20):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError(f"{VIOLATIONS}: a line holds more than {MAX_LINE_BYTES:,} bytes")
    if rest:
        yield rest


def _bounded(path: Path) -> bytes:
    return read_bounded(path, MAX_DOCUMENT_BYTES)


def _no_run(path: Path, why: str) -> Diagnostic:
    return Diagnostic(
        code="run.unreadable",
        summary="Not a run",
        detail=f'"{path}" is no run that can be used: {why}.',
        help="Name a folder below .auditor/runs, or one of their names.",
        subject=str(path),
    )


def _newer(path: Path, version: str) -> Diagnostic:
    return Diagnostic(
        code="run.newer",
        summary="Run of another version",
        detail=f'"{path}" was written in format {version}; this version of auditor knows {FORMAT_VERSION}.',
        help="Use the version of auditor that made it, or a newer one.",
        subject=str(path),
    )
