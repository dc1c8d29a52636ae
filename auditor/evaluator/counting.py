"""What the buckets of a count hold, and what that is held against: for reports to draw, no verdict rests on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Final, TypeAlias

from auditor import jmes
from auditor.jmes.tree import Comparison, Literal, Operator, path_of
from auditor.model.instant import parse_instant
from auditor.model.query import CompiledCheck, CompiledExpectation
from auditor.model.resource import ResourceKind, fields, value_at
from auditor.model.value import JSON
from auditor.model.verdict import Series, Threshold

POINTS: Final = 1_000
"""Buckets of one series that a report holds: more than the 730 days that PingOne's counts reach back."""

_FLIPPED: Final[dict[Operator, Operator]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


Points: TypeAlias = list[tuple[datetime, float]]
"""The instants at which buckets begin, with a number of each."""


class Counts:
    """The numbers of the buckets of one population, by field."""

    def __init__(self, check: CompiledCheck, name: str, kind: ResourceKind) -> None:
        self._start = kind.buckets.start if kind.buckets else ""
        self._total: Counter[str] = Counter()
        self._points: dict[str, Points] = {path: [] for path in sorted(_read(check, name) & _numeric(kind))}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the numbers of a bucket."""
        for path in self._points:
            number = value_at(record, path)
            if _is_number(number):
                self._take(path, [(parse_instant(str(value_at(record, self._start))), number)], 1)

    def _take(self, path: str, found: Points, total: int) -> None:
        """Take some points of one field, which stand for so many."""
        points = self._points[path]
        points += found
        self._total[path] += total
        if len(points) >= 2 * POINTS:
            points[:] = sorted(points)[-POINTS:]

    def state(self) -> Mapping[str, tuple[Points, int]]:
        """Return what is known, by field: the newest points, and how many there are."""
        return {path: (sorted(points)[-POINTS:], self._total[path]) for path, points in self._points.items()}

    def merge(self, state: Mapping[str, tuple[Points, int]]) -> None:
        """Take in the numbers of other buckets."""
        for path, (points, total) in state.items():
            self._take(path, points, total)

    @property
    def series(self) -> tuple[Series, ...]:
        """The numbers in order of time, of each field that has any."""
        return tuple(
            Series(path=path, points=tuple(points), left_out=total - len(points))
            for path, (points, total) in self.state().items()
            if points
        )


def _read(check: CompiledCheck, name: str) -> set[str]:
    """Return the paths that the expectations of a check read of the records of one query."""
    paths = set()
    for expectation in check.expectations:
        prefix = f"{name}." if expectation.over is None else ""
        if expectation.over in (None, name):
            found = jmes.fields_read(jmes.parse(expectation.expression, check.values))
            paths |= {path.removeprefix(prefix) for path in found if path.startswith(prefix)}
    return paths


def _numeric(kind: ResourceKind) -> set[str]:
    """Return the paths of the numbers of a bucket; of a kind without buckets, none."""
    if kind.buckets is None:
        return set()
    return {
        path
        for path, leaf, many in fields(kind.item)
        if not many and leaf.get("type") in ("integer", "number")
    }


def thresholds(
    check: CompiledCheck, expectation: CompiledExpectation, kind: ResourceKind, as_of: datetime
) -> tuple[Threshold, ...]:
    """
    Return the numbers that an expectation holds the numbers of a bucket against, in the order of its text.

    Only what is a number whatever the records are; of what is made with a sensitive value, nothing is told.
    """
    if kind.buckets is None or expectation.over is None:
        return ()
    numeric = _numeric(kind)
    comparisons = (
        node
        for node in jmes.walk(jmes.parse(expectation.expression, check.values))
        if isinstance(node, Comparison) and node.operator in _FLIPPED
    )
    found = (
        Threshold(path=path, operator=operator, value=number)
        for comparison in comparisons
        for path, operator, other in _sides(comparison)
        if path in numeric and (number := _number(other, as_of)) is not None
    )
    return tuple(dict.fromkeys(found))


def _sides(comparison: Comparison) -> Iterator[tuple[str, Operator, jmes.Node]]:
    """Yield the path, operator and other side of a comparison, read from each of its sides."""
    for side, operator, other in (
        (comparison.left, comparison.operator, comparison.right),
        (comparison.right, _FLIPPED[comparison.operator], comparison.left),
    ):
        path = path_of(side)
        if path is not None:
            yield ".".join(step for step in path if isinstance(step, str)), operator, other


def _number(node: jmes.Node, as_of: datetime) -> float | None:
    """Return the number that a node is, whatever it is evaluated on."""
    leaves = [leaf for leaf in jmes.walk(node) if not jmes.children(leaf)]
    if not all(isinstance(leaf, Literal) and not leaf.sensitive for leaf in leaves):
        return None
    try:
        value = jmes.compile(node, as_of=as_of).search(None)
    except jmes.EvaluationError:
        return None
    return value if _is_number(value) else None


def _is_number(value: JSON) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # of more digits than a float can stand for
        return False
