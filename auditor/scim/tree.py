"""
The tree of a SCIM filter: what the parser makes, the compiler splits and the evaluation runs.

Every node is a frozen value that keeps its own invariants, so that each tree that exists can be printed and
parsed again. `span` is the node's range of characters in the text that it was parsed from, None where it
was made by the program; spans and the names of bound placeholders take no part in equality.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from sys import float_info
from typing import TypeAlias, TypeGuard

from auditor.model.source import Span

Scalar: TypeAlias = str | int | float | bool | None
"""What one literal holds. Numbers are within the range of a double (RFC 8259, section 6)."""

_STEP = r"[a-z_$][\w$-]*"
# More dots than the single one of RFC 7644 (PingOne has `resources.population.id`), and the `$` and `_` that
# names such as `$ref` (RFC 7643, section 2.4) and `_links` begin with.
ATTRIBUTE_NAME = re.compile(rf"(?:urn:[\w.:$%/+-]+:)?{_STEP}(?:\.{_STEP})*", re.ASCII | re.IGNORECASE)
"""A dotted path, with the URN of a schema before it where there is one."""

PLACEHOLDER_NAME = re.compile(r"[a-z_][\w-]*(?:\.[\w-]+)*", re.ASCII | re.IGNORECASE)
"""What stands inside the braces of `${var.x}`."""

RESERVED = frozenset({"and", "or", "not"})
"""Words that no attribute can be called, in any case."""

_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def is_scalar(value: object) -> TypeGuard[Scalar]:
    """Tell whether a JSON value can stand as one literal: no list, no object, no number beyond a double."""
    if isinstance(value, int | float):
        return abs(value) <= float_info.max  # false of NaN
    return value is None or isinstance(value, str)


class Operator(StrEnum):
    """The comparisons of RFC 7644, section 3.4.2.2, table 3."""

    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    EW = "ew"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


@dataclass(frozen=True, slots=True)
class Attribute:
    """
    The name of an attribute, in the case in which it was written.

    Whether two spellings mean one attribute is known to its descriptor, not to the tree. Inside a value path
    the name is relative to that of the path.

    Raises:
        ValueError: the grammar has no such name.
    """

    name: str
    span: Span | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not ATTRIBUTE_NAME.fullmatch(self.name) or self.name.lower() in RESERVED:
            raise ValueError(f"{self.name!r} is no attribute name")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """
    A `${bind.x}` that has no value yet.

    Raises:
        ValueError: a placeholder cannot have that name.
    """

    name: str
    span: Span | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not PLACEHOLDER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a placeholder")


@dataclass(frozen=True, slots=True, repr=False)
class Literal:
    """
    A value, and the placeholder that it came from.

    `kind` is the type of the value; as part of the equality it keeps `true`, `1` and `1.0` apart, which are
    equal in Python. Two surrogates that make a pair become the character that they stand for.

    Raises:
        ValueError: the value is no scalar of JSON, or it is sensitive and has no name to be printed as.
    """

    value: Scalar
    placeholder: str | None = field(default=None, compare=False)
    sensitive: bool = False
    span: Span | None = field(default=None, compare=False)
    kind: type = field(init=False)

    def __post_init__(self) -> None:
        if not is_scalar(self.value):
            raise ValueError("a literal is a finite number, a text, true, false or null")
        _check_origin(self.placeholder, sensitive=self.sensitive)
        if isinstance(self.value, str) and _SURROGATE_PAIR.search(self.value):
            joined = self.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            object.__setattr__(self, "value", joined)
        object.__setattr__(self, "kind", type(self.value))

    def __repr__(self) -> str:
        return f"Literal({f'${{{self.placeholder}}}' if self.sensitive else repr(self.value)})"


@dataclass(frozen=True, slots=True)
class Literals:
    """
    The values of an `in`: a list that was written out, or one that a placeholder stood for.

    Raises:
        ValueError: the list is sensitive and has no name to be printed as.
    """

    items: tuple[Literal | Placeholder, ...]
    placeholder: str | None = field(default=None, compare=False)
    sensitive: bool = False
    span: Span | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_origin(self.placeholder, sensitive=self.sensitive)


@dataclass(frozen=True, slots=True)
class Compare:
    """`attribute operator value`."""

    attribute: Attribute
    operator: Operator
    value: Literal | Placeholder
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Present:
    """`attribute pr`."""

    attribute: Attribute
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class In:
    """`attribute in [value, …]`, which is not in the RFC: true where `eq` is true of one of the values."""

    attribute: Attribute
    values: Literals | Placeholder
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ValuePath:
    """`attribute[filter]`: one and the same element of the attribute satisfies the whole filter."""

    attribute: Attribute
    filter: Filter
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Junction:
    """Two terms or more; terms of the junction's own kind give up their own terms to it."""

    terms: tuple[Filter, ...]
    span: Span | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        nested = (term.terms if type(term) is type(self) else (term,) for term in self.terms)
        flat = tuple(inner for terms in nested for inner in terms)
        if len(flat) < 2:
            raise ValueError("a junction has two terms or more: see all_of and any_of")
        object.__setattr__(self, "terms", flat)


class And(_Junction):
    """`a and b`: every term holds. Raises ValueError for less than two terms."""

    __slots__ = ()


class Or(_Junction):
    """`a or b`: some term holds. Raises ValueError for less than two terms."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Not:
    """`not (term)`."""

    term: Filter
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """What a filter comes down to where nothing is left to ask. No text stands for it."""

    value: bool
    span: Span | None = field(default=None, compare=False, repr=False)


Term: TypeAlias = Compare | Present | In | ValuePath
"""What names an attribute."""

Filter: TypeAlias = Term | And | Or | Not | Constant
"""A whole filter, or any part of one that is true or false of a record."""


def all_of(terms: Iterable[Filter], span: Span | None = None) -> Filter:
    """Return the filter that holds where every term does: of one, itself; of none, true."""
    return _join(And, tuple(terms), span)


def any_of(terms: Iterable[Filter], span: Span | None = None) -> Filter:
    """Return the filter that holds where some term does: of one, itself; of none, false."""
    return _join(Or, tuple(terms), span)


def walk(tree: Filter) -> Iterator[Filter]:
    """Yield the filter and every filter below it, parents first, in the order of the text."""
    yield tree
    match tree:
        case And(terms) | Or(terms):
            for term in terms:
                yield from walk(term)
        case Not(inner) | ValuePath(filter=inner):
            yield from walk(inner)


def terms(tree: Filter, within: str = "") -> Iterator[tuple[str, Term]]:
    """
    Yield every term with its attribute's full name (`resources.type` inside `resources[…]`), in order.

    *within* is the value path that the tree stands in, if it does.
    """
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from terms(part, within)
        case Not(inner):
            yield from terms(inner, within)
        case Constant():
            return
        case _:
            name = full_name(within, tree.attribute)
            yield name, tree
            if isinstance(tree, ValuePath):
                yield from terms(tree.filter, name)


def attributes(tree: Filter) -> frozenset[str]:
    """Return the full names of the attributes that the filter reads."""
    return frozenset(name for name, _ in terms(tree))


def operands(term: Term) -> tuple[Literal | Placeholder, ...]:
    """Return the values that a term compares with, those of a list one by one."""
    match term:
        case Compare(value=value):
            return (value,)
        case In(values=Literals(items)):
            return items
        case In(values=Placeholder() as placeholder):
            return (placeholder,)
        case _:
            return ()


def full_name(within: str, attribute: Attribute) -> str:
    """Return the name of an attribute of the value path *within*, which is empty outside of one."""
    return f"{within}.{attribute.name}" if within else attribute.name


def _join(kind: type[And | Or], terms: tuple[Filter, ...], span: Span | None) -> Filter:
    match terms:
        case ():
            return Constant(kind is And, span)
        case (term,):
            return term
        case _:
            return kind(terms, span)


def _check_origin(placeholder: str | None, *, sensitive: bool) -> None:
    if placeholder is None:
        if sensitive:
            raise ValueError("a sensitive value is printed as its placeholder, and has none")
    elif not PLACEHOLDER_NAME.fullmatch(placeholder):
        raise ValueError(f"{placeholder!r} is no name of a placeholder")
