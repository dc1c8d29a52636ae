"""
The filter language of the simulated endpoints: reading, refusing, evaluating.

Written from the documentation alone (RFC 7644, section 3.4.2.2; "Conventions"; the pages of the endpoints),
without the auditor's own parser, so that the two can check each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from auditor.model.resource import Attribute, ResourceKind
from auditor.simulator.refusal import invalid_data, invalid_filter

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?)(?![\w.])
      | (?P<word>[A-Za-z_$][\w$:.-]*)
      | (?P<mark>[()\[\],])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_OPERATORS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "in", "pr"})
_DEPTH: Final = 40

# "This can be any one of the following" and "the only one supported" (Read Audit Activities). The descriptor
# does not list them: events themselves show other types of resources.
DOCUMENTED_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "resources.type": ("ALL", "USER", "ENVIRONMENT", "ORGANIZATION"),
    "tags": ("adminIdentityEvent",),
}

Scalar: TypeAlias = str | int | float | bool | None
Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compare:
    """`attribute operator value`; a tuple of values with `in`, None with `pr`."""

    attribute: str
    operator: str
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All of its parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of its parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not its part."""

    part: Filter


Filter: TypeAlias = Compare | And | Or | Not


def parse_filter(text: str) -> Filter:
    """
    Read a filter. `and` binds tighter than `or`; keywords are known in any case.

    Raises:
        Refusal: the text is no filter.
    """
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._kind = self._lexeme = ""
        self._advance()

    def whole(self) -> Filter:
        tree = self._or(0)
        if self._kind != "end":
            raise self._error("an operator or the end")
        return tree

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        if not match:
            raise invalid_filter(f"The filter can not be read at character {self._position}.")
        self._position = match.end()
        self._kind = match.lastgroup or "end"
        self._lexeme = match[self._kind]

    def _error(self, expected: str) -> Exception:
        return invalid_filter(
            f"The filter has {self._lexeme!r} before character {self._position}, not {expected}."
        )

    def _keyword(self, word: str) -> bool:
        """Step over a keyword; return whether it was there."""
        found = self._kind == "word" and self._lexeme.lower() == word
        if found:
            self._advance()
        return found

    def _mark(self, mark: str) -> None:
        if self._lexeme != mark or self._kind != "mark":
            raise self._error(repr(mark))
        self._advance()

    def _or(self, depth: int) -> Filter:
        if depth > _DEPTH:
            raise invalid_filter("The filter is nested too deeply.")
        parts = [self._and(depth)]
        while self._keyword("or"):
            parts.append(self._and(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self, depth: int) -> Filter:
        parts = [self._term(depth)]
        while self._keyword("and"):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _term(self, depth: int) -> Filter:
        if self._keyword("not"):
            return Not(self._group(depth))
        if self._kind == "mark":
            return self._group(depth)
        if self._kind != "word":
            raise self._error("an attribute")
        attribute = self._lexeme
        self._advance()
        operator = self._lexeme.lower()
        if self._kind != "word" or operator not in _OPERATORS:
            raise self._error("an operator")
        self._advance()
        if operator == "pr":
            return Compare(attribute, operator, None)
        return Compare(attribute, operator, self._list() if operator == "in" else self._value())

    def _group(self, depth: int) -> Filter:
        self._mark("(")
        inner = self._or(depth + 1)
        self._mark(")")
        return inner

    def _list(self) -> tuple[Scalar, ...]:
        self._mark("[")
        values = [self._value()]
        while self._kind == "mark" and self._lexeme == ",":
            self._advance()
            values.append(self._value())
        self._mark("]")
        return tuple(values)

    def _value(self) -> Scalar:
        if self._kind not in {"string", "number"} and self._lexeme not in {"true", "false", "null"}:
            raise self._error("a value in double quotes")
        try:
            value: Scalar = json.loads(self._lexeme)
        except ValueError:
            raise self._error("a value in double quotes") from None
        self._advance()
        return value


def comparisons(tree: Filter) -> Iterator[Compare]:
    """Yield every comparison of a filter, from left to right."""
    match tree:
        case Compare():
            yield tree
        case Not(part):
            yield from comparisons(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from comparisons(part)


def conjuncts(tree: Filter) -> tuple[Filter, ...]:
    """Return the parts that must all hold."""
    if isinstance(tree, And):
        return tuple(inner for part in tree.parts for inner in conjuncts(part))
    return (tree,)


def checked(tree: Filter, kind: ResourceKind) -> Filter:
    """
    Return a filter with the endpoint's own names of attributes and lower-case operators.

    Raises:
        Refusal: the endpoint does not support an attribute, an operator for it, a connective or a value.
    """
    attributes = kind.filter.attributes if kind.filter else {}
    disjunction = kind.filter is not None and (
        kind.filter.disjunction is not None
        or any(slot.any_of for shape in kind.filter.shapes for slot in shape.all)
    )
    connectives = ["and", "or"] if disjunction else ["and"]
    supported = sorted({operator for attribute in attributes.values() for operator in attribute.operators})

    def check(node: Filter) -> Filter:
        match node:
            case Compare():
                return _checked_comparison(node, kind)
            case And(parts):
                return And(tuple(map(check, parts)))
            case Or(parts) if disjunction:
                return Or(tuple(map(check, parts)))
        keyword = "or" if isinstance(node, Or) else "not"
        raise invalid_filter(
            f"The operator {keyword} is not supported.", supportedOperators=[*supported, *connectives]
        )

    return check(tree)


def _checked_comparison(node: Compare, kind: ResourceKind) -> Compare:
    known = kind.attribute(node.attribute)
    if known is None:
        names = sorted(kind.filter.attributes) if kind.filter else []
        raise invalid_filter(f"The attribute {node.attribute} is not supported.", supportedAttributes=names)
    name, attribute = known
    if node.operator not in attribute.operators:
        raise invalid_filter(
            f"The operator {node.operator} is not supported for {name}.",
            supportedOperators=list(attribute.operators),
        )
    if node.operator == "pr":
        return Compare(name, "pr", None)
    allowed = DOCUMENTED_VALUES.get(name, ())
    for value in node.value if isinstance(node.value, tuple) else (node.value,):
        _check_value(name, attribute, value)
        if allowed and value not in allowed:
            raise invalid_filter(
                f"The value {value!r} is not supported for {name}.", allowedValues=list(allowed)
            )
    return Compare(name, node.operator, node.value)


def _check_value(name: str, attribute: Attribute, value: Scalar) -> None:
    if attribute.type == "number":  # documented in quotes: samplingPeriod eq "24"
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
            raise invalid_data("INVALID_VALUE", "filter", f"{name} must be a whole number.")
    elif attribute.type == "boolean":
        if not isinstance(value, bool):
            raise invalid_data("INVALID_VALUE", "filter", f"{name} must be true or false.")
    elif not isinstance(value, str):
        raise invalid_data("INVALID_VALUE", "filter", f"The value of {name} must be in double quotes.")
    elif attribute.type == "instant" and read_instant(value) is None:
        raise invalid_data(
            "INVALID_VALUE", "filter", f"{value!r} is no instant such as 2018-08-20T00:00:00Z, for {name}."
        )


@lru_cache(maxsize=4096)
def read_instant(text: str) -> datetime | None:
    """
    Return an instant with the offset it was written with; None where the text is none.

    The documented form is asked for: date, time with seconds, and an offset. A day that the calendar lacks,
    such as 2019-02-31, is no instant.
    """
    if not _INSTANT.fullmatch(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
        instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant


def instant_of(comparison: Compare) -> datetime:
    """Return the instant that a checked comparison compares with."""
    instant = read_instant(str(comparison.value))
    if instant is None:
        raise TypeError(f"{comparison.attribute} was not checked to be an instant")
    return instant


def predicate(tree: Filter, kind: ResourceKind, known: Mapping[str, str]) -> Callable[[Record], bool]:
    """
    Return a function that says whether a record matches a checked filter.

    `known` holds the values of attributes that records do not show, such as `environment.id`. A comparison
    matches where any value of the attribute does, and never where there is none. Instants compare as such.
    """
    match tree:
        case And(parts):
            every = [predicate(part, kind, known) for part in parts]
            return lambda record: all(holds(record) for holds in every)
        case Or(parts):
            some = [predicate(part, kind, known) for part in parts]
            return lambda record: any(holds(record) for holds in some)
        case Not(part):
            inner = predicate(part, kind, known)
            return lambda record: not inner(record)
    if tree.value == "ALL" and tree.attribute in DOCUMENTED_VALUES:
        return lambda _: True
    rule = kind.filter.attributes[tree.attribute] if kind.filter else None
    if rule is None or rule.path is None:
        matches = known.get(tree.attribute) == tree.value
        return lambda _: matches
    steps, comparable = tuple(rule.path.split(".")), _comparable(rule)
    if tree.operator == "pr":
        return lambda record: any(comparable(value) is not None for value in values(record, steps))
    literal, holds = tree.value, _HOLDS[tree.operator]
    bound = tuple(map(comparable, literal)) if isinstance(literal, tuple) else comparable(literal)
    return lambda record: any(
        holds(value, bound) for value in map(comparable, values(record, steps)) if value is not None
    )


_HOLDS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, bound: value == bound,
    "ne": lambda value, bound: value != bound,
    "co": lambda value, bound: bound in value,
    "sw": lambda value, bound: value.startswith(bound),
    "ew": lambda value, bound: value.endswith(bound),
    "gt": lambda value, bound: value > bound,
    "ge": lambda value, bound: value >= bound,
    "in": lambda value, bound: value in bound,
    "lt": lambda value, bound: value < bound,
    "le": lambda value, bound: value <= bound,
}


def _comparable(rule: Attribute) -> Callable[[Any], Any]:
    """Return a function that gives a value in the form in which an attribute compares; None where it has none."""
    match rule.type:
        case "instant":
            return lambda value: read_instant(value) if isinstance(value, str) else None
        case "number":
            return lambda value: float(value) if _NUMBER.fullmatch(str(value)) else None
        case "boolean":
            return lambda value: value if isinstance(value, bool) else None
    if rule.case_exact:
        return lambda value: value if isinstance(value, str) else None
    return lambda value: value.casefold() if isinstance(value, str) else None


def values(value: object, steps: tuple[str, ...]) -> list[Any]:
    """Return the scalars at a path below a value; arrays on the way are walked into."""
    if isinstance(value, list):
        return [found for inner in value for found in values(inner, steps)]
    if not isinstance(value, dict):
        return [] if steps else [value]
    return values(value[steps[0]], steps[1:]) if steps and steps[0] in value else []


def possible_values(tree: Filter, attribute: str) -> frozenset[str] | None:
    """Return the values of an attribute outside of which no record can match; None where there is no such limit."""
    match tree:
        case Compare(name, "eq", str(value)) if name == attribute:
            return frozenset({value})
        case And(parts):
            limits = [limit for part in parts if (limit := possible_values(part, attribute)) is not None]
            return frozenset.intersection(*limits) if limits else None
        case Or(parts):
            arms = [possible_values(part, attribute) for part in parts]
            return None if None in arms else frozenset().union(*(arm for arm in arms if arm is not None))
    return None
