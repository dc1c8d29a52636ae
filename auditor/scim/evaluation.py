"""Filters as predicates of records, compiled once into closures."""

from __future__ import annotations

import operator
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias

from auditor.model.diagnostic import Mistake
from auditor.model.instant import parse_instant
from auditor.scim.printer import render_operand
from auditor.scim.tree import (
    And,
    Attribute,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Not,
    Operator,
    Or,
    Placeholder,
    Present,
    Scalar,
    ValuePath,
    full_name,
    operands,
)

Record: TypeAlias = Mapping[str, Any]
Predicate: TypeAlias = Callable[[Record], bool]

_Path: TypeAlias = tuple[str, ...]
"""One key or more, from a record or an element to a value."""

_Match: TypeAlias = Callable[[Any], bool]
"""A test of one value that is there: a scalar or an object."""

_ORDER: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
}
_SUBSTRING: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.CO: operator.contains,
    Operator.SW: str.startswith,
    Operator.EW: str.endswith,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """
    How an attribute's values are found in a record, and compared.

    `path` is the keys from the record to the value; arrays on the way, at any depth, are walked through.
    `type` is what the descriptor says of the values: `instant` makes them compare as instants; of the other
    types, the values themselves decide. `case_exact` false folds case in every comparison of strings.

    Raises:
        ValueError: the path is empty.
    """

    path: tuple[str, ...]
    type: typing.Literal["string", "number", "boolean", "instant", "any"]
    case_exact: bool

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("the path of an attribute has one key or more")


class NotComparable(ValueError):  # noqa: N818  # a finding about a record, which `auditor.evaluator` reports
    """A record holds, in an attribute of type `instant`, a value that is none; names both."""

    def __init__(self, attribute: str, value: object) -> None:
        shown = "an object" if isinstance(value, dict) else f"{value!r:.80}"
        super().__init__(f"{attribute} holds {shown}, which is no instant")
        self.attribute = attribute
        self.value = value


def predicate(tree: Filter, rules: Callable[[str], Rule]) -> Predicate:
    """
    Compile a filter into a function that tells whether a record satisfies it.

    *rules* is asked once for each attribute, by its full name: `resources.type` inside `resources[...]`.

    * A value that is null or missing is absent; so is an array that holds no other.
    * Where there are several values, a comparison is true if it is true of *any*, `ne` among them.
    * A comparison with what is absent is false, except `eq null`, which is true of nothing else (and so is
      `in` with a null among its values); `ne null` is true of whatever is there.
    * `pr` is true if some value is neither null, `""`, `[]` nor `{}`.
    * Values of different types are not equal, have no order and no parts; an integer and a fraction are both
      numbers, a boolean is none, and only `eq` and `ne` (and `in`) can be true of booleans, null and objects.
    * Strings are in the order of their code points, after the folding of case where the rule asks for it.
    * Inside `attribute[...]`, one and the same element has to satisfy the filter. What is no object has no
      attributes.

    The function raises `NotComparable` when it has to compare, as an instant, a value that is none.

    Raises:
        Mistake: `scim.not-an-instant` for a literal that is none beside an attribute that is one, or for a
            substring of an instant; `scim.value-path` for an attribute that its rule finds outside of the
            element of its value path.
        ValueError: the filter still has a placeholder.

    Source: RFC 7644, section 3.4.2.2; RFC 7643, section 2.5 (null and the empty array are "unassigned").
    """
    return _Scope(cache(rules)).compile(tree)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where names are looked up: in a record, or in an element of the value path `name`, found at `path`."""

    rules: Callable[[str], Rule]
    name: str = ""
    path: tuple[str, ...] = ()  # empty for the record itself

    def compile(self, tree: Filter) -> Predicate:
        match tree:
            case Constant(value):
                return lambda _: value
            case Not(term):
                test = self.compile(term)
                return lambda record: not test(record)
            case And(terms):
                return _every([self.compile(term) for term in terms])
            case Or(terms):
                return _some([self.compile(term) for term in terms])
            case ValuePath(attribute, inner):
                name, rule, path = self._resolve(attribute)
                test = _Scope(self.rules, name, rule.path).compile(inner)
                return _test(path, lambda value: test(value if isinstance(value, dict) else {}))
            case Present(attribute):
                _, _, path = self._resolve(attribute)
                return _test(path, lambda value: value not in ("", {}))
            case Compare(attribute) | In(attribute):
                name, rule, path = self._resolve(attribute)
                literals = [_bound(operand) for operand in operands(tree)]
                if isinstance(tree, In) or tree.operator is Operator.EQ:
                    absent = any(literal.value is None for literal in literals)
                    return _test(path, _equal(literals, name, rule), absent=absent)
                if tree.operator is Operator.NE:
                    equal = _equal(literals, name, rule)
                    return _test(path, lambda value: not equal(value))
                return _test(path, _related(tree.operator, literals[0], name, rule))

    def _resolve(self, attribute: Attribute) -> tuple[str, Rule, _Path]:
        """Return the full name of an attribute, its rule, and the path to it in this scope."""
        name = full_name(self.name, attribute)
        rule = self.rules(name)
        if rule.path[: len(self.path)] != self.path or rule.path == self.path:
            raise Mistake(
                "scim.value-path",
                "attribute outside of its value path",
                detail=f"{name} is not found inside an element of {self.name}",
                help=f"compare {name} outside of the brackets",
                span=attribute.span,
            )
        return name, rule, rule.path[len(self.path) :]


def _bound(operand: Literal | Placeholder) -> Literal:
    if isinstance(operand, Placeholder):
        raise ValueError(f"{render_operand(operand)} has no value yet")
    return operand


def _every(tests: list[Predicate]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        return lambda record: first(record) and second(record)

    def every(record: Record) -> bool:
        for test in tests:  # noqa: SIM110  # a generator costs as much as a test
            if not test(record):
                return False
        return True

    return every


def _some(tests: list[Predicate]) -> Predicate:
    if len(tests) == 2:
        first, second = tests
        return lambda record: first(record) or second(record)

    def some(record: Record) -> bool:
        for test in tests:  # noqa: SIM110  # as above
            if test(record):
                return True
        return False

    return some


def _test(path: _Path, match: _Match, *, absent: bool = False) -> Predicate:
    """Return the test whether some value at a path is matched; *absent* is the answer where there is none."""
    first, *rest = path

    def among(values: list[Any], below: Iterable[str]) -> bool:
        found = _gather(values, below)
        return any(map(match, found)) if found else absent

    if not rest:

        def test(record: Record) -> bool:
            value = record.get(first)
            if value is None:
                return absent
            return among(value, ()) if isinstance(value, list) else match(value)

    elif len(rest) == 1:
        (second,) = rest

        def test(record: Record) -> bool:
            value = record.get(first)
            if not isinstance(value, dict):
                return among(value, rest) if isinstance(value, list) else absent
            value = value.get(second)
            if value is None:
                return absent
            return among(value, ()) if isinstance(value, list) else match(value)

    else:

        def test(record: Record) -> bool:
            value = record.get(first)
            for depth, step in enumerate(rest):
                if not isinstance(value, dict):
                    return among(value, rest[depth:]) if isinstance(value, list) else absent
                value = value.get(step)
            if value is None:
                return absent
            return among(value, ()) if isinstance(value, list) else match(value)

    return test


def _gather(values: list[Any], path: Iterable[str]) -> list[Any]:
    """Return what is not None at a path below any of the values, whatever arrays lie between."""
    values = [*values]  # ours: it grows while it is read, by the items of the arrays in it
    for step in path:
        below = []
        for value in values:
            if isinstance(value, dict):
                below.append(value.get(step))
            elif isinstance(value, list):
                values.extend(value)
        values = below
    found = []
    for value in values:
        if isinstance(value, list):
            values.extend(value)
        elif value is not None:
            found.append(value)
    return found


def _equal(literals: list[Literal], name: str, rule: Rule) -> _Match:
    """Return the test of being equal to some literal; null among them is true of no value that is there."""
    there = [literal for literal in literals if literal.value is not None]
    if not there:
        return _never
    if rule.type == "instant":
        instants = frozenset(_literal_instant(literal, name) for literal in there)
        return lambda value: _instant(value, name) in instants
    texts = frozenset(literal.value for literal in there if isinstance(literal.value, str))
    others = [literal.value for literal in there if not isinstance(literal.value, str)]
    if others:
        is_text = _is_one_of(texts, rule)
        return lambda value: is_text(value) or any(_same(value, other) for other in others)
    return _is_one_of(texts, rule)


def _is_one_of(texts: frozenset[str], rule: Rule) -> _Match:
    if not rule.case_exact:
        folded = frozenset(text.casefold() for text in texts)
        return lambda value: isinstance(value, str) and value.casefold() in folded
    if len(texts) == 1:
        (text,) = texts
        return lambda value: value == text
    return lambda value: isinstance(value, str) and value in texts


def _same(value: object, other: Scalar) -> bool:
    """Tell whether a value equals a number or a boolean; in Python alone, 1 is also true."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _related(relation: Operator, literal: Literal, name: str, rule: Rule) -> _Match:
    """Return the test of an order or a substring."""
    compare = _ORDER.get(relation) or _SUBSTRING[relation]
    bound = literal.value
    if rule.type == "instant":
        if relation in _SUBSTRING:
            raise _not_an_instant(literal, f"{relation} searches text, and {name} is an instant")
        if bound is None:
            return _never
        instant = _literal_instant(literal, name)
        return lambda value: compare(_instant(value, name), instant)
    if isinstance(bound, str):
        if rule.case_exact:
            return lambda value: isinstance(value, str) and compare(value, bound)
        folded = bound.casefold()
        return lambda value: isinstance(value, str) and compare(value.casefold(), folded)
    if isinstance(bound, bool) or bound is None or relation in _SUBSTRING:
        return _never
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and compare(value, bound)
    )


def _never(_: object) -> bool:
    return False


def _instant(value: object, name: str) -> datetime:
    try:
        if isinstance(value, str):
            return parse_instant(value)
    except ValueError as error:
        raise NotComparable(name, value) from error
    raise NotComparable(name, value)


def _literal_instant(literal: Literal, name: str) -> datetime:
    if isinstance(literal.value, str):
        try:
            return parse_instant(literal.value)
        except ValueError:
            pass
    raise _not_an_instant(literal, f"{name} is an instant, and {render_operand(literal)} is none")


def _not_an_instant(literal: Literal, detail: str) -> Mistake:
    return Mistake(
        "scim.not-an-instant",
        "not an instant",
        detail=detail,
        help='write an instant such as "2026-11-21T09:00:00Z", and compare by eq, ne, gt, ge, lt or le',
        span=literal.span,
    )
