"""
Records given as a file instead of a tenant: a HAL page, a JSON array or NDJSON, each also compressed.

A large file of plain NDJSON is read line by line, as often as its records are asked for, and never held.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypedDict

import msgspec
import zstandard

from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.instant import parse_instant
from auditor.model.resource import Catalogue, ResourceKind, value_at, without
from auditor.model.value import JSON, parse_json

MAX_BYTES: Final = 2 * 1024**3
"""Largest given file after decompression, a million events; a decompression bomb has more."""

_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes((n, 0x2A, 0x4D, 0x18)) for n in range(0x50, 0x60)))
"""Magic numbers of frames and of skippable frames (RFC 8878, sections 3.1.1 and 3.1.2)."""
_ZSTD_STEP: Final = 4096
"""Compressed bytes taken at once: 32 bits of them can stand for 128 KiB, so at most 128 MiB come of a step."""


STREAMED: Final = 16 * 1024**2
"""Bytes from which on a file of lines is not held in memory."""

_BLOCK: Final = 64 * 1024
"""Bytes that are decoded at once: more do not stay in the processor's cache."""

_HEAD: Final = 1024**2
"""Bytes in which the first line of a file of lines ends."""


class Lines:
    """
    The records of a file of lines, which is read anew whenever they are iterated over.

    `newest` is the latest of the instants among them, None where there is none; `len` tells how many records there are.
    """

    def __init__(self, path: Path, kind: ResourceKind) -> None:
        """
        Look through all lines.

        Raises:
            OSError: the file can not be read.
            ValueError: a line is no JSON object.
        """
        self._path = path
        self._kind = kind
        self._length = 0
        self.newest: datetime | None = None
        self._survey(kind.buckets.end if kind.buckets else kind.instant)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[JSON]:
        """
        Yield the records.

        Raises:
            OSError: the file can not be read.
            ValueError: a line is no JSON object.
        """
        with self._path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    text = line.removeprefix(_BOM) if number == 1 else line
                    yield without(_record(text, number), self._kind.secret)

    def _survey(self, where: str | None) -> None:
        decode, number = _decoder(where).decode_lines, 1
        with self._path.open("rb") as stream:
            block = stream.read(_BLOCK).removeprefix(_BOM)
            while block:
                block += stream.readline()
                try:
                    if not block.isascii():
                        block.decode()  # msgspec does not look at texts that nobody asked for
                    records: Sequence[Any] = decode(block)
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    records = [_record(line, at) for at, line in _numbered(block, number)]
                self._length += len(records)
                if where:
                    self._note([value_at(record, where) for record in records])
                number += block.count(b"\n")
                block = stream.read(_BLOCK)

    def _note(self, values: Sequence[JSON]) -> None:
        texts = [value for value in values if type(value) is str]
        is_sorted = len({(len(text), text[-1:] == "Z") for text in texts}) == 1 and texts[0].endswith("Z")
        if is_sorted:  # instants of one form are in the order of time
            texts.sort(reverse=True)
        for text in texts:
            with suppress(ValueError):  # the reader of the records says what is wrong with them
                instant = parse_instant(text)
                self.newest = max(self.newest or instant, instant)
                if is_sorted:
                    break


@dataclass(frozen=True, slots=True)
class Streamed:
    """The records of files that are too large to be held."""

    parts: tuple[Lines, ...]

    def __iter__(self) -> Iterator[JSON]:
        return chain.from_iterable(self.parts)

    def newest(self) -> Iterator[datetime]:
        """Yield the newest instant of each file, where it has any."""
        return (part.newest for part in self.parts if part.newest is not None)


_OBJECT: Final[Any] = TypedDict
"""Makes types while the program runs, of which no type checker knows."""


def _decoder(path: str | None) -> msgspec.json.Decoder[Any]:
    """Return what decodes the value at a path of a record, and nothing else of it."""
    expected: Any = Any
    for step in reversed(path.split(".") if path else ["-"]):
        expected = _OBJECT("Step", {step: expected}, total=False)
    return msgspec.json.Decoder(expected)


def _numbered(block: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(block.split(b"\n"), start=first):
        if line.strip():
            yield number, line


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
    Read the options as `read_records` does, but of files of lines that are larger, in bytes, only what has to be known.

    Result: records by resource kind: `Streamed` where they are not held.
    """
    found: dict[str, list[_Part]] = {}
    problems: list[Diagnostic] = []
    for option in options:
        kind, equals, file = option.partition("=")
        if not equals or not file:
            problems.append(_bad_option(option))
        elif kind not in catalogue:
            problems.append(_unknown_kind(kind, catalogue))
        else:
            try:
                part = _read(Path(file), catalogue[kind], larger_than)
                found.setdefault(kind, []).append(part)
            except (OSError, ValueError, EOFError, zlib.error, zstandard.ZstdError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                problems.append(_unreadable(file, reason))
    if not problems:
        problems += [
            _incomplete(kind, missing) for kind, parts in found.items() if (missing := _missing(parts))
        ]
    records = {
        kind: _records([part.records for part in parts], catalogue[kind]) for kind, parts in found.items()
    }
    return Checked(None if problems else records, tuple(problems))


def _records(parts: Sequence[Sequence[JSON] | Lines], kind: ResourceKind) -> tuple[JSON, ...] | Streamed:
    streamed = tuple(part for part in parts if isinstance(part, Lines))
    if streamed and len(streamed) == len(parts):
        return Streamed(streamed)
    return tuple(
        record if isinstance(part, Lines) else without(record, kind.secret)
        for part in parts
        for record in part
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """
    The records of one file.

    `links_on` tells of a page whether it links to a next one, and is None where the file is no page; `count` is
    the number of records in the whole answer, where the page tells it.
    """

    records: Sequence[JSON] | Lines
    links_on: bool | None = None
    count: int | None = None


def _missing(parts: Sequence[_Part]) -> str:
    """Return what is known to be missing from the pages of a kind, or an empty text."""
    if all(part.links_on for part in parts):
        return "every given page links to a next one."
    counts = [part.count for part in parts if part.count is not None]
    given = sum(len(part.records) for part in parts)
    if counts and max(counts) > given:
        return f"a page counts {max(counts)} records, and {given} are given."
    return ""


def _read(path: Path, kind: ResourceKind, larger_than: int | None) -> _Part:
    with path.open("rb") as stream:
        if larger_than is not None and path.stat().st_size > larger_than:
            if _has_lines(stream.read(_HEAD).removeprefix(_BOM)):
                return _Part(records=Lines(path, kind))
            stream.seek(0)
        content = _decompressed(stream.read(MAX_BYTES + 1)).removeprefix(_BOM)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it holds more than {MAX_BYTES // 1024**3} GiB")
    if not re.search(rb"\S", content):
        raise ValueError("the file is empty; an empty collection is []")
    if _has_lines(content):
        return _Part(records=list(_lines(content)))
    document = parse_json(content)
    part = _Part(records=document) if isinstance(document, list) else _page(document, kind)
    for position, record in enumerate(part.records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f"record {position} is no object")
    return part


def _decompressed(content: bytes) -> bytes:
    if content.startswith(_GZIP):
        return gzip.GzipFile(fileobj=BytesIO(content)).read(MAX_BYTES + 1)
    return _zstd(content) if content.startswith(_ZSTD) else content


def _zstd(content: bytes) -> bytes:
    # Not `stream_reader`: at the end of a file that was cut off it ends without an error.
    found, position = bytearray(), 0
    view = memoryview(content)
    decompressor = zstandard.ZstdDecompressor()
    while position < len(content) and len(found) <= MAX_BYTES:
        frame = decompressor.decompressobj()
        while not frame.eof and len(found) <= MAX_BYTES:
            if position >= len(content):
                raise EOFError("the compressed file ends too early")
            found += frame.decompress(view[position : position + _ZSTD_STEP])
            position = min(position + _ZSTD_STEP, len(content)) - len(frame.unused_data)
    return bytes(found)


def _has_lines(content: bytes) -> bool:
    """Return whether a file is NDJSON: its first line is an object, and there are more."""
    first = re.match(rb"\s*([^\r\n]*)", content)
    if first is None or not first[1].startswith(b"{") or not re.compile(rb"\S").search(content, first.end()):
        return False
    try:
        parse_json(first[1])
    except ValueError:
        return False
    return True


def _lines(content: bytes) -> Iterator[JSON]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        yield _record(line, number)


def _page(document: JSON, kind: ResourceKind) -> _Part:
    """Return a page as PingOne answers it, or the one record that the document is."""
    if not isinstance(document, dict):
        raise ValueError("it is neither an object nor an array")
    items = value_at(document, kind.page.items) if kind.page.items else None
    if isinstance(items, list):
        count = value_at(document, kind.page.total) if kind.page.count == "items" else None
        return _Part(
            records=items,
            links_on=bool(kind.page.next and value_at(document, kind.page.next)),
            count=count if isinstance(count, int) else None,
        )
    if any(value_at(document, path) is None for path in kind.identity):
        page = f"neither a page with {kind.page.items} nor a" if kind.page.items else "no"
        raise ValueError(f"it is {page} record of {kind.kind}")
    return _Part(records=[document])


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


def _unreadable(file: str, reason: str) -> Diagnostic:
    help = "Give pages as PingOne answers them, a JSON array, or one JSON object a line; gzip and zstd are read too."
    return _problem("records.unreadable", file, f"{reason[:1].upper()}{reason[1:]}.", help)


def _incomplete(kind: str, missing: str) -> Diagnostic:
    help = "Give all pages, each by --records of its own; what is not there can not be judged."
    return _problem("records.incomplete", "--records", f"Of {kind}, {missing}", help)
