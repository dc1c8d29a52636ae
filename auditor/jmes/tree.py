"""The tree of an expression: frozen nodes that compare by meaning, never by where they stand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from functools import cache
from operator import is_
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never
from typing import Literal as OneOf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor.model.source import Span
    from auditor.model.value import JSON

Operator: TypeAlias = OneOf["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spanned:
    """What every node has: the half-open range of source characters that it was read from."""

    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Current(_Spanned):
    """`@`, and the value that a leading `[0]` or an ended projection works on."""


@dataclass(frozen=True, slots=True)
class Field(_Spanned):
    """The value of a key of an object, `name` or `"any name"`."""

    name: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Literal(_Spanned):
    """
    A JSON value that stands in the text, or behind a placeholder.

    `placeholder` is the name inside `${…}`, or empty. Equality is that of the JSON text (so 1, 1.0 and true
    are three), and a sensitive value shows in no representation.
    """

    value: JSON
    placeholder: str = ""
    sensitive: bool = False

    def __post_init__(self) -> None:
        if self.sensitive and not self.placeholder:
            raise ValueError("a sensitive literal needs the name of its placeholder")

    @property
    def is_null(self) -> bool:
        """Whether the text says `null` itself; a placeholder whose value happens to be null does not."""
        return self.value is None and not self.placeholder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        shown = "(sensitive)" if self.sensitive else repr(self.value)
        return f"Literal({shown}{f', {self.placeholder!r}' if self.placeholder else ''})"

    def _identity(self) -> tuple[str, str, bool]:
        return json.dumps(self.value), self.placeholder, self.sensitive


@dataclass(frozen=True, slots=True)
class Placeholder(_Spanned):
    """`${bind.x}` whose value is known only when the check runs."""

    name: str


@dataclass(frozen=True, slots=True)
class Index(_Spanned):
    """One element of a list, `left[index]`; negative counts from the end."""

    left: Node
    index: int


@dataclass(frozen=True, slots=True)
class Slice(_Spanned):
    """
    A part of a list, `left[start:stop:step]`, right after an index: `a[0][1:]`.

    Everywhere else a slice is a projection. Here jmespath.py makes none, so nulls stay and what follows works on
    the part as a whole; to project it type `a[0] | [1:]`.
    """

    left: Node
    start: int | None
    stop: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Subexpression(_Spanned):
    """`a.b.c`: each step is evaluated on the result of the one before it. Two steps at least."""

    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListProjection(_Spanned):
    """`left[*]right`: the results of `right` on each element that are not null."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class SliceProjection(_Spanned):
    """`left[start:stop:step]right`: a projection over a part of a list."""

    left: Node
    start: int | None
    stop: int | None
    step: int | None
    right: Node


@dataclass(frozen=True, slots=True)
class ValueProjection(_Spanned):
    """`left.*right`: a projection over the values of an object."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class FilterProjection(_Spanned):
    """`left[?condition]right`: a projection over the elements for which the condition is true."""

    left: Node
    condition: Node
    right: Node


@dataclass(frozen=True, slots=True)
class FlattenProjection(_Spanned):
    """`left[]right`: a projection over a list whose inner lists are opened by one level."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison(_Spanned):
    """
    `left == right` and its five siblings.

    With `instants` both sides are read as instants before they are compared. No text says so: it follows from
    the types of the sides, and `auditor.jmes.check` sets it.
    """

    operator: Operator
    left: Node
    right: Node
    instants: bool = False


@dataclass(frozen=True, slots=True)
class And(_Spanned):
    """`a && b && c`: the first value that is not true, or the last."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or(_Spanned):
    """`a || b || c`: the first value that is true, or the last."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(_Spanned):
    """`!operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class MultiSelectList(_Spanned):
    """`[a, b]`: a list of the results."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MultiSelectHash(_Spanned):
    """`{name: a, other: b}`: an object of the results."""

    entries: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Pipe(_Spanned):
    """`a | b | c`: like steps, but a projection ends before the bar."""

    stages: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(_Spanned):
    """`name(argument, …)`; the name and the number of arguments are those of `auditor.jmes.FUNCTIONS`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Reference(_Spanned):
    """`&expression`: what a function evaluates on each element of a list; only ever an argument."""

    expression: Node


Node: TypeAlias = (
    Current
    | Field
    | Literal
    | Placeholder
    | Index
    | Slice
    | Subexpression
    | ListProjection
    | SliceProjection
    | ValueProjection
    | FilterProjection
    | FlattenProjection
    | Comparison
    | And
    | Or
    | Not
    | MultiSelectList
    | MultiSelectHash
    | Pipe
    | Call
    | Reference
)

Projection: TypeAlias = (
    ListProjection | SliceProjection | ValueProjection | FilterProjection | FlattenProjection
)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below a node, in the order in which they are written."""
    match node:
        case Current() | Field() | Literal() | Placeholder():
            return ()
        case Index(left=left) | Slice(left=left):
            return (left,)
        case Not(operand=below) | Reference(expression=below):
            return (below,)
        case (
            ListProjection(left=left, right=right)
            | SliceProjection(left=left, right=right)
            | ValueProjection(left=left, right=right)
            | FlattenProjection(left=left, right=right)
            | Comparison(left=left, right=right)
        ):
            return (left, right)
        case FilterProjection(left=left, condition=condition, right=right):
            return (left, condition, right)
        case Subexpression(steps=nodes) | Pipe(stages=nodes) | And(operands=nodes) | Or(operands=nodes):
            return nodes
        case MultiSelectList(items=nodes) | Call(arguments=nodes):
            return nodes
        case MultiSelectHash(entries=entries):
            return tuple(value for _, value in entries)
        case _:
            assert_never(node)


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it, each before what is below it, in written order."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(reversed(children(found)))


def path_of(node: Node) -> tuple[str | int, ...] | None:
    """Return the names and indices that lead from the current value to a node's; None where it is no path."""
    match node:
        case Current():
            return ()
        case Field(name=name):
            return (name,)
        case Index(left=left, index=index):
            before = path_of(left)
            return None if before is None else (*before, index)
        case Subexpression(steps=steps) | Pipe(stages=steps):
            paths = [path_of(step) for step in steps]
            return None if None in paths else tuple(name for path in paths if path for name in path)
        case _:
            return None


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """
    Return a tree in which each node is what *change* makes of it, from above: it is given the old nodes.

    What nothing is changed in stays the same tree.
    """

    def below(value: Any) -> Any:
        if isinstance(value, _Spanned):
            return transform(value, change)  # type: ignore[arg-type]  # every spanned class is one of the nodes
        if not isinstance(value, tuple):
            return value
        items = tuple(map(below, value))
        return value if all(map(is_, items, value)) else items

    changed = change(node)
    shape: Any = type(changed)
    old = {name: getattr(changed, name) for name in _parts(shape)}
    new = {name: below(value) for name, value in old.items()}
    different = {name: value for name, value in new.items() if value is not old[name]}
    return replace(changed, **different) if different else changed


@cache
def _parts(shape: type[Any]) -> tuple[str, ...]:
    return tuple(part.name for part in fields(shape) if part.name != "span")
