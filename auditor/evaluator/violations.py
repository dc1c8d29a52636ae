"""What a check is about, and its violations: how records are ordered and named, counted and told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, TypeAlias

from auditor import jmes, scim
from auditor.evaluator.privacy import Origin, Personal, Redaction
from auditor.model.instant import parse_instant
from auditor.model.resource import ResourceKind, value_at, without
from auditor.model.timeline import sortable
from auditor.model.value import JSON, parse_json
from auditor.model.verdict import PERSONAL, Redacted, Violation

SHOWN: Final = 20
"""Violations that a verdict shows; the rest is counted."""

THE_LIST: Final = "the whole list"
"""What names a violation that is no single record's."""

TOO_DEEP: Final = "(nests too deep)"
"""What stands for a value that nests deeper than can be written."""

_LEVELS: Final = 200
"""Levels of lists and objects in one another that are told; what writes JSON follows about 250."""

_NESTING: Final = frozenset({dict, list})

_SHOWN_LENGTH: Final = 120

_INSTANT: Final = 2
"""The rank of instants among the values of a key."""

Key: TypeAlias = tuple[Any, ...]
"""Order key and identity of a record, in a form that sorts."""

Hook: TypeAlias = Callable[[Violation], Violation]
"""What is shown every violation once, and returns it with what there is to add."""


class Received:
    """
    A record as it was received: the number of the page that brought it, and the whole of it.

    What is given as a line of JSON is decoded when it is asked for, without the fields that may hold a secret. The
    *line* may be what reads it, which is called when it is first needed.
    """

    __slots__ = ("_line", "_record", "_secret", "page")

    def __reduce__(self) -> tuple[type[Received], tuple[Any, ...]]:
        """Pickle a line without what was decoded of it."""
        line = self.line()
        return Received, (self.page, None if line else self._record, line, self._secret)

    def __init__(
        self,
        page: int,
        record: JSON = None,
        line: bytes | Callable[[], bytes] = b"",
        secret: Sequence[str] = (),
    ) -> None:
        self.page = page
        self._record = record
        self._line = line
        self._secret = secret

    def line(self) -> bytes:
        """Return the line, which is held by itself from now on; nothing of what was decoded before."""
        if not isinstance(self._line, bytes):
            self._line = self._line()
        return self._line

    @property
    def record(self) -> JSON:
        """
        The record.

        Raises:
            ValueError: the line is no JSON object.
        """
        if self._record is None:
            record = parse_json(self.line())
            if not isinstance(record, dict):
                raise ValueError("it is no object")
            self._record = without(record, self._secret)
        return self._record

    @property
    def may_be_deep(self) -> bool:
        """Whether the record nests deeper than is told; of a line, whether it may."""
        if line := self.line():
            return line.count(b"{") + line.count(b"[") > _LEVELS
        return _nests_deeper(self._record, _LEVELS)


class Subject:
    """
    What a check is about: how its records are ordered and named, and how a violation is told.

    Fingerprints hold the name of the *check*, to which every expectation but the first adds its number.
    """

    def __init__(
        self,
        check: str,
        kind: ResourceKind,
        template: jmes.Template | None,
        default_message: str,
        redaction: Redaction,
        reads: Sequence[str] = (),
        query: str = "",
    ) -> None:
        self.check = check
        self.kind = kind
        self.template = template
        self.default_message = default_message
        self.redaction = redaction
        self.query = query
        personal = Personal(tuple(kind.personal))
        self._of_record = Redaction(personal)
        self._reads = [(path, path.split(".")) for path in reads]
        self._reads_personal = personal.is_in(frozenset(map(Origin, reads)))
        # Of what is bound, a record without names knows nothing.
        self._from_bound = self._personal_pieces(Personal(bound=redaction.personal.bound))
        self._instant_path = kind.buckets.start if kind.buckets else kind.instant
        paths = (kind.order_key, *kind.identity)
        self._paths = [(path, scim.rules(kind)(path).type == "instant", "." in path) for path in paths]
        self._names_are_told = not redaction.alters(_need_of(kind.identity))
        self._untold = self._untold_pieces()

    def _untold_pieces(self) -> dict[int, jmes.Expression]:
        """Return the parts of the message, by position, that without personal data may be others."""
        found: dict[int, jmes.Expression] = {}
        for number, part in enumerate(self.template.parts if self.template else ()):
            if not isinstance(part, str):
                need = jmes.Need()
                jmes.add_needs(part.node, need)
                if self.redaction.alters(need):
                    found[number] = part
        return found

    def key(self, record: JSON) -> tuple[Any, ...]:
        """
        Return order key and identity of a record, in a form that sorts.

        Instants sort as instants: PingOne may write the same one with and without milliseconds.
        """
        return tuple(
            [
                _sortable(value_at(record, path) if nested else record.get(path), instant)
                for path, instant, nested in self._paths
            ]
        )

    def name(self, item: JSON) -> str:
        """Return what names an item: a record's identity, else its own value, cut short."""
        return self._name(item, self._identity_of(item))

    @staticmethod
    def _name(item: JSON, identity: Sequence[JSON] | None) -> str:
        if identity is not None:
            return ", ".join(map(str, identity))
        text = item if isinstance(item, str) else _canonical(item, ascii_only=False)
        return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 1]}…"

    def public_name(self, item: JSON) -> str:
        """Return what names an item in a reason, which all may read."""
        return self.name(self.redaction.item(item))

    def violation(self, item: JSON, received: Received | None = None) -> Violation:
        """Return an item, which may be the record that was received itself, as a violation."""
        identity = self._identity_of(item)
        known = [None, item] if identity is None else [_lasting(self.key(item))]
        values = self._values(received.record) if received else {}
        pieces = self._pieces(item)
        link = value_at(item, "_links.self.href") if isinstance(item, dict) else None
        name = self._name(item, identity)
        found = Violation(
            fingerprint=self._fingerprint(*known),
            identity=name,
            at=self._instant(item),
            message="".join(pieces),
            item=item,
            link=link if isinstance(link, str) else None,
            page=f"{self.query}#{received.page}" if received else "",
            values=values,
            redacted=self._redacted(item, received, values, pieces, None if identity is None else name),
        )
        return _followed(found) if received is None or received.may_be_deep else found

    def violation_of_list(self, message: Sequence[str]) -> Violation:
        """Return the whole list as one violation; of its records only the message, in its pieces, tells."""
        personal = self._personal_pieces(self.redaction.personal)
        pairs = self._pairs(message, message, personal)
        return Violation(
            fingerprint=self._fingerprint(),
            identity=THE_LIST,
            at=None,
            message="".join(message),
            item=None,
            redacted=Redacted(identity=THE_LIST, message=pairs, item=None) if any(personal) else None,
        )

    def _values(self, record: JSON) -> dict[str, JSON]:
        """Return what the expression read of a record."""
        return {path: _read(record, steps) for path, steps in self._reads}

    def _redacted(
        self,
        item: JSON,
        received: Received | None,
        values: Mapping[str, JSON],
        pieces: Sequence[str],
        record_name: str | None,
    ) -> Redacted | None:
        """Return an item, a record where it has a name, as told without personal data; None where that is the same."""
        told = self.redaction.item(item)
        without = values
        if received and self._reads_personal:
            without = self._values(self._of_record.item(received.record))
        if told is item and not any(self._from_bound) and without == values:
            return None
        told_pieces = list(pieces)
        for number, part in self._untold.items():
            (told_pieces[number],) = jmes.Template((part,)).pieces(told)
        is_named = self._names_are_told and isinstance(told, dict)
        name = record_name if is_named and record_name is not None else self.name(told)
        pairs = self._pairs(pieces, told_pieces, self._from_bound)
        return Redacted(identity=name, message=pairs, item=told, values=without)

    def _pieces(self, item: JSON) -> tuple[str, ...]:
        return self.template.pieces(item) if self.template else (self.default_message,)

    @staticmethod
    def _pairs(
        message: Sequence[str], told: Sequence[str], personal: Sequence[bool]
    ) -> tuple[tuple[str, str], ...]:
        """Return the pieces of a message, each with that which is told instead."""
        hidden = personal or (False,) * len(message)
        without = (PERSONAL if hide else piece for hide, piece in zip(hidden, told, strict=True))
        return tuple(zip(message, without, strict=True))

    def _personal_pieces(self, personal: Personal) -> tuple[bool, ...]:
        """Tell for each part of the message whether it can hold something personal."""
        parts = self.template.parts if self.template else ()
        return tuple(not isinstance(part, str) and personal.touches(part.node) for part in parts)

    def _fingerprint(self, *known: JSON) -> str:
        return hashlib.sha256(_canonical([self.check, *known]).encode("ascii")).hexdigest()[:32]

    def _identity_of(self, item: JSON) -> list[JSON] | None:
        """Return the identity of a record; None of what is none."""
        if not isinstance(item, dict):
            return None
        identity = [value_at(item, path) if nested else item.get(path) for path, _, nested in self._paths[1:]]
        return None if None in identity else identity

    def _instant(self, item: JSON) -> datetime | None:
        text = value_at(item, self._instant_path) if self._instant_path and isinstance(item, dict) else None
        try:
            return parse_instant(text) if isinstance(text, str) else None
        except ValueError:
            return None


def _sortable(value: JSON, instant: bool) -> tuple[int, Any]:  # noqa: FBT001  # called in one line
    """Return a value of a record with the rank of its type, since values of two types have no order."""
    if type(value) is str:
        if instant:
            try:
                return (_INSTANT, sortable(value))
            except ValueError:
                pass
        return (3, value)
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, int | float) else (3, _canonical(value))


def _lasting(key: Key) -> list[Any]:
    """Return a key as fingerprints hold it, which may never change."""
    return [(rank, parse_instant(value)) if rank == _INSTANT else (rank, value) for rank, value in key]


_ASCII: Final = json.JSONEncoder(sort_keys=True, default=str)
_READABLE: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)


def _canonical(value: JSON, *, ascii_only: bool = True) -> str:
    try:
        return (_ASCII if ascii_only else _READABLE).encode(value)
    except (RecursionError, ValueError):  # deeper, or a number of more digits, than Python writes
        return "(too large)"


def _read(value: JSON, path: Sequence[str]) -> JSON:
    """Return the value at a path: of a list those in its elements, None where there is none."""
    for position, step in enumerate(path):
        if isinstance(value, list):
            found = [_read(element, path[position:]) for element in value]
            return [inner for each in found for inner in (each if isinstance(each, list) else [each])]
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _followed(found: Violation) -> Violation:
    """Return a violation without what nests deeper than reports and evidence can hold."""
    redacted = found.redacted
    if redacted is not None:
        redacted = replace(redacted, item=_shallow(redacted.item), values=_all_shallow(redacted.values))
    return replace(found, item=_shallow(found.item), values=_all_shallow(found.values), redacted=redacted)


def _all_shallow(values: Mapping[str, JSON]) -> Mapping[str, JSON]:
    return {path: _shallow(value) for path, value in values.items()}


def _shallow(value: JSON) -> JSON:
    return TOO_DEEP if _nests_deeper(value, _LEVELS) else value


def _nests_deeper(value: JSON, levels: int) -> bool:
    """Tell whether there are more levels of lists and objects in one another."""
    level = [value] if type(value) in _NESTING else []
    while level and levels:
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) in _NESTING
        ]
        levels -= 1
    return bool(level)


def _need_of(paths: Sequence[str]) -> jmes.Need:
    need = jmes.Need()
    for path in paths:
        need.at(path).whole = True
    return need


Kept: TypeAlias = tuple[Any, Violation | Received | tuple[JSON, Received | None]]
"""The order of a violation, and what it is told from: itself, the record, or an item with its record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationsState:
    """What is known of the violations of one expectation in some records."""

    total: int
    waived: int
    kept: tuple[Kept, ...]


@dataclass(slots=True)
class Violations:
    """
    The violations of one expectation: all counted, the first in order kept.

    Orders are such as a record's key with the number of an item in what became of the record. Two records of one
    identity have equal ones; then what is told of them decides, never which of them came first. *hook* is shown
    each violation as it is found; without one, no more of them are made than are shown.
    """

    subject: Subject
    hook: Hook | None = None
    total: int = 0
    waived: int = 0
    _kept: list[Kept] = field(default_factory=list)
    _last: Any = None

    def needs(self, order: Any) -> bool:
        """Tell whether more than the number matters of an item of this order."""
        return self.hook is not None or self._last is None or order <= self._last

    def add(self, order: Any, item: JSON, received: Received | None = None) -> None:
        """Count an item that violates."""
        self.total += 1
        found: Violation | tuple[JSON, Received | None] = (item, received)
        if self.hook is not None:
            found = self.hook(self.subject.violation(item, received))
            self.waived += found.waived_by is not None
        self._keep(order, found)

    def add_record(self, key: Key, received: Received) -> None:
        """Count a record that violates."""
        order = (key, 0)
        if self.hook is not None:
            self.add(order, received.record, received)
            return
        self.total += 1
        self._keep(order, received)

    def add_list(self, message: Sequence[str]) -> None:
        """Count the whole list, with the pieces of the message about it."""
        violation = self.subject.violation_of_list(message)
        if self.hook is not None:
            violation = self.hook(violation)
        self.total += 1
        self.waived += violation.waived_by is not None
        self._kept.append((((), 0), violation))

    def _keep(self, order: Any, found: Violation | Received | tuple[JSON, Received | None]) -> None:
        if self._last is None or order <= self._last:
            if isinstance(found, Received):
                found.line()  # not all that it was received with
            self._kept.append((order, found))
            if len(self._kept) > 3 * SHOWN:
                self._trim()

    def _trim(self) -> None:
        self._kept.sort(key=_ORDER)  # which is quick on what comes in order, or backwards
        ordered = (each for _, equals in groupby(self._kept, _ORDER) for each in self._as_told(list(equals)))
        self._kept = list(islice(ordered, SHOWN))
        self._last = self._kept[-1][0] if len(self._kept) == SHOWN else None

    def _as_told(self, equals: list[Kept]) -> list[Kept]:
        """Return violations of one order by what is told of them."""
        if len(equals) == 1:
            return equals
        told = sorted((self._told(found) for _, found in equals), key=repr)
        return [(equals[0][0], violation) for violation in told]

    def first(self) -> tuple[Violation, ...]:
        """Return the first violations."""
        self._trim()
        return tuple(self._told(found) for _, found in self._kept)

    def _told(self, found: Violation | Received | tuple[JSON, Received | None]) -> Violation:
        if isinstance(found, Received):
            return self.subject.violation(found.record, found)
        return found if isinstance(found, Violation) else self.subject.violation(*found)

    def state(self) -> ViolationsState:
        """Return what is known, with no more violations than are shown."""
        self._trim()
        return ViolationsState(total=self.total, waived=self.waived, kept=tuple(self._kept))

    def merge(self, state: ViolationsState) -> None:
        """Take in what was found in other records; *hook* has seen it."""
        self.total += state.total
        self.waived += state.waived
        self._kept += state.kept
        self._trim()


_ORDER: Final = itemgetter(0)
