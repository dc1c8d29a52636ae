"""
What a stream keeps of the items that it has seen: one kind of state for each function that streams.

A fold makes states, adds items to them and merges them. States are plain data, so that they can be sent to
another process, and hold no more than their result needs. Merging is associative and commutative, whatever the
order in which items came: where order matters, a state remembers an `Order`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from auditor.jmes.closures import Run
from auditor.jmes.exact import ExactSum
from auditor.jmes.functions import densest_span, identity_of, longest_gap, table
from auditor.jmes.kinds import Kind, Refused, check_uniform
from auditor.jmes.outcome import EvaluationError, Operand, Undecided
from auditor.jmes.value import TYPES
from auditor.model.value import JSON

Order: TypeAlias = tuple[Any, ...]
"""Where something stands in the whole list: the key of its record, then its number within what that gave."""

Batch: TypeAlias = tuple[Any, list[JSON], JSON, int]
"""
The key of a record, the items that it has become on its way through the stages before, the record itself, and
the stages whose filters could not decide about it, one bit each.
"""

Groups: TypeAlias = dict[Any, list[Any]]
"""States by key; the first element of each is the `Order` of the key's first item."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class Fold(Protocol):
    """One way to keep items."""

    def initial(self) -> Any:
        """Return the state of no items."""

    def add(self, state: Any, batch: Batch) -> None:
        """Take the items of one record."""

    def merge(self, state: Any, other: Any) -> None:
        """Take all that another state has seen; that state is used up."""


# --- errors and what is undecided, first come in the order of the list

_Error: TypeAlias = tuple[str, str, str, str, Any]


@dataclass(slots=True)
class Trouble:
    """The first error in the order of the list, and all operands that were null."""

    error: tuple[Order, _Error] | None = None
    pending: dict[Operand, Order] = field(default_factory=dict)

    def fail(self, order: Order, error: EvaluationError) -> None:
        """Keep an error if it is the first. The exception itself would hold on to the record."""
        self._keep((order, (error.code, error.summary, error.detail, error.help, error.span)))

    def _keep(self, found: tuple[Order, _Error] | None) -> None:
        if found is not None and (self.error is None or found[0] < self.error[0]):
            self.error = found

    def leave_open(self, order: Order, undecided: Undecided) -> None:
        """Keep what is undecided."""
        for number, operand in enumerate(undecided.operands):
            self._open(operand, (*order, number))

    def _open(self, operand: Operand, order: Order) -> None:
        if operand not in self.pending or order < self.pending[operand]:
            self.pending[operand] = order

    def merge(self, other: Trouble) -> None:
        """Take the trouble of another state."""
        self._keep(other.error)
        for operand, order in other.pending.items():
            self._open(operand, order)

    def result(self) -> Undecided | None:
        """
        Return what is undecided, if anything is.

        Raises:
            EvaluationError: the first error.
        """
        if self.error is not None:
            code, summary, detail, help_, span = self.error[1]
            raise EvaluationError(code, summary, detail=detail, help=help_, span=span)
        if self.pending:
            return Undecided(tuple(sorted(self.pending, key=self.pending.__getitem__)))
        return None


Types: TypeAlias = dict[str, Order]
"""The names of the types that were seen, with the order of the first value of each."""


def see(types: Types, name: str, order: Order) -> None:
    """Keep the name of a type where it is the first of its kind."""
    first = types.get(name)
    if first is None or order < first:
        types[name] = order


def merge_types(types: Types, other: Types) -> None:
    """Take the types that another state has seen."""
    for name, order in other.items():
        see(types, name, order)


def in_order(types: Types) -> list[str]:
    """Return names of types as they would appear in the list."""
    return sorted(types, key=types.__getitem__)


# --- folds of the items themselves


class Count:
    """How many items there are: one number in a list."""

    def initial(self) -> list[int]:
        """Return nought."""
        return [0]

    def add(self, state: list[int], batch: Batch) -> None:
        """Count the items of one record."""
        state[0] += len(batch[1])

    def merge(self, state: list[int], other: list[int]) -> None:
        """Add another count."""
        state[0] += other[0]


class Kept(NamedTuple):
    """An item that is kept; `left_open` is that of its record if it is the record itself, else -1."""

    order: Order
    item: JSON
    left_open: int


@dataclass(slots=True)
class Keeping:
    """Items that are kept, in any order, and whether there were too many of them."""

    kept: list[Kept] = field(default_factory=list)
    too_many: bool = False

    def items(self) -> list[JSON]:
        """Return the items in the order of the list."""
        self.kept.sort(key=itemgetter(0))
        return [kept.item for kept in self.kept]


@dataclass(frozen=True, slots=True)
class Keep:
    """
    The items themselves.

    With `first` those that come first, with `last` those that come last in the list; otherwise all of them, up
    to a `limit` beyond which none is kept.
    """

    limit: int
    end: str = ""

    def initial(self) -> Keeping:
        """Return nothing kept."""
        return Keeping()

    def add(self, state: Keeping, batch: Batch) -> None:
        """Keep the items of one record."""
        key, items, record, left_open = batch
        if not state.too_many:
            state.kept.extend(
                Kept((key, number), item, left_open if item is record else -1)
                for number, item in enumerate(items)
            )
            self._bound(state)

    def merge(self, state: Keeping, other: Keeping) -> None:
        """Keep what another state has kept."""
        state.too_many |= other.too_many
        state.kept += other.kept
        self._bound(state)

    def _bound(self, state: Keeping) -> None:
        if self.end and len(state.kept) > 4 * self.limit + 64:
            self.trim(state)
        elif not self.end and (state.too_many or len(state.kept) > self.limit):
            state.too_many = True
            state.kept.clear()

    def trim(self, state: Keeping) -> None:
        """Drop what can be none of the first or last."""
        state.kept.sort(key=itemgetter(0))
        if self.end == "first":
            del state.kept[self.limit :]
        elif self.end == "last":
            del state.kept[: -self.limit]


@dataclass(slots=True)
class Numbers:
    """Numbers that are added, and the types of the items."""

    sum: ExactSum = field(default_factory=ExactSum)
    types: Types = field(default_factory=dict)


class Sum:
    """The sum and the number of the items."""

    def initial(self) -> Numbers:
        """Return the sum of nothing."""
        return Numbers()

    def add(self, state: Numbers, batch: Batch) -> None:
        """Add the items of one record."""
        key, items, *_ = batch
        for number, item in enumerate(items):
            see(state.types, TYPES[type(item)], (key, number))
            if type(item) in (int, float):
                state.sum.add(item)

    def merge(self, state: Numbers, other: Numbers) -> None:
        """Add another sum."""
        state.sum.merge(other.sum)
        merge_types(state.types, other.types)


@dataclass(slots=True)
class Best:
    """By type, since values of two types have no order: the best value, its order, and what it belongs to."""

    by_type: dict[str, tuple[JSON, Order, JSON]] = field(default_factory=dict)
    types: Types = field(default_factory=dict)

    def offer(self, name: str, found: tuple[JSON, Order, JSON], *, greatest: bool) -> None:
        """Keep what is better than what is kept; of equals, the first in the list."""
        best = self.by_type.get(name)
        if best is not None:
            value, kept = found[0], best[0]
            if not ((value > kept if greatest else value < kept) or (value == kept and found[1] < best[1])):
                return
        self.by_type[name] = found

    def merge(self, other: Best, *, greatest: bool) -> None:
        """Offer what another state has kept."""
        for name, found in other.by_type.items():
            self.offer(name, found, greatest=greatest)
        merge_types(self.types, other.types)


@dataclass(frozen=True, slots=True)
class Extreme:
    """The greatest or the least item, of numbers and of texts."""

    greatest: bool

    def initial(self) -> Best:
        """Return nothing."""
        return Best()

    def add(self, state: Best, batch: Batch) -> None:
        """Offer the items of one record."""
        key, items, *_ = batch
        for number, item in enumerate(items):
            name, order = TYPES[type(item)], (key, number)
            see(state.types, name, order)
            if name in {"number", "string"}:
                state.offer(name, (item, order, item), greatest=self.greatest)

    def merge(self, state: Best, other: Best) -> None:
        """Take the best of two."""
        state.merge(other, greatest=self.greatest)


@dataclass(frozen=True, slots=True)
class Search:
    """Whether a value is among the items: one truth value in a list."""

    value: JSON

    def initial(self) -> list[bool]:
        """Return that it is not."""
        return [False]

    def add(self, state: list[bool], batch: Batch) -> None:
        """Look through the items of one record."""
        state[0] = state[0] or self.value in batch[1]

    def merge(self, state: list[bool], other: list[bool]) -> None:
        """Tell whether either has found it."""
        state[0] |= other[0]


@dataclass(slots=True)
class Distinct:
    """States by key, how much they hold where that is more than one each, and whether it was too much."""

    groups: Groups = field(default_factory=dict)
    size: int = 0
    too_many: bool = False

    def bound(self, limit: int) -> None:
        """Drop everything where there are more keys than may be held."""
        if self.too_many or len(self.groups) > limit:
            self.too_many = True
            self.groups.clear()

    def in_order(self) -> list[list[Any]]:
        """Return the states in the order of the first items of their keys."""
        return sorted(self.groups.values(), key=itemgetter(0))


@dataclass(frozen=True, slots=True)
class Unique:
    """The first of all equal items: `[order, item]` by identity."""

    limit: int

    def initial(self) -> Distinct:
        """Return nothing."""
        return Distinct()

    def add(self, state: Distinct, batch: Batch) -> None:
        """Take the items of one record."""
        key, items, *_ = batch
        for number, item in enumerate(items):
            self._take(state, identity_of(item), [(key, number), item])

    def merge(self, state: Distinct, other: Distinct) -> None:
        """Take what another state has kept."""
        state.too_many |= other.too_many
        state.bound(self.limit)
        for identity, found in other.groups.items():
            self._take(state, identity, found)

    def _take(self, state: Distinct, identity: Any, found: list[Any]) -> None:
        if not state.too_many:
            kept = state.groups.setdefault(identity, found)
            if found[0] < kept[0]:
                state.groups[identity] = found
            state.bound(self.limit)


# --- folds of what expression references give for the items


@dataclass(slots=True)
class ColumnState:
    """What became of one expression reference on all items: trouble, types, the first text that is unreadable."""

    trouble: Trouble = field(default_factory=Trouble)
    types: Types = field(default_factory=dict)
    unreadable: tuple[Order, tuple[str, str]] | None = None

    def merge(self, other: ColumnState) -> None:
        """Take what another state has seen."""
        self.trouble.merge(other.trouble)
        merge_types(self.types, other.types)
        self.refuse(other.unreadable)

    def refuse(self, found: tuple[Order, tuple[str, str]] | None) -> None:
        """Keep what could not be read if it is the first."""
        if found is not None and (self.unreadable is None or found[0] < self.unreadable[0]):
            self.unreadable = found


@dataclass(frozen=True, slots=True)
class Column:
    """One expression reference: what evaluates it, what null means, and what a result must be."""

    run: Run
    null: Undecided | None
    kind: Kind
    fail: Callable[[Exception], EvaluationError]

    def value(self, state: ColumnState, order: Order, item: JSON) -> Any:
        """Return what it gives for an item; `Undecided`, not further specified, where that is no value."""
        try:
            result = self.run(item, None)
        except EvaluationError as error:
            state.trouble.fail(order, error)
            return Undecided
        if result is None and self.null is not None:
            result = self.null
        if type(result) is Undecided:
            state.trouble.leave_open(order, result)
            return Undecided
        see(state.types, TYPES[type(result)], order)
        if type(result) not in self.kind.accepted:
            return Undecided
        try:
            return self.kind.read(result) if self.kind.read else result
        except Refused as refused:
            state.refuse((order, (refused.detail, refused.code)))
            return Undecided

    def result(self, state: ColumnState) -> Undecided | None:
        """
        Return what is undecided, if anything is.

        Raises:
            EvaluationError: the reference gave an error, values of several types, or one that cannot be read.
        """
        pending = state.trouble.result()
        if pending is not None:
            return pending
        try:
            check_uniform(in_order(state.types), self.kind.types)
            if state.unreadable is not None:
                detail, code = state.unreadable[1]
                raise Refused(detail, code=code)
        except Refused as refused:
            raise self.fail(refused) from None
        return None


@dataclass(slots=True)
class Keyed:
    """The states of expression references, and what is kept of the items for which all gave a value."""

    columns: list[ColumnState]
    rest: Any


class ByColumns:
    """A fold of items through expression references. Others say what is kept of the values."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns

    def initial(self) -> Keyed:
        """Return nothing."""
        return Keyed([ColumnState() for _ in self.columns], self.nothing())

    def add(self, state: Keyed, batch: Batch) -> None:
        """Take the items of one record."""
        key, items, *_ = batch
        for number, item in enumerate(items):
            order = (key, number)
            values = [
                column.value(seen, order, item)
                for column, seen in zip(self.columns, state.columns, strict=True)
            ]
            if Undecided not in values:
                self.take(state.rest, order, item, values)

    def merge(self, state: Keyed, other: Keyed) -> None:
        """Take what another state has seen."""
        for seen, others in zip(state.columns, other.columns, strict=True):
            seen.merge(others)
        self.join(state.rest, other.rest)

    def nothing(self) -> Any:
        """Return what is kept of no items."""
        raise NotImplementedError

    def take(self, rest: Any, order: Order, item: JSON, values: list[Any]) -> None:
        """Take one item with what the references gave for it."""
        raise NotImplementedError

    def join(self, rest: Any, other: Any) -> None:
        """Take what another has kept."""
        raise NotImplementedError


class ExtremeBy(ByColumns):
    """The item with the greatest or the least key."""

    def __init__(self, columns: Sequence[Column], *, greatest: bool) -> None:
        super().__init__(columns)
        self.greatest = greatest

    def nothing(self) -> Best:
        """Return what is kept of no items."""
        return Best()

    def take(self, rest: Best, order: Order, item: JSON, values: list[Any]) -> None:
        """Offer one item."""
        rest.offer(TYPES[type(values[0])], (values[0], order, item), greatest=self.greatest)

    def join(self, rest: Best, other: Best) -> None:
        """Take the better of two."""
        rest.merge(other, greatest=self.greatest)


class CountBy(ByColumns):
    """The number of items of each key: `[order, key, count]`."""

    def __init__(self, columns: Sequence[Column], limit: int) -> None:
        super().__init__(columns)
        self.limit = limit

    def nothing(self) -> Distinct:
        """Return what is kept of no items."""
        return Distinct()

    def take(self, rest: Distinct, order: Order, item: JSON, values: list[Any]) -> None:
        """Count one item."""
        del item
        self._count(rest, [order, values[0], 1])

    def join(self, rest: Distinct, other: Distinct) -> None:
        """Add the counts of two."""
        rest.too_many |= other.too_many
        rest.bound(self.limit)
        for found in other.groups.values():
            self._count(rest, found)

    def _count(self, rest: Distinct, found: list[Any]) -> None:
        if rest.too_many:
            return
        kept = rest.groups.get(found[1])
        if kept is None:
            rest.groups[found[1]] = found
            rest.bound(self.limit)
            return
        kept[2] += found[2]
        if found[0] < kept[0]:
            kept[:2] = found[:2]


class Instants(ByColumns):
    """
    The instants of each key, `[order, key, microseconds since 1970]`, eight bytes an item.

    Without a key there is one group, of the key None.
    """

    def __init__(self, columns: Sequence[Column], max_groups: int, max_instants: int) -> None:
        super().__init__(columns)
        self.max_groups = max_groups
        self.max_instants = max_instants

    def nothing(self) -> Distinct:
        """Return what is kept of no items."""
        return Distinct()

    def take(self, rest: Distinct, order: Order, item: JSON, values: list[Any]) -> None:
        """Take one instant."""
        del item
        *keys, instant = values
        self._take(rest, [order, keys[0] if keys else None, array("q", [(instant - EPOCH) // MICROSECOND])])

    def join(self, rest: Distinct, other: Distinct) -> None:
        """Take the instants of two."""
        rest.too_many |= other.too_many
        rest.bound(self.max_groups)
        for found in other.groups.values():
            self._take(rest, found)

    def _take(self, rest: Distinct, found: list[Any]) -> None:
        if rest.too_many:
            return
        kept = rest.groups.get(found[1])
        if kept is None:
            rest.groups[found[1]] = found
        else:
            kept[2].extend(found[2])
            if found[0] < kept[0]:
                kept[:2] = found[:2]
        rest.size += len(found[2])
        rest.too_many = rest.size > self.max_instants
        rest.bound(self.max_groups)


def instants_of(found: list[Any]) -> list[datetime]:
    """Return the instants of one key."""
    return [EPOCH + microseconds * MICROSECOND for microseconds in found[2]]


def counts(groups: Iterable[list[Any]]) -> list[JSON]:
    """Return what `count_by` gives."""
    return table({key: {"count": count} for _, key, count in groups})


def rates(groups: Iterable[list[Any]], length: timedelta) -> list[JSON]:
    """Return what `rate_max` gives."""
    return table({found[1]: densest_span(instants_of(found), length) for found in groups})


def gap(groups: Iterable[list[Any]]) -> JSON:
    """Return what `max_gap` gives."""
    return longest_gap([instant for found in groups for instant in instants_of(found)])
