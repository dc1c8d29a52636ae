"""
What there is to know of records that are given as lines, before any is judged, and without holding them.

Records may repeat, as those of pages do. Where a file is in order, of time or backwards, or made of stretches that are
and do not overlap, a record can repeat only where the next to it is, or where two stretches touch. Everywhere else each
record has to be remembered, which takes ten times as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain, pairwise
from operator import attrgetter, gt, lt
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
import orjson

from auditor.fetcher.failures import drift
from auditor.fetcher.seen import Seen
from auditor.model.decoding import UNLIKE, nested
from auditor.model.drift import Documented
from auditor.model.evidence import Failure
from auditor.model.instant import format_instant, parse_instant
from auditor.model.resource import ResourceKind, value_at, without
from auditor.model.timeline import sortable, span
from auditor.model.value import JSON, parse_json

MOST: Final = 10_000
"""Stretches of a file in order, or records with one place in it, from which on it is taken to be in none."""

Place: TypeAlias = tuple[int, int]
"""Where a record is: the number of its file, and the byte with which its line begins."""


class Lines(Protocol):
    """A file of lines, or a part of one."""

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines, some at a time, with the place where they begin."""

    def number(self, place: int) -> int:
        """Return which line of the file begins at a place, counted from 1."""

    def __iter__(self) -> Iterator[JSON]:
        """Yield the records."""


class LineError(ValueError):
    """A line is no JSON object; `place` is where it begins."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(place, reason)
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """
    What is known of the records of some files: how many there are, and the first and last instant of them.

    `repeated` are the places of those that repeat another; `failure` says why nothing can be told.
    """

    files: tuple[Lines, ...]
    records: int = 0
    repeated: frozenset[Place] = frozenset()
    first: datetime | None = None
    last: datetime | None = None
    failure: Failure | None = None

    def __iter__(self) -> Iterator[JSON]:
        """
        Yield the records.

        Raises:
            ValueError, OSError: as of the files.
        """
        return chain.from_iterable(self.files)


class _Known(NamedTuple):
    """A record at an end of a stretch: its place in the order, its identity, a digest of it, and where it is."""

    key: str
    identity: tuple[JSON, ...]
    digest: bytes
    place: Place


class _Stretch(NamedTuple):
    """Records in order: the least and the greatest of their keys, and those that have one of the two."""

    least: str
    greatest: str
    ends: tuple[_Known, ...]


@dataclass(slots=True)
class Scan:
    """
    What one look through some lines has found; what several have found is put together by `survey`.

    With `is_enough` it tells all: not where records are in no order, one is not as documented, or two contradict.
    """

    records: int = 0
    repeated: set[Place] = field(default_factory=set)
    stretches: list[_Stretch] = field(default_factory=list)
    first: str | None = None
    last: str | None = None
    failure: Failure | None = None
    is_enough: bool = True

    def note(self, block: _Block) -> None:
        """Count records, and take in their instants."""
        self.records += len(block.rows)
        if instants := block.instants:
            self.first = min(self.first or instants[0], *instants)
            self.last = max(self.last or instants[0], *instants)


def scan(kind: ResourceKind, file: int, lines: Lines) -> Scan:
    """
    Look through lines of a file, which is known by a number.

    Raises:
        LineError: a line is no JSON object.
        OSError, ValueError: the file can not be read.
    """
    rows = _Rows(kind, lines)
    looking = _Looking(rows, file)
    for place, content in lines.blocks():  # to the last, since a line that is no JSON is told before all else
        looking.take(rows.of(place, content))
    looking.end()
    looking.found.is_enough &= rows.failure is None
    return looking.found


def survey(kind: ResourceKind, scans: Iterable[Scan], files: Sequence[Lines]) -> Survey:
    """
    Return what is known of the records of some files from looks through all of their lines.

    Where they are in no order, or not as they should be, the files are read again, from the first to the last: so the
    same is told of them whatever they were cut into.

    Raises:
        LineError, OSError, ValueError: as of `scan`.
    """
    found = Scan()
    for each in scans:
        found.records += each.records
        found.repeated |= each.repeated
        found.stretches += each.stretches
        found.first = min(filter(None, (found.first, each.first)), default=None)
        found.last = max(filter(None, (found.last, each.last)), default=None)
        found.is_enough = found.is_enough and each.is_enough
    ends = [known for stretch in found.stretches for known in stretch.ends]
    repeated = _repeated(ends) if found.is_enough and _are_apart(found.stretches) else None
    if repeated is None:
        found = _closely(kind, files)
    else:
        found.repeated |= repeated
    return Survey(
        files=tuple(files),
        records=found.records - len(found.repeated),
        repeated=frozenset(found.repeated),
        first=parse_instant(found.first) if found.first else None,
        last=parse_instant(found.last) if found.last else None,
        failure=found.failure,
    )


def _are_apart(stretches: list[_Stretch]) -> bool:
    """Tell whether no stretch reaches into another; they may touch."""
    if len(stretches) > MOST:
        return False
    ordered = sorted(stretches, key=attrgetter("least", "greatest"))
    return all(one.greatest <= other.least for one, other in pairwise(ordered))


def _repeated(found: Iterable[_Known]) -> set[Place] | None:
    """Return the places of the records that repeat an earlier one; None if two different ones have one identity."""
    first: dict[tuple[str, tuple[JSON, ...]], _Known] = {}
    repeated = set()
    for known in sorted(set(found), key=attrgetter("place")):
        before = first.setdefault((known.key, known.identity), known)
        if before.digest != known.digest:
            return None
        if before is not known:
            repeated.add(known.place)
    return repeated


class _Block(NamedTuple):
    """
    Records of some lines: where each begins in some bytes, whose place is known, and what was decoded of it.

    `keys` and `instants` are their places in the order and their instants in forms that sort; without instants where
    the kind has none.
    """

    place: int
    content: bytes
    starts: Sequence[int]
    rows: Sequence[Any]
    keys: Sequence[str]
    instants: Sequence[str]

    def line(self, number: int) -> tuple[int, bytes]:
        """Return the place of a line, and the line."""
        start = self.starts[number]
        return self.place + start, self.content[start:].partition(b"\n")[0]


_OPENING, _CLOSING = b"{}"


def _starts(block: bytes) -> list[int]:
    """
    Return where the lines of a block begin; none if any does not begin and end with a brace.

    One object a line it is then, if there are so many objects: no line can begin with a brace inside of an object
    after a line that ended with one.
    """
    starts, start, length = [], 0, len(block)
    while start < length:
        end = block.find(b"\n", start)
        end = length if end < 0 else end
        if block[start] != _OPENING or block[end - 1] != _CLOSING:
            return []
        starts.append(start)
        start = end + 1
    return starts


def numbered(place: int, content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of some bytes that hold something, each with its place; *place* is that of the first byte."""
    for line in content.split(b"\n"):
        if line and not line.isspace():
            yield place, line
        place += len(line) + 1


class _Rows:
    """The fields of records by which they are known, of blocks of lines; `failure` tells of the first flaw of any."""

    def __init__(self, kind: ResourceKind, lines: Lines) -> None:
        self.failure: Failure | None = None
        self._kind = kind
        self._lines = lines
        self._instant = kind.instant
        self._paths = tuple(dict.fromkeys((kind.order_key, *kind.identity, *filter(None, (kind.instant,)))))
        self._decoder = msgspec.json.Decoder(nested(dict.fromkeys(self._paths, str), required=True))

    @cached_property
    def _documented(self) -> Documented:
        return Documented(self._kind.item)

    def of(self, place: int, content: bytes) -> _Block:
        """
        Return the records of some lines, without those of which it can not be told what they are known by.

        Raises:
            LineError: a line is no JSON object.
        """
        starts = _starts(content)
        with suppress(*UNLIKE):
            if not content.isascii():
                content.decode()  # msgspec does not look at texts that nobody asked for
            rows = self._decoder.decode_lines(content) if starts else []
            if rows and len(rows) == len(starts):
                return self._block(place, content, starts, rows)
        found = [(at - place, self._row(at, line)) for at, line in numbered(place, content)]
        known = [(start, row) for start, row in found if row is not None]
        return self._block(place, content, [start for start, _ in known], [row for _, row in known])

    def _block(self, place: int, content: bytes, starts: Sequence[int], rows: Sequence[Any]) -> _Block:
        instants = self._instants(rows) if self._instant else []
        is_time = self._kind.order_key == self._instant
        keys = instants if is_time else _texts(rows, self._kind.order_key)
        return _Block(place, content, starts, rows, keys, instants)

    def _row(self, place: int, line: bytes) -> Any:
        """Return what is to be known of a line that was not decoded as one of many; None if it is not known."""
        with suppress(*UNLIKE):
            line.decode()
            row = self._decoder.decode(line)
            self._instants([row] if self._instant else [])
            return row
        try:
            record = parse_json(line)
        except ValueError as error:
            raise LineError(place, f"is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise LineError(place, "is no object")
        unknown = self._unknown(record)
        if self.failure is None and (flaw := _flaw(self._documented, self._kind, record) or unknown):
            self.failure = drift(self._lines.number(place), flaw).failure
        return None if unknown else record

    def _unknown(self, record: dict[str, Any]) -> str:
        """Return why it can not be told what a record is known by; nothing where it can."""
        for path in self._paths:
            if isinstance(value_at(record, path), dict | list | None):
                return f"{path}: there is no value to know the record by"
        try:
            self._instants([record] if self._instant else [])
        except ValueError as error:
            return f"{self._instant}: {error}"
        return ""

    def _instants(self, rows: Sequence[Any]) -> list[str]:
        """
        Return the instants of records in a form that sorts.

        Raises:
            ValueError: one is none.
        """
        texts = _texts(rows, self._instant) if self._instant else []
        if span(texts) is not None:
            return [text[:-1] for text in texts]
        return [sortable(text) for text in texts]

    def identity(self, row: Any) -> tuple[JSON, ...]:
        """Return by what a record is known, beside its place in the order: instants in one spelling."""
        values = ((path, value_at(row, path)) for path in self._kind.identity)
        return tuple(sortable(str(value)) if path == self._instant else value for path, value in values)

    def digest(self, line: bytes) -> bytes:
        """Return a digest of a record, the same whatever the order of its fields and the spaces between them."""
        record = without(parse_json(line), self._kind.secret)
        try:
            text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # lone surrogates, integers beyond 64 bits, more than 254 levels
            text = repr(_sorted(record)).encode("utf-8", "surrogatepass")
        return _hash(text)


def _texts(rows: Sequence[Any], path: str) -> list[str]:
    return [str(value_at(row, path)) for row in rows] if "." in path else [str(row[path]) for row in rows]


def _flaw(documented: Documented, kind: ResourceKind, record: dict[str, Any]) -> str:
    return documented.flaw(without(record, kind.secret))


def documented(kind: ResourceKind, lines: Lines) -> Callable[[int, dict[str, Any]], None]:
    """
    Return what makes sure that records of a file are as documented, each given with the place of its line.

    It raises:
        FetchError: a record is not; the message names the line.
    """
    shape = Documented(kind.item)

    def ensure(place: int, record: dict[str, Any]) -> None:
        if flaw := _flaw(shape, kind, record):
            raise drift(lines.number(place), flaw)

    return ensure


class _Looking:
    """One look through the records of a file, on its way."""

    def __init__(self, rows: _Rows, file: int) -> None:
        self.found = Scan()
        self._rows = rows
        self._file = file
        self._goes: Callable[[str, str], bool] | None = None
        """The order of the stretch, once two records tell it."""
        self._head: list[_Known] = []
        """What is known of the records with its first key, when others have come."""
        self._group: list[tuple[str, Any, int, bytes]] = []
        """The records with its latest key, where several have it; else the latest of them."""

    def take(self, block: _Block) -> None:
        """Take some records, as long as that is enough."""
        keys, rows = block.keys, block.rows
        if not rows or not self.found.is_enough:
            return
        self.found.note(block)
        goes, group = self._goes, self._group
        if goes and len(group) == 1 and goes(group[0][0], keys[0]) and all(map(goes, keys, keys[1:])):
            self._leave_head()
            self._group = [(keys[-1], rows[-1], *block.line(-1))]
            return
        for number, (key, row) in enumerate(zip(keys, rows, strict=True)):
            self._add(key, row, *block.line(number))

    def _add(self, key: str, row: Any, at: int, line: bytes) -> None:
        if self._group:
            latest = self._group[0][0]
            if key == latest:
                self._group.append((key, row, at, line))
                self.found.is_enough &= len(self._group) <= MOST
                return
            if self._goes is None:
                self._goes = lt if latest < key else gt
            if self._goes(latest, key):
                self._leave_head()
            else:
                self.end()
        self._group = [(key, row, at, line)]

    def _leave_head(self) -> None:
        """Leave a key for the next of the stretch."""
        if not self._head:
            self._head = self._known()
        elif len(self._group) > 1:
            self._known()

    def _known(self) -> list[_Known]:
        """Return what is known of the records with the latest key, after looking for some that repeat."""
        found = [
            _Known(key, self._rows.identity(row), self._rows.digest(line), (self._file, at))
            for key, row, at, line in self._group
        ]
        repeated = _repeated(found)
        self.found.is_enough &= repeated is not None
        self.found.repeated |= repeated or set()
        return found

    def end(self) -> None:
        """End a stretch."""
        if not self._group:
            return
        tail = self._known()
        head = self._head or tail
        least, greatest = sorted((head[0].key, tail[0].key))
        self.found.stretches.append(_Stretch(least, greatest, tuple(dict.fromkeys((*head, *tail)))))
        self._goes, self._head, self._group = None, [], []
        self.found.is_enough &= len(self.found.stretches) <= MOST


def _hash(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


def _sorted(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _closely(kind: ResourceKind, files: Sequence[Lines]) -> Scan:
    """
    Look through records once more, and remember each: where they are in no order, or something is wrong with them.

    A record that is not as documented is told before two that contradict one another.

    Raises:
        LineError, OSError, ValueError: as of `scan`.
    """
    found, seen = Scan(), Seen()
    changed: Failure | None = None
    for file, lines in enumerate(files, start=1):
        rows = _Rows(kind, lines)
        for place, content in lines.blocks():
            block = rows.of(place, content)
            found.note(block)
            names = [(key, rows.identity(row)) for key, row in zip(block.keys, block.rows, strict=True)]
            hashed = [_hash(repr(name).encode("utf-8", "surrogatepass")) for name in names]
            known, new = seen.among(hashed), dict[bytes, bytes]()
            for number, (name, key) in enumerate(zip(names, hashed, strict=True)):
                at, line = block.line(number)
                digest = rows.digest(line)
                before = known.get(key) or new.get(key)
                if before is None:
                    new[key] = digest
                elif before == digest:
                    found.repeated.add((file, at))
                else:
                    changed = changed or _changed(kind, *name)
            seen.add(new)
        found.failure = found.failure or rows.failure
    found.failure = found.failure or changed
    return found


def _changed(kind: ResourceKind, key: str, identity: tuple[JSON, ...]) -> Failure:
    named = zip((kind.order_key, *kind.identity), (key, *identity), strict=True)
    shown = (
        format_instant(parse_instant(text)) if path == kind.instant else str(text) for path, text in named
    )
    return Failure(
        code="evidence.changed-record",
        reason=f"Two different records came under one identity ({', '.join(shown)}).",
        help="",
    )
