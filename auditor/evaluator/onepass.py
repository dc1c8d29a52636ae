"""
One pass over records as bytes: each is decoded once, no further than needed, and offered to the checks that can care.

Which these are is told by a few fields of a record, those that filters compare on their own (`action.type eq …`): what
the filters say of their values is worked out once for each combination. A record that no check can care for is
decoded no further. Of one that some care for, msgspec decodes what their filters and expressions read, and one
generated function evaluates what they expect of every record.

A record that is not as its schema says goes the long way: it is decoded whole, and every check looks at it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cache, cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from auditor import jmes
from auditor.evaluator.populations import Population, Test
from auditor.evaluator.reducers import Every
from auditor.evaluator.typed import Untyped, type_for
from auditor.evaluator.violations import Received
from auditor.model.resource import ResourceKind
from auditor.model.timeline import span
from auditor.model.value import JSON

_MOST_FIELDS: Final = 2
"""Fields that records are told apart by."""

_MOST_PLANS: Final = 10_000
"""Combinations of their values that are remembered from one page to the next."""

_UNKNOWN: Final[Any] = object()

_ABSENT: Final = (None, (None, None))
"""The keys of rows that hold none of the fields that tell records apart."""

_MOST: Final = 0.5
"""The share of records that checks care for from which on it is quicker to decode at once what all of them need."""

Decoder: TypeAlias = msgspec.json.Decoder[Any]


class Rows:
    """
    Records on their way: `lines` as they were received, one JSON object each, and of each what was decoded.

    `found` holds None for a record that is not as its schema says. With `everything`, what all checks need was
    decoded.
    """

    def __init__(self, lines: Sequence[bytes] | bytes, paths: AbstractSet[str]) -> None:
        self._lines = lines
        self._paths = paths
        self.found: Sequence[dict[str, JSON] | None] = ()
        self.everything = False

    @property
    def lines(self) -> Sequence[bytes]:
        """The lines."""
        if isinstance(self._lines, bytes):
            self._lines = [line for line in self._lines.split(b"\n") if line and not line.isspace()]
        return self._lines

    def column(self, path: str) -> list[JSON]:
        """
        Return the values at a dotted path that `one_pass` was given for its account, one for each of `lines`.

        It is None where the record has no such field, or is not as its schema says: that `found` holds None for
        it tells the two apart. How rows hold their fields is nobody else's business.

        Raises:
            KeyError: it is none of these paths, nor the order key or a part of the identity.
        """
        if path not in self._paths:
            raise KeyError(path)
        return list(map(_reader(path), self.found))


class OnePass:
    """
    Records of one kind on their way from bytes to the checks of one or several queries.

    `decode` takes lines, and `judge` what it gave. In between, whoever keeps account of the records can look at the
    fields named by *account*, dotted paths that every row holds if the record does.

    *ensure_documented* is called with each record that is not as its schema says, as far as any check reads it, and
    with each of which the schema says too little to tell; what it raises comes out of `judge`.
    """

    def __init__(
        self,
        kind: ResourceKind,
        populations: Sequence[Population],
        account: Iterable[str] = (),
        ensure_documented: Callable[[JSON], None] = lambda _: None,
    ) -> None:
        self._kind = kind
        self._ensure_documented = ensure_documented
        self._populations = populations
        self._paths = _telling(populations, kind)
        self._values = [_reader(path) for path in self._paths]
        self._always = jmes.Need()
        self._account = frozenset((*account, kind.order_key, *kind.identity))
        for path in (*self._account, *self._paths):
            self._always.at(path).whole = True
        # One population of each window.
        self._windows = list({population.window: population for population in populations}.values())
        self._plans: dict[Any, _Plan | None] = {}
        self._absent: Any = _UNKNOWN
        self._functions: dict[tuple[Population, ...], _Together] = {}
        self._cared = 0.0
        self._decodes = False

    @cached_property
    def _few(self) -> Decoder | None:
        """What decodes as much as tells what to do with a record."""
        return _decoder(self._kind, [self._always])

    @cached_property
    def _typed(self) -> list[Population]:
        """The populations of which the schema says enough about what they need."""
        return [
            each for each in self._populations if _decoder(self._kind, [self._always, each.need]) is not None
        ]

    @cached_property
    def _all(self) -> Decoder | None:
        """What decodes all that these need."""
        return _decoder(self._kind, [self._always, *(each.need for each in self._typed)])

    def decode(self, lines: Sequence[bytes] | bytes) -> Rows:
        """Decode lines, or a block of NDJSON that ends with a line, as far as tells what to do with each."""
        self._decodes = True
        rows = Rows(lines, self._account)
        rows.everything = self._all is not None and self._cared > _MOST
        decoder = self._all if rows.everything else self._few
        if decoder is None:
            rows.found = [None] * len(rows.lines)
            return rows
        if isinstance(lines, bytes):
            with suppress(*_UNLIKE):
                rows.found = decoder.decode_lines(lines)
                return rows
        rows.found = [_decoded(decoder, line) for line in rows.lines]
        return rows

    def judge(self, rows: Rows, page: int = 1, skip: Collection[int] = ()) -> None:
        """
        Offer records, which came with a page of this number, to the checks; but not those at *skip*.

        Raises:
            ValueError: a line is no JSON object.
        """
        self._forget()
        found, plan_of = rows.found, self._plans.get
        cares: list[tuple[int, _Plan]] = []
        for number, key in enumerate(self._keys(found)):
            plan = plan_of(key, _UNKNOWN)
            if plan is None or number in skip:
                continue
            if found[number] is None:
                self._take_strange(rows.lines[number], page)
                continue
            if plan is _UNKNOWN:
                plan = self._new_plan(key)
            if plan is not None:
                cares.append((number, plan))
        if cares:
            self._judge(rows, cares, page)
        if found:
            self._cared = len(cares) / len(found)

    def _new_plan(self, key: Any) -> _Plan | None:
        is_absent = self._absent is not _UNKNOWN and key in _ABSENT
        return self._absent if is_absent else self._plan(key)

    def take(self, records: Sequence[JSON], page: int = 1) -> None:
        """Offer records that are decoded already to the checks; a pass takes either records or lines."""
        self._forget()
        plan_of = self._plans.get
        cares: list[tuple[JSON, _Plan]] = []
        for record, key in zip(records, self._keys(records), strict=True):
            try:
                plan = plan_of(key, _UNKNOWN)
            except TypeError:  # a list or an object where a text should be
                plan = _UNKNOWN
            if plan is _UNKNOWN:
                if not all(type(value) is str for value in ((key,) if len(self._paths) == 1 else key)):
                    # Nothing is known of what is not there, or is none: filters look into lists, too.
                    received = Received(page, record)
                    for population in self._populations:
                        population.add(record, received)
                    continue
                plan = self._plan(key)
            if plan is not None:
                cares.append((record, plan))
        if cares:
            in_window = self._in_window([record for record, _ in cares])
            for record, plan in cares:
                plan.offer(record, Received(page, record), in_window=in_window)

    def _judge(self, rows: Rows, cares: Sequence[tuple[int, _Plan]], page: int) -> None:
        """Offer records, by their numbers, to the checks that care for each."""
        in_window = self._in_window([rows.found[number] for number, _ in cares])
        lines, secret = rows.lines, self._kind.secret
        for number, plan in cares:
            received = Received(page, line=lines[number], secret=secret)
            if rows.everything and plan.decoder is not None:
                record = rows.found[number]
            else:
                record = (plan.decoder and _decoded(plan.decoder, lines[number])) or self._whole(received)
            plan.offer(record, received, in_window=in_window)

    def _in_window(self, rows: Sequence[Any]) -> bool:
        """Tell whether it is certain that all of some rows lie in all windows, so that none need be asked."""
        reach = self._reach(rows)
        return all(population.holds(reach) for population in self._windows)

    def _reach(self, rows: Sequence[Any]) -> tuple[str, str] | None:
        """Return the first and the last instant of some rows, if that is quick to tell."""
        path = self._kind.instant
        if path is None or "." in path or path != self._kind.order_key:
            return None
        texts = [row.get(path) for row in rows]
        return span(texts) if all(type(text) is str for text in texts) else None

    def _keys(self, found: Sequence[Any]) -> Iterable[Any]:
        """Return of each row the values that tell it from others: one, or a tuple of several."""
        match self._values:
            case []:
                return ((),) * len(found)
            case [only]:
                return map(only, found)
        return zip(*(map(value, found) for value in self._values), strict=True)

    def _take_strange(self, line: bytes, page: int) -> None:
        """Offer a record that is not as its schema says, though what the checks that care for it read may be."""
        received = Received(page, line=line, secret=self._kind.secret)
        row = self._few and _decoded(self._few, line)
        if row is None:
            record = self._whole(received)
            for population in self._populations:
                population.add(record, received)
            return
        (key,) = self._keys([row])
        plan = self._plans.get(key, _UNKNOWN)
        if plan is _UNKNOWN:
            plan = self._new_plan(key)
        if plan is not None:
            record = (plan.decoder and _decoded(plan.decoder, line)) or self._whole(received)
            plan.offer(record, received, in_window=self._in_window([row]))

    def _whole(self, received: Received) -> JSON:
        """Return a record as a whole, since what is needed of it could not be decoded alone."""
        self._ensure_documented(received.record)
        return received.record

    def _forget(self) -> None:
        """Let go of what is remembered of values where that is too much; not while records are on their way."""
        if len(self._plans) < _MOST_PLANS:
            return
        for together in self._functions.values():
            together.settle()
        self._functions.clear()
        self._plans.clear()
        self._absent = _UNKNOWN

    def _plan(self, key: Any) -> _Plan | None:
        """Return what is done with records of which these are the values that tell them apart; None for nothing."""
        values = (key,) if len(self._paths) == 1 else key
        known: dict[str, JSON] = dict(zip(self._paths, values, strict=True))
        record = _record(known)
        cares: list[tuple[Population, list[Test]]] = []
        for population in self._populations:
            left = _left(population.tests, known.keys(), record)
            if left is not None:
                cares.append((population, left))
        plan = None
        if cares:
            plan = _Plan(*self._apart(cares), self._decoder([population for population, _ in cares]))
        # A row that could not be decoded seems to have no values at all: such keys are always looked up here.
        if not values or any(value is not None for value in values):
            self._plans[key] = plan
        else:
            self._absent = plan
        return plan

    def _decoder(self, populations: Sequence[Population]) -> Decoder | None:
        """Return what decodes the need of some populations, if that is enough and records come as bytes."""
        if not self._decodes or not all(population in self._typed for population in populations):
            return None
        return _decoder(self._kind, [self._always, *(population.need for population in populations)])

    def _apart(
        self, cares: Iterable[tuple[Population, list[Test]]]
    ) -> tuple[list[_Together], list[tuple[Population, list[Test]]]]:
        """Return checks with what they share a function with, and those that look at each record by themselves."""
        others: list[tuple[Population, list[Test]]] = []
        alike: dict[Any, list[Population]] = {}
        for population, tests in cares:
            if tests or not population.is_plain:
                others.append((population, tests))
            else:
                # Those that other values of one field would leave alone are together in many plans.
                told_by = frozenset().union(*(test.paths for test in population.tests))
                alike.setdefault((population.window, told_by), []).append(population)
        return [self._together(tuple(populations)) for populations in alike.values()], others

    def _together(self, populations: tuple[Population, ...]) -> _Together:
        known = self._functions.get(populations)
        if known is None:
            known = self._functions[populations] = _Together(populations)
        return known


_UNLIKE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises on what is no JSON, or not of the type that is expected."""


def _decoded(decoder: Decoder, line: bytes) -> dict[str, JSON] | None:
    try:
        row: dict[str, JSON] = decoder.decode(line)
    except _UNLIKE:
        return None
    return row


@cache
def _reader(path: str) -> Callable[[JSON], JSON]:
    """Return what reads the value at a dotted path."""
    quoted = ".".join(json.dumps(step) for step in path.split("."))
    return jmes.compile(jmes.parse(quoted, {}), generated=True).search


def _decoder(kind: ResourceKind, needs: Iterable[jmes.Need]) -> Decoder | None:
    """Return what decodes all that is needed; None where whole records have to be."""
    if kind.secret:  # which has to be taken out of whole records
        return None
    try:
        return msgspec.json.Decoder(type_for(kind.item, jmes.Need.union(needs)))
    except Untyped:
        return None


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


class _Plan(NamedTuple):
    """
    What is done with the records that are alike in what tells them apart.

    `decoder` decodes what is needed of them, None if all is; of `others` the tests are left to be made.
    """

    together: Sequence[_Together]
    others: Sequence[tuple[Population, list[Test]]]
    decoder: Decoder | None

    def offer(self, record: JSON, received: Received, *, in_window: bool) -> None:
        """Offer a record to the checks that care for it."""
        for together in self.together:
            together.take(record, received, in_window=in_window)
        for population, tests in self.others:
            if population.selects(record, tests):
                population.take(record, received)


class _Together:
    """Checks with one window of which nothing is left to test, and what they expect of every record."""

    def __init__(self, populations: Sequence[Population]) -> None:
        self.count = 0
        self._populations = populations
        for population in populations:
            population.counters.append(self)
        self._everies = [
            reducer
            for population in populations
            for reducer in population.reducers
            if isinstance(reducer, Every)
        ]
        self._expressions = [
            each.expression for each in self._everies if isinstance(each.expression, jmes.Expression)
        ]
        self._run = jmes.every(self._expressions) if self._everies else None
        self._missing = jmes.Missing(select=False)

    def settle(self) -> None:
        """Hand over what was counted, and count no more."""
        for population in self._populations:
            population.settle(self)

    def take(self, record: JSON, received: Received, *, in_window: bool) -> None:
        """Take a record that the checks are about, if it lies in their window."""
        if not in_window:
            # Each counts what lies outside.
            inside = [population.selects(record, ()) for population in self._populations]
            if not all(inside):
                return
        self.count += 1
        if self._run is None:
            return
        try:
            others = self._run(record, self._missing)
        except jmes.EvaluationError:
            others = jmes.each_by_itself(self._expressions, record)
        if others:
            for number, result in others:
                self._everies[number].take(result, record, received)
        if self._missing.found:  # what is left open inside of a record says nothing here
            self._missing.found = []
