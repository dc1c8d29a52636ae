"""
What a filter says of every record that satisfies it: alternatives, each a conjunction of "has one of these values".

Whatever is found here is implied by the filter; it may be weaker than the filter, and never stronger.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import product
from math import inf, nextafter
from typing import Any, Final, TypeAlias

from auditor.model.instant import parse_instant
from auditor.model.resource import ResourceKind, field
from auditor.scim.evaluation import predicate
from auditor.scim.rules import rules
from auditor.scim.tree import (
    And,
    Attribute,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    Operator,
    Or,
    Placeholder,
    Present,
    Term,
    ValuePath,
    attributes,
    full_name,
    operands,
    terms,
    walk,
)

Arm: TypeAlias = Mapping[str, frozenset[str]]
"""A conjunction: for each attribute, the values of which a matching record has one. Empty: anything matches."""

MAX_ARMS: Final = 64
"""Beyond this many alternatives one weaker one takes their place."""

_HALF: Final = re.compile("[\ud800-\udfff]")
"""A surrogate; pairs of them are characters by now."""

_ANYTHING: Final[tuple[Arm, ...]] = ({},)


def alternatives(where: Filter, wanted: frozenset[str], kind: ResourceKind) -> tuple[Arm, ...]:
    """
    Return alternatives of which every matching record satisfies one; none where nothing can match.

    They speak of the *wanted* attributes only, and depend on no sensitive value.
    """
    return _Scope.of_record(kind, wanted).alternatives(where)


def _can_contradict(where: Filter) -> bool:
    """Tell whether anything in a filter could make it never true: most say one thing of each attribute."""
    names: list[str] = []
    for node in walk(where):
        match node:
            case Constant() | Not() | ValuePath() | In(values=Literals(items=())):
                return True
            case Compare() | In() | Present():
                names.append(node.attribute.name)
    return len(set(names)) < len(names)


def never_true(where: Filter, kind: ResourceKind) -> bool:
    """Tell whether it is plain from a filter alone that no record can satisfy it."""
    if not _can_contradict(where):
        return False
    return not alternatives(where, attributes(where), kind)


_Type: TypeAlias = typing.Literal["string", "number", "instant"]

_Point: TypeAlias = float | datetime

_SOME: Final[Mapping[str | None, _Point]] = {"number": 0, "instant": datetime(2000, 1, 1, tzinfo=UTC)}
"""Some value of each type that has an order."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a filter speaks of: a record, or one element of the value path *within*."""

    kind: ResourceKind
    wanted: frozenset[str]
    within: str
    type_of: Callable[[str], _Type | None]
    """The type of an attribute of which the scope has at most one value; None of others, and of texts in any case."""

    @classmethod
    def of_record(cls, kind: ResourceKind, wanted: frozenset[str]) -> _Scope:
        return cls(kind, wanted, "", cache(partial(_type_of_one, kind, "")))

    def of_element(self, name: str) -> _Scope:
        return replace(self, within=name, type_of=cache(partial(_type_of_one, self.kind, name)))

    def alternatives(self, where: Filter) -> tuple[Arm, ...]:
        if self._is_contradictory(where):
            return ()
        arms = self.of(where)
        for name in sorted(self.wanted & _compared_otherwise(where, self.within)):
            if self.type_of(name) == "string":
                arms = _narrowed(arms, where, name, self)
        return arms

    def of(self, tree: Filter, *, negated: bool = False) -> tuple[Arm, ...]:
        """
        Return the alternatives; none where nothing can match.

        A negated comparison says nothing that `eq` could ask for: it is true of absent attributes as well.
        """
        match tree:
            case Not(term):
                return self.of(term, negated=not negated)
            case And() if not negated and self._is_contradictory(tree):
                return ()
            case And(terms) | Or(terms):
                parts = (self.of(term, negated=negated) for term in terms)
                if isinstance(tree, And) is not negated:
                    return self._conjunction(parts)
                return _absorbed(arm for part in parts for arm in part)
            case Constant(value):
                return _ANYTHING if value is not negated else ()
            case _ if negated:
                return _ANYTHING
            case ValuePath(attribute, inner):
                return self.of_element(full_name(self.within, attribute)).alternatives(inner)
            case Compare(attribute, Operator.EQ, value):
                return self._one_of(full_name(self.within, attribute), (value,))
            case In(attribute, Literals(items)):
                return self._one_of(full_name(self.within, attribute), items)
        return _ANYTHING

    def _one_of(self, name: str, operands: tuple[Literal | Placeholder, ...]) -> tuple[Arm, ...]:
        if not operands:
            return ()
        texts = [_text(operand) for operand in operands]
        known = frozenset(text for text in texts if text is not None)
        return ({name: known},) if name in self.wanted and None not in texts else _ANYTHING

    def _conjunction(self, parts: Iterable[tuple[Arm, ...]]) -> tuple[Arm, ...]:
        result = _ANYTHING
        for part in parts:
            both = (self._both(left, right) for left, right in product(result, part))
            result = _absorbed(arm for arm in both if arm is not None)
        return result

    def _both(self, left: Arm, right: Arm) -> Arm | None:
        """Return what satisfies both arms; None where nothing can."""
        merged = dict(left)
        for name, values in right.items():
            if name not in merged:
                merged[name] = values
            elif self.type_of(name) != "string":
                # One value may satisfy the one and another value the other, so they do not intersect.
                merged[name] = min(merged[name], values, key=lambda v: (len(v), sorted(v)))
            elif common := merged[name] & values:
                merged[name] = common
            else:
                return None
        return merged

    def _is_contradictory(self, tree: Filter) -> bool:
        """Tell whether no value of some number or instant satisfies all that a filter says of it."""
        points: dict[str, set[_Point]] = {}
        for name, term in terms(tree, self.within):
            if (type_ := self.type_of(name)) in _SOME:
                points.setdefault(name, {_SOME[type_]}).update(_points(term))
        return any(
            len(found) <= MAX_ARMS and not _may_hold(_partial(tree, name, self), found)
            for name, found in points.items()
        )


def _type_of_one(kind: ResourceKind, within: str, name: str) -> _Type | None:
    rule = rules(kind)(name)
    schema, path = kind.item, rule.path
    if within:
        outer = rules(kind)(within).path
        schema, path = (field(schema, ".".join(outer)) or ({}, True))[0], path[len(outer) :]
    schema, many = field(schema, ".".join(path)) or ({}, True)
    match rule.type, schema.get("type"):
        case "string", "string" if rule.case_exact and not many:
            return "string"
        case "number", "integer" | "number" if not many:
            return "number"
        case "instant", "string" if not many:
            return "instant"
    return None


def _text(operand: Literal | Placeholder) -> str | None:
    """
    Return the text that an operand is, if it may be sent.

    Sensitive values may not. Half of a character can not: no encoding carries it, and what a server makes of
    its escape (RFC 8259, section 8.2: "unpredictable") may be another text, which would find too little.
    """
    match operand:
        case Literal(str(text), sensitive=False) if not _HALF.search(text):
            return text
    return None


def _absorbed(arms: Iterable[Arm]) -> tuple[Arm, ...]:
    """Return alternatives in as few arms as say the same; one weaker arm where they are too many."""
    united = _united(arms)
    return tuple(without_included(united)) if len(united) <= MAX_ARMS else (weakened(united),)


def without_included(arms: list[Arm]) -> list[Arm]:
    """Return distinct arms without those that another one includes."""
    return [arm for arm in arms if not any(other is not arm and _includes(other, arm) for other in arms)]


def _united(arms: Iterable[Arm]) -> list[Arm]:
    """Return alternatives with those joined that constrain one and the same attribute alone."""
    alone: dict[str, frozenset[str]] = {}
    others: dict[frozenset[tuple[str, frozenset[str]]], Arm] = {}
    for arm in arms:
        if len(arm) == 1:
            ((name, values),) = arm.items()
            alone[name] = alone.get(name, frozenset()) | values
        else:
            others.setdefault(frozenset(arm.items()), arm)
    return [*({name: values} for name, values in alone.items()), *others.values()]


def _includes(weaker: Arm, stronger: Arm) -> bool:
    return all(name in stronger and stronger[name] <= values for name, values in weaker.items())


def weakened(arms: Iterable[Arm]) -> Arm:
    """Return one arm that every alternative satisfies."""
    arms = list(arms)
    names = sorted(set.intersection(*(set(arm) for arm in arms)))
    return {name: frozenset().union(*(arm[name] for arm in arms)) for name in names}


# What else the filter says of one attribute

_Test: TypeAlias = Callable[[object], bool | None]
"""Whether a filter holds of a record of which one value is known: a text, None, or `_OTHER`; None: unknown."""

_OTHER: Final = object()
"""A text that the filter does not name, and that is not empty."""


def _narrowed(arms: Iterable[Arm], where: Filter, name: str, scope: _Scope) -> tuple[Arm, ...]:
    """Return alternatives with only those values of an attribute with which the filter may hold."""
    test = _partial(where, name, scope)
    texts = frozenset(_texts(where, name, scope.within))
    # `pr` is false of the empty text, so that it is unlike any other which the filter does not name.
    is_open = any(test(value) is not False for value in {None, "", _OTHER} - texts)
    narrowed = []
    for arm in arms:
        if name not in arm and is_open:
            narrowed.append(arm)
            continue
        values = arm.get(name, texts)
        if kept := frozenset(value for value in values if test(value) is not False):
            narrowed.append({**arm, name: kept})
    return tuple(narrowed)


def _texts(where: Filter, name: str, within: str) -> Iterator[str]:
    """Yield the texts that a filter compares an attribute with."""
    for full, term in terms(where, within):
        if full == name:
            yield from (text for text in map(_text, operands(term)) if text is not None)


def _compared_otherwise(where: Filter, within: str) -> frozenset[str]:
    """Return the attributes of which a filter says more than the alternatives know already."""
    has_negation = any(isinstance(node, Not) for node in walk(where))
    return frozenset(
        name for name, term in terms(where, within) if has_negation or not _is_equality_of_texts(term)
    )


def _points(term: Term) -> Iterator[_Point]:
    """Yield the numbers or instants that a term compares with."""
    for operand in operands(term):
        match operand:
            case Literal(str(text), sensitive=False):
                yield parse_instant(text)
            case Literal(int(number) | float(number), sensitive=False):
                yield number


def _may_hold(test: _Test, points: Iterable[_Point]) -> bool:
    """
    Tell whether a filter may hold of some value of an attribute that has an order, or without one.

    Between two of the *points* that it compares with, all values are alike, so that one beside each will do.
    """
    return test(None) is not False or any(
        test(value) is not False for point in points for value in _around(point)
    )


def _around(point: _Point) -> Iterator[object]:
    """Yield a point, and what is next to it on either side, as records hold them."""
    if not isinstance(point, datetime):
        yield from (nextafter(point, -inf), point, nextafter(point, inf))
        return
    for step in (-1, 0, 1):
        with suppress(OverflowError):  # the calendar ends there
            yield (point + timedelta(microseconds=step)).isoformat()


def _is_equality_of_texts(term: Term) -> bool:
    equality = isinstance(term, In) or (isinstance(term, Compare) and term.operator is Operator.EQ)
    return equality and all(_text(operand) is not None for operand in operands(term))


def _partial(tree: Filter, name: str, scope: _Scope) -> _Test:
    """Return the filter as a test of one attribute, by Kleene's logic: what other attributes hold is unknown."""
    match tree:
        case Not(term):
            return _negation(_partial(term, name, scope))
        case And(terms):
            return _conjunction([_partial(term, name, scope) for term in terms])
        case Or(terms):
            none_of = _conjunction([_negation(_partial(term, name, scope)) for term in terms])
            return _negation(none_of)
        case Compare(attribute) | In(attribute) | Present(attribute):
            is_shown = not any(_is_hidden(operand) for operand in operands(tree))
            if is_shown and full_name(scope.within, attribute) == name:
                return _term_test(replace(tree, attribute=Attribute(name)), scope.kind)
    return lambda _: None


def _is_hidden(operand: Literal | Placeholder) -> bool:
    """Tell whether an operand is unknown, or a text that may not be sent, so that nothing may depend on it."""
    if isinstance(operand, Placeholder) or operand.sensitive:
        return True
    return isinstance(operand.value, str) and _text(operand) is None


def _negation(test: _Test) -> _Test:
    def negation(value: object) -> bool | None:
        result = test(value)
        return None if result is None else not result

    return negation


def _conjunction(tests: list[_Test]) -> _Test:
    def conjunction(value: object) -> bool | None:
        result: bool | None = True
        for test in tests:
            part = test(value)
            if part is False:
                return False
            if part is None:
                result = None
        return result

    return conjunction


def _term_test(term: Compare | In | Present, kind: ResourceKind) -> _Test:
    rule_of = rules(kind)
    holds, path = predicate(term, rule_of), rule_of(term.attribute.name).path

    def test(value: object) -> bool | None:
        if value is _OTHER:
            return _of_another_text(term)
        record: Any = value
        for step in reversed(path):
            record = {step: record}
        return holds(record)

    return test


def _of_another_text(term: Compare | In | Present) -> bool | None:
    match term:
        case Compare(operator=Operator.EQ) | In():
            return False
        case Compare(operator=Operator.NE) | Present():
            return True
    return None
