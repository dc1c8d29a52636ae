"""
One pass over records as bytes: each is decoded once, no further than needed, and offered to the checks that can care.

Which these are is told by a few fields of a record, those that filters compare on their own (`action.type eq …`), and
by the windows that it lies in: what the filters say of these is worked out once for each combination, and is a plan.
A record that no check can care for need be decoded no further. Of others msgspec decodes what filters and expressions
read, and one generated function evaluates what the checks of a plan expect of every record.

A record that is not as its schema says goes the long way: it is decoded whole, and every check looks at it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cached_property, partial
from io import BytesIO
from itertools import filterfalse, islice
from typing import Any, Final, TypeAlias

import msgspec

from auditor import jmes
from auditor.evaluator.populations import Population, Test
from auditor.evaluator.reducers import Every
from auditor.evaluator.typed import Attributes, Decoder, is_typed, plain
from auditor.evaluator.violations import Received
from auditor.model.decoding import SPLIT, UNLIKE
from auditor.model.document import JSONSchema
from auditor.model.resource import ResourceKind
from auditor.model.timeline import span
from auditor.model.value import JSON

_MOST_FIELDS: Final = 2
"""Fields that records are told apart by."""

_MOST_PLANS: Final = 10_000
"""Plans that are remembered from one page to the next."""

_UNKNOWN: Final[Any] = object()

_ABSENT: Final[Any] = object()
"""Stands for the key of records that hold none of the fields that tell records apart, as do those not decoded."""

_MOST: Final = 0.25
"""The share of records that checks care for from which on it is quicker to decode at once what all of them need."""

Table: TypeAlias = Callable[[Sequence[Any]], list[Any]]
Line: TypeAlias = bytes | msgspec.Raw
Inside: TypeAlias = tuple[bool, ...] | None
"""Of each window whether it holds a record; None where only the windows themselves can tell."""


class Rows:
    """
    Records on their way: as they were received, one JSON object each, and of each what was decoded.

    `found` holds None for a record that is not as its schema says. With `everything`, what all checks need was
    decoded.
    """

    def __init__(self, received: Sequence[Line] | bytes, found: Sequence[Any], *, everything: bool) -> None:
        self._received = received
        self.found = found
        self.everything = everything

    @property
    def lines(self) -> Sequence[Line]:
        """All of the records as they were received."""
        if isinstance(self._received, bytes):
            self._received = _told_apart(self._received)
        return self._received

    def line(self, number: int) -> bytes:
        """Return one of the records as it was received."""
        if isinstance(self._received, bytes) and not self._received.startswith(b"["):
            return next(islice(_lines(self._received), number, None))
        return bytes(self.lines[number])


class OnePass:
    """
    Records of one kind on their way from bytes to the checks of one or several queries.

    `decode` takes lines, and `judge` what it gave; `take` is for records that are decoded already, and a pass takes
    either.

    *ensure_documented* is called with each record that is not as its schema says, as far as any check reads it, and
    with each of which the schema says too little to tell; what it raises comes out of `judge`.
    """

    def __init__(
        self,
        kind: ResourceKind,
        populations: Sequence[Population],
        ensure_documented: Callable[[JSON], None] = lambda _: None,
    ) -> None:
        self._kind = kind
        self._item = _without_format(kind.item, kind.instant.split(".")) if kind.instant else kind.item
        self._ensure_documented = ensure_documented
        self._populations = populations
        self._paths = _telling(populations, kind)
        self._always = _need((*self._paths, *filter(None, (kind.instant,))))
        self._names = _need((kind.order_key, *kind.identity))
        self._windows = {each.window: each for each in populations if each.window is not None}
        self._attributes = Attributes()
        self._plans: dict[Inside, dict[Any, _Plan | None]] = {}
        self._careless: set[Any] = set()
        self._functions: dict[tuple[Population, ...], _Together] = {}
        self._cared = 1.0
        self._is_decoding = False

    # --- from bytes

    def decode(self, lines: Sequence[Line] | bytes) -> Rows:
        """
        Decode lines, as far as tells what to do with each; or a block of them with one record each, or a JSON array.

        Raises:
            ValueError: what was given as an array is none.
        """
        self._is_decoding = True
        everything = self._all is not None and self._cared > _MOST
        decoder = self._all if everything else self._few
        if decoder is not None:
            with suppress(*UNLIKE):
                found = decoder.decode_all(lines) if isinstance(lines, bytes) else map(decoder.decode, lines)
                return Rows(lines, list(found), everything=everything)
        if isinstance(lines, bytes):
            lines = _told_apart(lines)
        return Rows(lines, [_decoded(decoder, line) for line in lines], everything=everything)

    @cached_property
    def _few(self) -> Decoder | None:
        """What decodes as much as tells what to do with a record."""
        can = self._decodes(jmes.Need())
        return Decoder(self._item, self._always, self._attributes) if can else None

    @cached_property
    def _all(self) -> Decoder | None:
        """What decodes all that the typed populations need."""
        return self._decoder(each.need for each in self._typed)

    @cached_property
    def _typed(self) -> Collection[Population]:
        """The populations that can do with a part of each record, which is all that is decoded."""
        return {each for each in self._populations if self._decodes(each.need)}

    def _decodes(self, need: jmes.Need) -> bool:
        # What may hold a secret has to be taken out of whole records.
        can = self._is_decoding and not self._kind.secret
        return can and is_typed(self._item, jmes.Need.union([self._always, self._names, need]))

    def _decoder(self, needs: Iterable[jmes.Need]) -> Decoder | None:
        """Return what decodes all that is needed; None where whole records have to be."""
        need = jmes.Need.union([self._always, self._names, *needs])
        return Decoder(self._item, need, self._attributes) if self._decodes(need) else None

    @cached_property
    def _keys(self) -> Table:
        """What reads of each record what tells it from others: a value, or a tuple of several."""
        return self._table(self._paths)

    @cached_property
    def _times(self) -> Table:
        """What reads the instant of each record."""
        return self._table([self._kind.instant or ""])

    def _table(self, paths: Sequence[str]) -> Table:
        if not paths:
            return lambda found: [()] * len(found)
        if self._few is None:
            return partial(_read, [_reader(path) for path in paths])
        return jmes.table([path.split(".") for path in paths], self._few.shape)

    # --- to checks

    def judge(self, rows: Rows, page: int = 1, skip: Collection[int] = ()) -> None:
        """
        Offer records, which came with a page of this number, to the checks; but not those at *skip*.

        Raises:
            ValueError: a line is no JSON object.
        """
        self._forget()
        keys, careless, cared = self._keys(rows.found), self._careless, 0
        if not careless.issuperset(keys):
            numbers = [number for number, key in enumerate(keys) if key not in careless]
            if skip:
                numbers = [number for number in numbers if number not in skip]
            for inside, alike in self._alike(rows.found, numbers):
                cared += self._judge(rows, keys, alike, inside, page)
        if keys:
            self._cared += (cared / len(keys) - self._cared) / 8

    def _judge(
        self, rows: Rows, keys: Sequence[Any], numbers: Sequence[int], inside: Inside, page: int
    ) -> int:
        """Offer records that lie in the same windows to the checks; return how many some check cares for."""
        plan_of, found, few = self._plans.setdefault(inside, {}).get, rows.found, not rows.everything
        cared = 0
        for number in numbers:
            key, row = keys[number], found[number]
            plan = plan_of(key, _UNKNOWN)
            if plan is None:
                continue
            if plan is _UNKNOWN and row is not None:
                plan = self._plan_of(key, inside)
                if plan is None:
                    continue
            cared += 1
            reread = few and row is not None and plan.reads_rows
            part = _decoded(self._all, rows.lines[number]) if reread else row
            if part is None:
                self._take_strange(self._received(rows, number, page), rows.line(number))
                continue
            for together in plan.of_rows:
                together.count += 1
                left = together.left_open(part)
                if left is not None:
                    together.step(left, plain(part), self._received(rows, number, page))
            if plan.has_more:
                received = self._received(rows, number, page)
                record = self._whole(received) if plan.offers_records else None
                plan.offer(plain(part) if plan.offers_rows else record, received)
        return cared

    def _take_strange(self, received: Received, line: Line) -> None:
        """Offer a record that is not as its schema says, though what the checks that care for it read may be."""
        row = _decoded(self._few, line)
        if row is None:
            self._take_whole(self._whole(received), received)
            return
        ((inside, _),) = self._alike([row], [0])
        self._plans.setdefault(inside, {})
        plan = self._plan_of(self._keys([row])[0], inside)
        if plan is not None:
            row = _decoded(plan.decoder, line)
            plan.take(self._whole(received) if row is None else plain(row), received)

    def _whole(self, received: Received) -> JSON:
        """Return a record as a whole, since what is needed of it could not be decoded alone."""
        self._ensure_documented(received.record)
        return received.record

    def _received(self, rows: Rows, number: int, page: int) -> Received:
        return Received(page, line=partial(rows.line, number), secret=self._kind.secret)

    def take(self, records: Sequence[JSON], page: int = 1) -> None:
        """Offer records that are decoded already to the checks."""
        self._forget()
        keys = self._keys(records)
        for inside, numbers in self._alike(records, range(len(records))):
            plan_of = self._plans.setdefault(inside, {}).get
            for number in numbers:
                key, record = keys[number], records[number]
                try:
                    plan = plan_of(key, _UNKNOWN)
                except TypeError:  # a list or an object where a text should be
                    plan = _UNKNOWN
                if plan is _UNKNOWN:
                    if not all(type(value) is str for value in _each(key, self._paths)):
                        # Nothing is known of what is not there, or is none: filters look into lists, too.
                        self._take_whole(record, Received(page, record))
                        continue
                    plan = self._plan_of(key, inside)
                if plan is not None:
                    plan.take(record, Received(page, record))

    def _take_whole(self, record: JSON, received: Received) -> None:
        for population in self._populations:
            population.add(record, received)

    def _alike(self, found: Sequence[Any], numbers: Sequence[int]) -> Iterable[tuple[Inside, Sequence[int]]]:
        """Return records, by their numbers, with those that lie in the same windows."""
        if not self._windows:
            return [((), numbers)]
        if self._kind.instant is None or self._kind.buckets:
            return [(None, numbers)]
        if len(numbers) < len(found):
            found = [found[number] for number in numbers]
        times = self._times(found)
        inside = self._inside(times)
        if inside is not None:
            return [(inside, numbers)]
        groups: dict[Inside, list[int]] = {}
        for number, time in zip(numbers, times, strict=True):
            groups.setdefault(self._inside([time]), []).append(number)
        return groups.items()

    def _inside(self, times: Sequence[Any]) -> Inside:
        """Tell which windows hold all of some instants, and which none; None if one is neither, or it is not quick."""
        try:
            reach = span(times)
        except TypeError:
            return None
        if reach is None:
            return None
        inside = []
        for population in self._windows.values():
            holds = population.holds(reach)
            if holds is None:
                return None
            inside.append(holds)
        return tuple(inside)

    # --- plans

    def _forget(self) -> None:
        """Let go of what is remembered of values where that is too much; not while records are on their way."""
        if sum(map(len, self._plans.values())) < _MOST_PLANS:
            return
        for together in self._functions.values():
            together.settle()
        self._functions.clear()
        self._plans.clear()
        self._careless.clear()

    def _plan_of(self, key: Any, inside: Inside) -> _Plan | None:
        """Return what is done with records of a key that lie in some windows; None for nothing."""
        # A row that could not be decoded seems to have no values at all: such a key is never found by itself.
        if self._paths and all(value is None for value in _each(key, self._paths)):
            key = _ABSENT
        plans = self._plans[inside]
        if key not in plans:
            plans[key] = self._planned(None if key is _ABSENT else key, inside)
            if plans[key] is None:
                self._careless.add(key)
        return plans[key]

    def _planned(self, key: Any, inside: Inside) -> _Plan | None:
        values = (None,) * len(self._paths) if key is None else _each(key, self._paths)
        known: dict[str, JSON] = dict(zip(self._paths, values, strict=True))
        record = _record(known)
        holds = dict(zip(self._windows, inside or (), strict=bool(inside)))
        outside: list[Population] = []
        others: list[tuple[Population, list[Test]]] = []
        alike: dict[Any, list[Population]] = {}
        for population in self._populations:
            left = _left(population.tests, known.keys(), record)
            if left is None:
                continue
            if left or inside is None or not population.is_plain:
                others.append((population, left))
            elif population.window is not None and not holds[population.window]:
                outside.append(population)
            else:
                # Those that other values of one field would leave alone are together in many plans.
                told_by = frozenset().union(*(test.paths for test in population.tests))
                alike.setdefault((population in self._typed, told_by), []).append(population)
        if not (outside or others or alike):
            return None
        is_typed = all(population in self._typed for population, _ in others)
        together = [self._together(tuple(populations)) for populations in alike.values()]
        return _Plan(
            [each for each in together if isinstance(each, _OfRows)],
            [each for each in together if isinstance(each, _OfRecords)],
            outside,
            others,
            is_typed=is_typed,
            decoder=self._decoder,
        )

    def _together(self, populations: tuple[Population, ...]) -> _Together:
        if populations not in self._functions:
            decoder = self._all if populations[0] in self._typed else None
            self._functions[populations] = (
                _OfRows(populations, decoder.shape) if decoder else _OfRecords(populations)
            )
        return self._functions[populations]


def _lines(block: bytes) -> Iterator[bytes]:
    """Yield the lines of a block that hold something."""
    return filterfalse(bytes.isspace, BytesIO(block))


def _told_apart(block: bytes) -> list[Line]:
    """
    Return the lines of a block that hold something, or the items of an array.

    Raises:
        ValueError: it is no array.
    """
    if not block.startswith(b"["):
        return list(_lines(block))
    try:
        return list(map(bytes, SPLIT(block)))
    except UNLIKE as error:
        raise ValueError(str(error)) from None


def _decoded(decoder: Decoder | None, line: Line) -> Any:
    """Return what a line holds; None if it is not as its schema says."""
    try:
        return decoder and decoder.decode(line)
    except UNLIKE:
        return None


def _without_format(schema: JSONSchema, path: Sequence[str]) -> JSONSchema:
    """Return a schema that does not say of the instant at a path what whoever surveyed the records has looked at."""
    if not path:
        return {key: each for key, each in schema.items() if key != "format"}
    properties = schema.get("properties", {})
    if path[0] not in properties:
        return schema
    return {**schema, "properties": {**properties, path[0]: _without_format(properties[path[0]], path[1:])}}


def _reader(path: str) -> Callable[[JSON], JSON]:
    """Return what reads the value at a dotted path of a record."""
    quoted = ".".join(json.dumps(step) for step in path.split("."))
    return jmes.compile(jmes.parse(quoted, {}), generated=True).search


def _read(readers: Sequence[Callable[[JSON], JSON]], records: Sequence[JSON]) -> list[Any]:
    """Return of each record what readers give: a value, or a tuple of several."""
    columns = [map(reader, records) for reader in readers]
    return list(columns[0] if len(columns) == 1 else zip(*columns, strict=True))


def _each(values: Any, paths: Sequence[str]) -> Sequence[Any]:
    """Return the values at some paths, of which one stands for itself."""
    return (values,) if len(paths) == 1 else values


def _telling(populations: Iterable[Population], kind: ResourceKind) -> tuple[str, ...]:
    """Return the paths of the texts that most filters compare on their own."""
    counts = Counter(
        path
        for population in populations
        for test in population.tests
        if len(test.paths) == 1
        for path in test.paths
        if _is_text(kind, path)
    )
    return tuple(path for path, _ in counts.most_common(_MOST_FIELDS))


def _is_text(kind: ResourceKind, path: str) -> bool:
    """Tell whether a path leads through objects to one text."""
    schema = kind.item
    for step in path.split("."):
        schema = schema.get("properties", {}).get(step, {}) if schema.get("type") == "object" else {}
    return schema.get("type") == "string" and schema.get("format") != "date-time"


def _left(tests: Iterable[Test], known: AbstractSet[str], record: JSON) -> list[Test] | None:
    """Return the tests that a record with *known* paths does not decide; None where one of them does not hold."""
    left = []
    for test in tests:
        try:
            if not test.paths <= known:
                left.append(test)
            elif not test.holds(record):
                return None
        except ValueError:  # which each record is counted for
            left.append(test)
    return left


def _need(paths: Iterable[str]) -> jmes.Need:
    """Return the need of the values at some paths."""
    need = jmes.Need()
    for path in paths:
        need.at(path).whole = True
    return need


def _record(values: Mapping[str, JSON]) -> dict[str, Any]:
    """Return a record that has these values at these paths, and nothing else."""
    record: dict[str, Any] = {}
    for path, value in values.items():
        *steps, last = path.split(".")
        inner = record
        for step in steps:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return record


class _Plan:
    """
    What is done with the records that are alike in what tells them apart, and in the windows that they lie in.

    Together are checks of which nothing is left to test: `of_rows` those for which what was decoded is enough,
    *of_records* those that look at whole records. To the *others* belong the tests that are left; *outside* are those
    in whose window the records do not lie. `reads_rows` says that some check looks at what was decoded; those that are
    not in `of_rows` are offered that or whole records, or nothing if none of them looks.
    """

    def __init__(
        self,
        of_rows: Sequence[_OfRows],
        of_records: Sequence[_OfRecords],
        outside: Sequence[Population],
        others: Sequence[tuple[Population, list[Test]]],
        *,
        is_typed: bool,
        decoder: Callable[[Iterable[jmes.Need]], Decoder | None],
    ) -> None:
        self._decoder = decoder
        self.of_rows = of_rows
        self._of_records = of_records
        self._others = others
        self._outside = outside
        self.offers_rows = is_typed and bool(others) and not of_records
        self.offers_records = bool(of_records or others) and not self.offers_rows
        self.reads_rows = self.offers_rows or bool(of_rows)
        self.has_more = self.offers_rows or self.offers_records or bool(outside)

    @cached_property
    def decoder(self) -> Decoder | None:
        """What decodes no more than these checks read; None where that is a whole record."""
        together = (
            population for each in (*self.of_rows, *self._of_records) for population in each.populations
        )
        others = (population for population, _ in self._others)
        return self._decoder(population.need for population in (*together, *others))

    def take(self, record: JSON, received: Received) -> None:
        """Take a record that was not decoded as a row."""
        for together in self.of_rows:
            together.count += 1
            together.step(range(len(together.everies)), record, received)
        self.offer(record, received)

    def offer(self, record: JSON, received: Received) -> None:
        """Offer a record to all checks but those of rows."""
        for population in self._outside:
            population.outside += 1
        for together in self._of_records:
            together.take(record, received)
        for population, tests in self._others:
            if population.selects(record, tests):
                population.take(record, received)


class _Together:
    """Checks of which nothing is left to test, and what they expect of every record."""

    def __init__(self, populations: Sequence[Population]) -> None:
        self.count = 0
        self.populations = populations
        for population in populations:
            population.counters.append(self)
        self.everies = [
            reducer
            for population in populations
            for reducer in population.reducers
            if isinstance(reducer, Every)
        ]
        self._expressions = [
            each.expression for each in self.everies if isinstance(each.expression, jmes.Expression)
        ]

    def settle(self) -> None:
        """Hand over what was counted, and count no more."""
        for population in self.populations:
            population.settle(self)


class _OfRows(_Together):
    """Such checks, on what was decoded; `left_open` tells which of them have to look at it more closely."""

    def __init__(self, populations: Sequence[Population], shape: jmes.Shape) -> None:
        super().__init__(populations)
        self.left_open = jmes.left_open(self._expressions, shape)

    def step(self, left: Iterable[int], record: JSON, received: Received) -> None:
        """Take a record of which it is not certain that it holds."""
        for number in left:
            self.everies[number].step(record, received)


class _OfRecords(_Together):
    """Such checks, on whole records."""

    def __init__(self, populations: Sequence[Population]) -> None:
        super().__init__(populations)
        self._run = jmes.every(self._expressions) if self.everies else None
        self._missing = jmes.Missing(select=False)

    def take(self, record: JSON, received: Received) -> None:
        """Take a record."""
        self.count += 1
        if self._run is None:
            return
        try:
            others = self._run(record, self._missing)
        except jmes.EvaluationError:
            others = jmes.each_by_itself(self._expressions, record)
        if others:
            for number, result in others:
                self.everies[number].take(result, record, received)
        if self._missing.found:  # what is left open inside of a record says nothing here
            self._missing.found = []
