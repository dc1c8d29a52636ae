"""
Violations told without personal data.

Nothing is searched for names. What a report without personal data shows is made from records in which the
personal fields were replaced before, so that no function of an expression can bring one through; what an
expression made itself is followed back to the fields that it can come from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias
from uuid import UUID

from auditor import jmes
from auditor.jmes.tree import (
    And,
    Call,
    Comparison,
    Current,
    Field,
    FilterProjection,
    FlattenProjection,
    Index,
    ListProjection,
    Literal,
    MultiSelectHash,
    MultiSelectList,
    Node,
    Not,
    Or,
    Pipe,
    Placeholder,
    Reference,
    Slice,
    SliceProjection,
    Subexpression,
    ValueProjection,
    children,
    walk,
)
from auditor.model.instant import parse_instant
from auditor.model.resource import ResourceKind, fields
from auditor.model.value import JSON
from auditor.model.verdict import PERSONAL

_ELEMENTS: Final = frozenset({"max", "max_by", "min", "min_by", "reverse", "sort", "sort_by", "unique"})
"""Functions that give elements of their first argument as they are."""

_KEYED: Final = {
    "count_by": frozenset({"key", "count"}),
    "rate_max": frozenset({"key", "count", "from", "to"}),
}
"""Functions that give of their list the keys and counts alone, with the names that they use."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where in the records a value can come from: a dotted path, which walks into lists without a mark.

    With `whole`, it is the very value that stands there; else it was made from that or from something below.
    """

    path: str = ""
    whole: bool = True

    def below(self, name: str) -> Origin:
        """Return the origin of a field of the value."""
        return replace(self, path=f"{self.path}.{name}".removeprefix(".")) if self.whole else self

    def meets(self, path: str) -> bool:
        """Tell whether the value can hold anything of the field at a path."""
        return not self.path or self.path == path or self.is_below(path) or path.startswith(f"{self.path}.")

    def is_below(self, path: str) -> bool:
        """Tell whether it lies below a path."""
        return self.path.startswith(f"{path}.")


RECORD: Final = frozenset({Origin()})
"""The origin of a record, of a list of records, and of what a join sees."""

Origins = frozenset[Origin]


@dataclass(frozen=True, slots=True)
class Personal:
    """What of the records is personal: dotted paths, and the names of bound values made from them (`bind.x`)."""

    paths: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()

    def touches(self, node: Node) -> bool:
        """Tell whether the value of an expression over records can hold anything personal."""
        return self.is_in(origins(node, RECORD, self.bound))

    def is_in(self, found: Origins) -> bool:
        """Tell whether a value of some origins can hold anything personal."""
        return any(origin.meets(path) for origin in found for path in (*self.paths, *self.bound))


def origins(node: Node, given: Origins, bound: Collection[str] = ()) -> Origins:
    """
    Return where the value of an expression can come from, if it is evaluated on a value from *given*.

    Too much is said rather than too little. What is only compared or counted is not told: a truth value and a
    number say whom they are about no more than the verdict does.
    """
    match node:
        case Current():
            return given
        case Field(name=name):
            return frozenset(origin.below(name) for origin in given)
        case Literal(placeholder=name) | Placeholder(name=name):
            return frozenset({Origin(name, whole=False)}) if name in bound else frozenset()
        case Subexpression(steps=steps) | Pipe(stages=steps):
            for step in steps:
                given = origins(step, given, bound)
            return given
        case Index(left=left) | Slice(left=left):
            return origins(left, given, bound)
        case (
            FilterProjection(left=left, right=right)
            | ListProjection(left=left, right=right)
            | SliceProjection(left=left, right=right)
            | FlattenProjection(left=left, right=right)
        ):
            return origins(right, origins(left, given, bound), bound)
        case ValueProjection(left=left, right=right):
            return origins(right, _made(origins(left, given, bound)), bound)
        case And(operands=operands) | Or(operands=operands):
            return _union(origins(operand, given, bound) for operand in operands)
        case Not() | Comparison():
            return frozenset()
        case MultiSelectList() | MultiSelectHash():
            return _made(_union(origins(child, given, bound) for child in children(node)))
        case Call(name=name, arguments=arguments):
            return _of_call(name, arguments, given, bound)
    return _made(given)


def _of_call(name: str, arguments: tuple[Node, ...], given: Origins, bound: Collection[str]) -> Origins:
    if {"boolean", "number", "null"}.issuperset(jmes.FUNCTIONS[name].result):
        return frozenset()
    lists = _union(origins(each, given, bound) for each in arguments if not isinstance(each, Reference))
    if name in _ELEMENTS:
        return lists
    referred = _union(
        origins(each.expression, lists, bound) for each in arguments if isinstance(each, Reference)
    )
    return _made(referred if name in _KEYED else lists | referred)


def _made(found: Origins) -> Origins:
    return frozenset(Origin(origin.path, whole=False) for origin in found)


def _union(parts: Iterable[Origins]) -> Origins:
    return frozenset().union(*parts)


class Redaction:
    """How the items of one expectation are told without what is personal in them."""

    def __init__(
        self, personal: Personal, node: Node | None = None, kinds: Iterable[ResourceKind] = ()
    ) -> None:
        """Take the expression that gives the items, None where they are records, and the kinds of the records."""
        self.personal = personal
        self._node = node
        self._kinds = tuple(kinds)
        found = origins(node, RECORD, personal.bound) if node else RECORD
        self._is_needed = personal.is_in(found)
        self._fields = _fields_of(found, personal.paths)

    def item(self, item: JSON) -> JSON:
        """Return an item without what is personal; the item itself where nothing is."""
        if not self._is_needed:
            return item
        try:
            if self._fields is None:
                return _unnamed(item, self._names())
            return _without(item, self._fields)
        except RecursionError:  # a tenant can nest deeper than Python can follow
            return PERSONAL

    def alters(self, need: jmes.Need) -> bool:
        """Tell whether what needs no more of an item than this may be another without what is personal."""
        if not self._is_needed:
            return False
        return self._fields is None or _meets(need, self._fields)

    def _names(self) -> frozenset[str]:
        """Return the names that keys of an item have from the expression or a schema, and not from a record."""
        found = {path.rpartition(".")[2] for kind in self._kinds for path, _, _ in fields(kind.item)}
        for node in walk(self._node) if self._node else ():
            if isinstance(node, MultiSelectHash):
                found.update(name for name, _ in node.entries)
            elif isinstance(node, Call):
                found |= _KEYED.get(node.name, frozenset())
        return frozenset(found)


_Fields: TypeAlias = Mapping[str, "_Fields | None"]
"""Personal fields by name, with those below; None for one that is personal itself."""


def _fields_of(found: Origins, paths: Collection[str]) -> _Fields | None:
    """Return the personal fields of items that stand in the records as they are; None for any others."""
    match tuple(found):
        case [Origin(whole=True) as origin] if not any(
            origin.path == path or origin.is_below(path) for path in paths
        ):
            prefix = f"{origin.path}." if origin.path else ""
            fields: dict[str, Any] = {}
            # The shorter first: below a field that is personal itself, nothing has to be named.
            for path in sorted(paths):
                if path.startswith(prefix):
                    _add(fields, path.removeprefix(prefix).split("."))
            return fields
    return None


def _add(fields: dict[str, Any], route: list[str]) -> None:
    name, *below = route
    if not below:
        fields[name] = None
    elif fields.setdefault(name, {}) is not None:
        _add(fields[name], below)


def _meets(need: jmes.Need, fields: _Fields) -> bool:
    """Tell whether anything that is needed is personal."""
    return need.whole or any(
        name in need.fields and (below is None or _meets(need.fields[name], below))
        for name, below in fields.items()
    )


def _without(value: JSON, fields: _Fields) -> JSON:
    """Return a value with the `id` beside them for its personal fields; lists are walked into."""
    if type(value) is list:
        return [_without(element, fields) for element in value]
    if type(value) is not dict:
        return value
    told = value.copy()
    for name, below in fields.items():
        inner = value.get(name)
        if inner is not None:
            told[name] = _masked(inner, _mark(value, fields)) if below is None else _without(inner, below)
    return told


def _mark(value: Mapping[str, JSON], fields: _Fields) -> str:
    own = value.get("id")
    return own if isinstance(own, str) and "id" not in fields else PERSONAL


def _masked(value: JSON, mark: str) -> JSON:
    """Return a value with *mark* for everything in it."""
    if type(value) is str:
        return mark
    if isinstance(value, dict):
        return {name: _masked(inner, mark) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(element, mark) for element in value]
    return value if value is None else mark


def _unnamed(value: JSON, names: frozenset[str]) -> JSON:
    """Return what an expression made with every text masked that is neither an identifier nor an instant."""
    if isinstance(value, dict):
        return {
            name if name in names else f"{PERSONAL} {number}": _unnamed(inner, names)
            for number, (name, inner) in enumerate(value.items(), 1)
        }
    if isinstance(value, list):
        return [_unnamed(element, names) for element in value]
    return PERSONAL if isinstance(value, str) and not (_is_uuid(value) or _is_instant(value)) else value


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_instant(text: str) -> bool:
    """Tell whether a text is an instant with a time of day: a date alone can be a birthday."""
    try:
        return "T" in text and bool(parse_instant(text))
    except ValueError:
        return False
