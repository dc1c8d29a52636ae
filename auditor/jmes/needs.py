"""
Which parts of its value an expression needs, so that nothing else has to be decoded.

An expression gives on a value without the rest exactly what it gives on the whole value. Where a value is used as
such (compared, tested, passed to a function, returned), all of it is needed; where only fields of it are read,
these are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from auditor.jmes.tree import (
    Call,
    Current,
    Field,
    FilterProjection,
    FlattenProjection,
    Index,
    ListProjection,
    Node,
    Pipe,
    Reference,
    Slice,
    SliceProjection,
    Subexpression,
    children,
)

_COUNTING: Final = frozenset({"count_by", "length", "max_gap", "rate_max"})
"""Functions that need of the list of records no more than their expression references do."""


@dataclass(slots=True)
class Need:
    """
    What is needed of a value: all of it, or some of its fields.

    Of a list it is what is needed of each element. A value of which neither is said must only be there.
    """

    whole: bool = False
    fields: dict[str, Need] = field(default_factory=dict)

    def at(self, path: str) -> Need:
        """Return the need of the value at a dotted path, which is added."""
        need = self
        for step in path.split("."):
            need = need.fields.setdefault(step, Need())
        return need

    @classmethod
    def union(cls, needs: Iterable[Need]) -> Need:
        """Return what is needed by any of several."""
        found = cls()
        for need in needs:
            found.add(need)
        return found

    def add(self, other: Need) -> None:
        """Add another need."""
        self.whole |= other.whole
        for name, below in other.fields.items():
            self.fields.setdefault(name, Need()).add(below)


def add_needs(node: Node, record: Need, *, of_list: bool = False, result: bool = True) -> None:
    """
    Add what an expression needs of a record, or with *of_list* of each record of a list.

    Without *result* it matters only whether its result is there, or how many elements it has.
    """
    reader = _Reader(record if of_list else None)
    found = reader.of(node, record)
    if result:
        reader.use(found)


class _Reader:
    """Follows values through an expression; the place of a value is its need, None if it was made on the way."""

    def __init__(self, records: Need | None) -> None:
        self._records = records

    @staticmethod
    def use(place: Need | None) -> None:
        """Say that all of a value is needed."""
        if place is not None:
            place.whole = True

    def of(self, node: Node, place: Need | None) -> Need | None:
        """Add what a node needs of the value at a place; return the place of its own value."""
        match node:
            case Current():
                return place
            case Field(name=name):
                return None if place is None else place.fields.setdefault(name, Need())
            case Subexpression(steps=steps) | Pipe(stages=steps):
                for step in steps:
                    place = self.of(step, place)
                return place
            case Index(left=left) | Slice(left=left):
                return self.of(left, place)
            case (
                ListProjection(left=left, right=right)
                | SliceProjection(left=left, right=right)
                | FlattenProjection(left=left, right=right)
            ):
                return self.of(right, self.of(left, place))
            case FilterProjection(left=left, condition=condition, right=right):
                element = self.of(left, place)
                self.use(self.of(condition, element))
                return self.of(right, element)
            case Call(name=name, arguments=arguments):
                self._call(name, arguments, place)
                return None
        for child in children(node):
            self.use(self.of(child, place))
        return None

    def _call(self, name: str, arguments: tuple[Node, ...], place: Need | None) -> None:
        places = [self.of(each, place) for each in arguments if not isinstance(each, Reference)]
        for found in places:
            if name not in _COUNTING or found is not self._records:
                self.use(found)
        for each in arguments:
            if isinstance(each, Reference):
                for element in places:
                    self.use(self.of(each.expression, element))
