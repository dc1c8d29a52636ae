"""
Records given as a file instead of a tenant: a HAL page, a JSON array or NDJSON, each also compressed.

A large file of plain NDJSON is read line by line, as often as its records are asked for, and never held.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from gzip import GzipFile
from io import SEEK_END, BufferedReader, BytesIO, FileIO, RawIOBase
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias, TypeVar, cast

import msgspec
import zstandard

from auditor.config.pages import frame, read_page, split_page
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.resource import Catalogue, ResourceKind, without
from auditor.model.value import JSON, parse_json

MAX_BYTES: Final = 2 * 1024**3
"""Largest given file after decompression, a million events; a decompression bomb has more."""

_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes((n, 0x2A, 0x4D, 0x18)) for n in range(0x50, 0x60)))
"""Magic numbers of frames and of skippable frames (RFC 8878, sections 3.1.1 and 3.1.2)."""
_ZSTD_STEP: Final = 4096
"""Compressed bytes taken at once: 32 bits of them can stand for 128 KiB, so at most 128 MiB come of a step."""


_NOT_BLANK: Final = re.compile(rb"\S")

STREAMED: Final = 16 * 1024**2
"""Bytes from which on the files of a kind are not held in memory."""

_BLOCK: Final = 64 * 1024
"""Bytes that are decoded at once: more do not stay in the processor's cache."""

_HEAD: Final = 1024**2
"""Bytes in which the first line of a file of lines ends."""

UNREADABLE: Final = (OSError, ValueError)
"""What is raised where a file is not what it should be."""


Made = TypeVar("Made")

FileState: TypeAlias = tuple[int, int, int, int]
"""What tells whether a file is the one that was seen: its device, inode and size, and when it was written (ns)."""


@dataclass(frozen=True, slots=True)
class Lines:
    """
    The records of a file of lines, or of the part of it between two places, which are read whenever they are asked for.

    Places are in bytes from the beginning of what the file holds, decompressed.
    """

    path: Path
    kind: ResourceKind
    seen: FileState | None = None
    start: int = 0
    end: int | None = None
    unit: ClassVar = "line"

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """
        Yield whole lines, some at a time, with the place where they begin.

        Raises:
            OSError: the file can not be read.
            ValueError: it is another one than was seen, a line of it holds too much, or it is compressed, and damaged.
        """
        with _opened(self.path, self.seen) as stream:
            place = self.start
            if place:
                stream.seek(place)
            elif stream.peek(len(_BOM)).startswith(_BOM):
                place = len(stream.read(len(_BOM)))
            while self.end is None or place < self.end:
                block = stream.read(_BLOCK if self.end is None else min(_BLOCK, self.end - place))
                if not block.endswith(b"\n"):
                    block += stream.readline(MAX_BYTES)
                if len(block) > MAX_BYTES:
                    raise ValueError(f"a line holds more than {MAX_BYTES // 1024**3} GiB")
                if not block:
                    return
                yield place, block
                place += len(block)

    def decoded(self, decode: Callable[[bytes], Made]) -> Iterator[Made]:
        """
        Yield what a function makes of the records, which it is given as blocks of lines.

        Raises:
            ValueError, OSError: as of `blocks`.
        """
        return (decode(block) for _, block in self.blocks())

    def __iter__(self) -> Iterator[JSON]:
        """
        Yield the records.

        Raises:
            ValueError: a line is no JSON object.
            OSError: as of `blocks`.
        """
        number = 0
        for _, block in self.blocks():
            for line in block.removesuffix(b"\n").split(b"\n"):
                number += 1
                if line.strip():
                    yield without(_record(line, number), self.kind.secret)

    def number(self, place: int) -> int:
        """Return which line of the file begins at a place, counted from 1."""
        before = replace(self, start=0, end=place)
        return 1 + sum(block[: max(place - start, 0)].count(b"\n") for start, block in before.blocks())

    def cut(self, most: int) -> tuple[Lines, ...]:
        """
        Return the parts that the file can be read in side by side, at most so many; what is compressed has one.

        Raises:
            OSError, ValueError: as of `blocks`.
        """
        with self.path.open("rb") as stream:
            _ensure_same(stream.fileno(), self.seen)
            if _is_compressed(stream.read(4)):
                return (self,)
            size = stream.seek(0, SEEK_END)
            edges = [0]
            for number in range(1, most):
                stream.seek(max(edges[-1], size * number // most))
                stream.readline()
                edges.append(stream.tell())
        return tuple(
            replace(self, start=start, end=end) for start, end in pairwise([*edges, size]) if start < end
        )


@dataclass(frozen=True, slots=True)
class Items:
    """
    The records of a page or an array, as if each were a line; while they are read the file is held, and never its tree.

    Places are in bytes from the beginning of these lines.
    """

    path: Path
    kind: ResourceKind
    seen: FileState | None = None
    unit: ClassVar = "record"

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """
        Yield records as whole lines, some at a time, with the place where they begin.

        Raises:
            ValueError: the file is another one than was seen, or no longer a page nor an array.
            OSError: as of `Lines`.
        """
        return _blocks(self._texts(self._content()))

    def decoded(self, decode: Callable[[bytes], Made]) -> Iterator[Made]:
        """
        Yield what a function makes of the records, some at a time: of JSON arrays of them, or of blocks of lines.

        It raises ValueError where it is given what is no JSON, and is asked again.

        Raises:
            ValueError, OSError: as of `blocks`.
        """
        content = self._content()
        if (found := frame(content, self.kind)) is None:
            yield from (decode(block) for _, block in _blocks(self._texts(content)))
            return
        for place, array in found.arrays(content, _BLOCK):
            try:
                made = decode(array)
            except ValueError:  # it was cut where it should not have been
                yield from (decode(block) for _, block in _blocks(found.rest(content, place, self.kind)))
                return
            yield made

    def _content(self) -> bytes:
        with _opened(self.path, self.seen) as stream:
            return _bounded(stream)

    def _texts(self, content: bytes) -> Iterable[bytes]:
        if (found := split_page(content, self.kind)) is not None:
            return map(bytes, found.items)
        # One record, or lone surrogates, which were held when they were first read.
        return map(_written, read_page(content, self.kind).items)

    def __iter__(self) -> Iterator[JSON]:
        """
        Yield the records.

        Raises:
            ValueError, OSError: as of `blocks`.
        """
        for _, block in self.blocks():
            for line in block.removesuffix(b"\n").split(b"\n"):
                yield without(parse_json(line), self.kind.secret)

    def number(self, place: int) -> int:
        """Return which record begins at a place, counted from 1."""
        return 1 + sum(block[: max(place - start, 0)].count(b"\n") for start, block in self.blocks())

    def cut(self, most: int) -> tuple[Items, ...]:  # noqa: ARG002  # as of `Lines`
        """Return the parts that the file can be read in side by side: one."""
        return (self,)


File: TypeAlias = Lines | Items


@dataclass(frozen=True, slots=True)
class Streamed:
    """The records of files that are too large to be held."""

    parts: tuple[File, ...]

    def __iter__(self) -> Iterator[JSON]:
        return chain.from_iterable(self.parts)


def _record(line: bytes, number: int) -> Any:
    try:
        record = parse_json(line.rstrip(b"\r\n"))
    except ValueError as error:
        raise ValueError(f"line {number} is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"line {number} is no object")
    return record


def read_records(options: Sequence[str], catalogue: Catalogue) -> Checked[Mapping[str, tuple[JSON, ...]]]:
    """
    Read the options `--records KIND=FILE`; a kind may be given several files.

    Result: records by resource kind, in the order of the files. A file that is not wholly readable is a
    mistake, with the line or record where it begins, and so are pages of which further ones are missing.
    """
    checked = stream_records(options, catalogue, larger_than=None)
    held = {kind: tuple(records) for kind, records in (checked.value or {}).items()}
    return Checked(None if checked.value is None else held, checked.diagnostics)


def stream_records(
    options: Sequence[str], catalogue: Catalogue, *, larger_than: int | None = STREAMED
) -> Checked[Mapping[str, tuple[JSON, ...] | Streamed]]:
    """
    Read the options as `read_records` does, but of a kind whose files are larger together, in bytes, no records.

    Result: records by resource kind: `Streamed` where they are not held.
    """
    files: dict[str, list[str]] = {}
    problems: list[Diagnostic] = []
    for option in options:
        kind, equals, file = option.partition("=")
        if not equals or not file:
            problems.append(_bad_option(option))
        elif kind not in catalogue:
            problems.append(_unknown_kind(kind, catalogue))
        else:
            files.setdefault(kind, []).append(file)
    records: dict[str, tuple[JSON, ...] | Streamed] = {}
    for kind, names in files.items():
        read = _read_all(names, catalogue[kind], larger_than)
        problems += read.diagnostics
        if read.value is not None:
            records[kind] = read.value
    return Checked(None if problems else records, tuple(problems))


def _read_all(
    files: Sequence[str], kind: ResourceKind, larger_than: int | None
) -> Checked[tuple[JSON, ...] | Streamed]:
    """Read the files of one kind."""
    # Of buckets none may be missing, which only who holds them all can tell; and a pipe is read once.
    may_stream = larger_than is not None and not kind.buckets and all(map(_has_size, files))
    room = larger_than if may_stream else None
    parts: list[_Part] = []
    problems: list[Diagnostic] = []
    for file in files:
        try:
            part = _read(Path(file), kind, room)
        except UNREADABLE as error:
            problems.append(unreadable(file, error))
            continue
        if room is not None:
            room = 0 if part.records is None else room - part.size
        parts.append(part)
    if problems:
        return Checked(None, tuple(problems))
    held = [part.records for part in parts if part.records is not None]
    try:
        if missing := _missing(parts):
            return Checked(None, (_incomplete(kind.kind, missing),))
    except UNREADABLE as error:  # a line of a file that is not held, which was not looked at so far
        files_ = [part.file for part in parts if part.records is None]
        return Checked(None, (unreadable(str(files_[0].path), error),))
    if len(held) < len(parts):
        return Checked(Streamed(tuple(part.file for part in parts)))
    return Checked(tuple(without(record, kind.secret) for records in held for record in records))


def _has_size(file: str) -> bool:
    """Tell whether a path leads to a file that can be read again, and cut: some of a system's own have no size."""
    try:
        return Path(file).is_file() and Path(file).stat().st_size > 0
    except OSError:  # which whoever opens it tells
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """
    The records of one file, of a size in bytes; None where there is no room for them.

    `links_on` tells of a page whether it links to a next one, and is None where the file is no page; `count` is
    the number of records in the whole answer, where the page tells it, and `items` that of its own.
    """

    file: File
    size: int
    records: Sequence[JSON] | None
    links_on: bool | None = None
    count: int | None = None
    items: int = 0


def _missing(parts: Sequence[_Part]) -> str:
    """Return what is known to be missing from the pages of a kind, or an empty text."""
    if all(part.links_on for part in parts):
        return "every given page links to a next one."
    counts = [part.count for part in parts if part.count is not None]
    if counts:
        given = sum(part.items or sum(1 for _ in part.file) for part in parts)
        if max(counts) > given:
            return f"a page counts {max(counts)} records, and {given} are given."
    return ""


def _read(path: Path, kind: ResourceKind, room: int | None) -> _Part:
    seen = _state(path.stat())
    with _opened(path) as stream:
        content = stream.read(_HEAD)
        has_lines = _has_lines(content.removeprefix(_BOM))
        if room is not None and has_lines:
            content += stream.read(max(room + 1 - len(content), 0))
            if len(content) > room:
                return _Part(file=Lines(path, kind, seen), size=len(content), records=None)
        content = _bounded(stream, content)
    if not _NOT_BLANK.search(content):
        raise ValueError("the file is empty; an empty collection is []")
    size = len(content)
    if _has_lines(content):
        records = list(_lines(content))
        return _Part(file=Lines(path, kind, seen), size=size, records=records, items=len(records))
    if room is not None and size > room and (found := split_page(content, kind)) is not None:
        return _Part(
            file=Items(path, kind, seen),
            size=size,
            records=None,
            links_on=found.links_on,
            count=found.count,
            items=len(found.items),
        )
    page = read_page(content, kind)
    return _Part(
        file=Items(path, kind, seen),
        size=size,
        records=page.items,
        links_on=page.links_on,
        count=page.count,
        items=len(page.items),
    )


def _bounded(stream: BufferedReader, content: bytes = b"") -> bytes:
    """Return what a stream holds after what was read of it."""
    # A buffer as large as may be would be new memory for every file, which takes longer than to read it.
    size = os.fstat(stream.fileno()).st_size if isinstance(stream.raw, FileIO) else MAX_BYTES
    for most in (min(size, MAX_BYTES), MAX_BYTES):
        content += stream.read(max(most + 1 - len(content), 0))
        if len(content) <= most:
            break
    content = content.removeprefix(_BOM)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it holds more than {MAX_BYTES // 1024**3} GiB")
    return content


@contextmanager
def _opened(path: Path, seen: FileState | None = None) -> Iterator[BufferedReader]:
    """
    Give a stream of what a file holds, decompressed; of a pipe, of what came through it.

    Raises:
        ValueError: before the block or after it, the file is not in the state in which it was *seen*; what is
            compressed is damaged.
    """
    with ExitStack() as stack:
        file: BufferedReader = stack.enter_context(path.open("rb"))
        descriptor = file.fileno()
        if not file.seekable():
            file = BufferedReader(cast("RawIOBase", BytesIO(file.read(MAX_BYTES + 1))))
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(_GZIP):
            file = BufferedReader(cast("RawIOBase", stack.enter_context(GzipFile(fileobj=file))))
        elif magic.startswith(_ZSTD):
            file = BufferedReader(_Zstd(file))
        _ensure_same(descriptor, seen)
        try:
            yield file
        except (EOFError, zlib.error, zstandard.ZstdError) as error:
            raise ValueError(str(error)) from None
        _ensure_same(descriptor, seen)


def _state(found: os.stat_result) -> FileState:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _ensure_same(descriptor: int, seen: FileState | None) -> None:
    if seen is not None and _state(os.fstat(descriptor)) != seen:
        raise ValueError("it has changed since it was first read")


def _is_compressed(magic: bytes) -> bool:
    return magic.startswith((_GZIP, *_ZSTD))


class _Zstd(RawIOBase):
    """
    What a compressed file holds, frame after frame (RFC 8878).

    Not `stream_reader`: at the end of a file that was cut off it ends without an error.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._begun = False
        self._unused = b""
        self._found = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._found and (taken := self._unused or self._file.read(_ZSTD_STEP)):
            if self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._found = memoryview(self._frame.decompress(taken))
            self._begun, self._unused = True, self._frame.unused_data
        if not self._found and self._begun and not self._frame.eof:
            raise EOFError("the compressed file ends too early")
        size = min(len(buffer), len(self._found))
        buffer[:size], self._found = self._found[:size], self._found[size:]
        return size


def _has_lines(content: bytes) -> bool:
    """Return whether a file is NDJSON: its first line is an object, and there are more."""
    text = content.lstrip()
    end = min((end for end in map(text.find, (b"\n", b"\r")) if end >= 0), default=None)
    if end is None or not text.startswith(b"{") or not _NOT_BLANK.search(text, end):
        return False
    try:
        parse_json(text[:end])
    except ValueError:
        return False
    return True


def _lines(content: bytes) -> Iterator[JSON]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield _record(line, number)


def _blocks(texts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield records as whole lines, some at a time, with the place where they begin."""
    place, size, waiting = 0, 0, list[bytes]()
    for text in texts:
        waiting.append(msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text)
        size += len(waiting[-1]) + 1
        if size >= _BLOCK:
            yield place, b"\n".join((*waiting, b""))
            place, size, waiting = place + size, 0, []
    if waiting:
        yield place, b"\n".join((*waiting, b""))


def _written(record: JSON) -> bytes:
    """Return a record as a line."""
    try:
        return json.dumps(record).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None


_SUMMARIES: Final = {
    "records.bad-option": "Bad option",
    "records.unknown-kind": "Unknown resource kind",
    "records.unreadable": "Records can not be read",
    "records.incomplete": "Records are incomplete",
}


def _problem(code: str, subject: str, detail: str, help: str) -> Diagnostic:
    return Diagnostic(code=code, summary=_SUMMARIES[code], detail=detail, help=help, subject=subject)


def _bad_option(option: str) -> Diagnostic:
    detail = f'"{option}" is not of the form KIND=FILE.'
    return _problem("records.bad-option", "--records", detail, "--records activities=events.ndjson")


def _unknown_kind(kind: str, catalogue: Catalogue) -> Diagnostic:
    detail = f'There is no resource kind "{kind}".'
    return _problem("records.unknown-kind", "--records", detail, did_you_mean(kind, catalogue))


def unreadable(file: str, error: Exception) -> Diagnostic:
    """Return the mistake of a file that can not be read, for one of the errors `UNREADABLE`."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    help = "Give pages as PingOne answers them, a JSON array, or one JSON object a line; gzip and zstd are read too."
    return _problem("records.unreadable", file, f"{reason[:1].upper()}{reason[1:]}.", help)


def _incomplete(kind: str, missing: str) -> Diagnostic:
    help = "Give all pages, each by --records of its own; what is not there can not be judged."
    return _problem("records.incomplete", "--records", f"Of {kind}, {missing}", help)
