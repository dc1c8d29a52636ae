"""
What an expression means for values of a known type: its own type, and what in it cannot be meant.

Strict, since what is found here is found before any record is read: a value that may be of a wrong type is a
mistake even where it may also be of the right one, and one that may be null is a warning. So where `check`
finds nothing and warns of nothing, no decision on a value of the given type is undecided or a
`jmes.type-error`. (What is of type `ANY` is outside of this promise.) A mistake makes its part `ANY`, so that
it is told once.

Conditions narrow the type of the current value: what stands right of `actors.user &&`, and what comes after
`[?actors.user]`, is checked against records that have a user. Only conditions that always decide do so: a
path, `!`, a comparison with `null`, and `type(path) == '…'`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never
from typing import Literal as OneOf

from auditor.jmes import wording
from auditor.jmes.functions import FUNCTIONS, NullRule, Parameter
from auditor.jmes.kinds import INSTANT, Kind
from auditor.jmes.printer import render
from auditor.jmes.results import result_of
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
    Projection,
    Reference,
    Slice,
    SliceProjection,
    Subexpression,
    ValueProjection,
    children,
    path_of,
    transform,
)
from auditor.jmes.types import (
    ANY,
    BOOLEAN,
    NAMES,
    NOTHING,
    NULL,
    Type,
    element_of,
    falsy,
    field_of,
    is_instant,
    known_texts,
    list_of,
    object_of,
    of_value,
    overlap,
    refined,
    truthy,
    union,
)
from auditor.jmes.wording import Side, shown, shown_value
from auditor.model.diagnostic import Mistake
from auditor.model.source import Span

Result: TypeAlias = OneOf["boolean", "list"]
"""What an expectation needs: `every` and `that` a boolean, `none` and `some` a list."""

MAX_MISTAKES: Final = 100
"""How many mistakes of one expression are told: a list of a thousand misspelt names needs no more."""

_NONE_BOUND: Final[Mapping[str, Type]] = MappingProxyType({})
_CONSTANTS: Final = ("null", "true", "false")
_SEARCHES: Final = ("contains", "starts_with", "ends_with", "matches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """
    What `check` found.

    `type` is the type of the result. `mistakes` are errors and `warnings` are none, each with its span and in
    the order of the text. `node` is the tree to compile: comparisons of instants are marked in it.
    """

    node: Node
    type: Type
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def check(
    node: Node,
    given: Type,
    *,
    result: Result | None = None,
    bound: Mapping[str, Type] = _NONE_BOUND,
    warns_of_missing: bool = True,
) -> Checking:
    """
    Check an expression against the type of the value that it will be evaluated on.

    *result* is what the expression must give, None where anything will do. *bound* holds the types of
    placeholders whose values are not known yet, by name. Without *warns_of_missing* nobody wants to know of
    what may be null: there is no `jmes.maybe-missing`.
    Raises: nothing, for a tree that `parse` made.

    Codes of mistakes: `jmes.unknown-field`, `jmes.unknown-value`, `jmes.impossible-comparison`,
    `jmes.no-order`, `jmes.not-an-instant`, `jmes.wrong-type`, `jmes.not-a-list`, `jmes.not-boolean` and
    `jmes.not-a-list-result`. Codes of warnings: `jmes.maybe-missing` (what may be null here, once for each
    path), `jmes.impossible-comparison` (with `null`, of what is never null), and `jmes.not-boolean` or
    `jmes.not-a-list-result` (where the result may also be null or empty).
    """
    checker = _Checker(bound, warns_of_missing=warns_of_missing)
    found = checker.see(node, _Scope(given, given))
    if result is not None:
        checker.demand(node, found, result)
    return Checking(
        node=transform(node, checker.marked) if checker.has_instants else node,
        type=found,
        mistakes=tuple(sorted(checker.mistakes, key=_start)),
        warnings=tuple(sorted(checker.warnings, key=_start)),
    )


def _start(mistake: Mistake) -> tuple[int, int]:
    return mistake.span or (0, 0)


@dataclass(frozen=True, slots=True)
class _Scope:
    """
    The value that a node is evaluated on.

    `type` is what is known of it here, `base` what was known before a condition narrowed it, and `place` how
    it became the current value.
    """

    type: Type
    base: Type
    place: OneOf["given", "projection", "condition", "reference"] = "given"

    def assuming(self, node: Node, *, truth: bool) -> _Scope:
        return replace(self, type=_assume(self.type, node, truth=truth))


class _Checker:
    """One check. Types are returned, what is wrong is collected; each node is seen once."""

    def __init__(self, bound: Mapping[str, Type], *, warns_of_missing: bool) -> None:
        self.bound = bound
        self.warns_of_missing = warns_of_missing
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self._types: dict[int, Type] = {}
        self._instants: set[int] = set()
        self._sources: dict[int, Node] = {}
        """By what may be null: the part of it that need not be there."""
        self._texts: dict[int, str] = {}
        """By the first field of an operand that is all names: the text that may have been meant."""
        self._warned: dict[tuple[str, int], Type] = {}
        """By text and identity of the type that it is read from: that type, so that it stays the same one."""

    @property
    def has_instants(self) -> bool:
        """Whether any comparison is one of instants."""
        return bool(self._instants)

    def marked(self, node: Node) -> Node:
        """Return a comparison of instants marked as such, any other node as it is."""
        if isinstance(node, Comparison) and id(node) in self._instants:
            return replace(node, instants=True)
        return node

    def demand(self, node: Node, found: Type, result: Result) -> None:
        """Report that the whole expression does not give what it must."""
        boolean = result == "boolean"
        wanted = "boolean" if boolean else "array"
        rest = found.without(wanted)
        if rest.any or rest == NOTHING:
            return
        told = len(self.mistakes)
        if boolean and isinstance(node, And | Or):
            self._condition(node)
        if len(self.mistakes) > told:
            return
        culprit, ending = self._culprit(node, wanted, lambda whole: whole)
        if truthy(rest) != NOTHING or wanted not in found.names:
            self._report(wording.wrong_result(culprit, ending, boolean=boolean))
        else:
            self.warnings.append(wording.sometimes_empty(culprit, ending.without(wanted), boolean=boolean))

    def _culprit(self, node: Node, wanted: str, kept: Callable[[Type], Type]) -> tuple[Node, Type]:
        """
        Return the operand of `&&` or `||` that may be the result and is not what is wanted, and what it is then.

        *kept* narrows a type to the values with which the node is the result of the whole.
        """
        operands = node.operands if isinstance(node, And | Or) else ()
        ends = falsy if isinstance(node, And) else truthy
        for operand in operands:

            def ending(found: Type, *, last: bool = operand is operands[-1]) -> Type:
                return kept(found if last else ends(found))

            if ending(self._types[id(operand)]).without(wanted) != NOTHING:
                return self._culprit(operand, wanted, ending)
        return node, kept(self._types[id(node)])

    def _report(self, mistake: Mistake) -> None:
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append(mistake)

    # --- types

    def see(self, node: Node, scope: _Scope) -> Type:
        """Return the type of a node."""
        found = self._see(node, scope)
        self._types[id(node)] = found
        return found

    def _see(self, node: Node, scope: _Scope) -> Type:
        match node:
            case Current():
                return scope.type
            case Field():
                return self._field(node, scope, None)
            case Literal():
                return of_value(node.value, sensitive=node.sensitive)
            case Placeholder():
                return self.bound.get(node.name, ANY)
            case Index():
                return self._index(node, scope)
            case Slice():
                return self._slice(node, scope)
            case Subexpression(steps=steps) | Pipe(stages=steps):
                return self._chain(node, steps, scope)
            case (
                ListProjection()
                | SliceProjection()
                | ValueProjection()
                | FilterProjection()
                | FlattenProjection()
            ):
                return self._projection(node, scope)
            case Comparison():
                self._comparison(node, scope)
                return BOOLEAN
            case And(operands=operands):
                return self._logic(operands, scope, truth=True)
            case Or(operands=operands):
                return self._logic(operands, scope, truth=False)
            case Not(operand=operand):
                self.see(operand, scope)
                self._condition(operand)
                return BOOLEAN
            case MultiSelectList(items=items):
                found = self._selected(node, items, scope)
                return _unless_null(scope, list_of(union(found), known=dict(enumerate(found))))
            case MultiSelectHash(entries=entries):
                found = self._selected(node, [item for _, item in entries], scope)
                named = {name: item for (name, _), item in zip(entries, found, strict=True)}
                return _unless_null(scope, object_of(named))
            case Call():
                return self._call(node, scope)
            case Reference():
                raise AssertionError("the parser lets references stand only as arguments")
            case _:
                assert_never(node)

    def _chain(self, node: Subexpression | Pipe, steps: tuple[Node, ...], scope: _Scope) -> Type:
        here, found, optional = scope, scope.type, 0
        before: Callable[[], Node] | None = None
        for length, step in enumerate(steps, start=1):
            found = self._field(step, here, before) if isinstance(step, Field) else self.see(step, here)
            if found.null and not _inherits_null(step, here.type):
                optional = length
            if isinstance(step, Current):
                continue
            if isinstance(node, Pipe):
                here = _Scope(found, found)
            else:
                here, before = _Scope(found, found, scope.place), partial(_cut_to, node, length)
        if optional:
            self._sources[id(node)] = self._source(_cut_to(node, optional))
        return found

    def _source(self, node: Node) -> Node:
        return self._sources.get(id(node), node)

    def _field(self, node: Field, scope: _Scope, before: Callable[[], Node] | None) -> Type:
        """Return the type of a field; *before* gives what stands left of its dot, if there is one."""
        given, meant = scope.type, self._texts.get(id(node))
        found = field_of(given, node.name)
        named = given.object is not None and node.name in given.object.fields
        if before is None and node.name in _CONSTANTS and not named and not wording.is_quoted(node):
            self._report(wording.constant_as_field(node))
        elif found is not None:
            return found
        elif given.names <= {"null"}:
            return given
        elif given.object:
            self._report(wording.unknown_field(node, given, before and before(), meant))
        else:
            element = scope.place != "given"
            self._report(wording.no_fields(node, given, before and before(), meant, element=element))
        return ANY

    def _index(self, node: Index, scope: _Scope) -> Type:
        base = self.see(node.left, scope)
        if base.any:
            return ANY
        if base.array is None:
            return self._no_list(node, base, scope)
        found = element_of(base.array, node.index)
        return found if base.names == {"array"} else union((found, NULL))

    def _slice(self, node: Slice, scope: _Scope) -> Type:
        base = self.see(node.left, scope)
        if base.any:
            return ANY
        if base.array is None:
            return self._no_list(node, base, scope)
        found = list_of(base.array.items)
        return found if base.names == {"array"} else union((found, NULL))

    def _no_list(self, node: Index | Slice | Projection, base: Type, scope: _Scope) -> Type:
        """Return null for what is null alone; what is something else and no list is reported."""
        if base.names <= {"null"}:
            return base
        self._report(wording.no_list(node, base, element=scope.place == "projection"))
        return ANY

    def _projection(self, node: Projection, scope: _Scope) -> Type:
        base = self.see(node.left, scope)
        self._sources[id(node)] = self._source(node.left)
        items = self._items(node, base, scope)
        here = _Scope(items, items, "projection")
        if isinstance(node, FilterProjection):
            self.see(node.condition, replace(here, place="condition"))
            self._condition(node.condition)
            here = here.assuming(node.condition, truth=True)
        found = self.see(node.right, here)
        if (base.object if isinstance(node, ValueProjection) else base.array) is None:
            return base if base.names <= {"null"} else ANY
        kept = isinstance(node, ListProjection) and not (found.null or found.any)
        filled = kept and base.array is not None and bool(base.array.known)
        results = list_of(found.without("null"), filled=filled)
        return results if len(base.names) == 1 else union((results, NULL))

    def _items(self, node: Projection, base: Type, scope: _Scope) -> Type:
        """Return the type of what a projection works on one by one."""
        if base.any:
            return ANY
        if isinstance(node, ValueProjection):
            if base.object:
                return union(base.object.every)
            if base.names <= {"null"}:
                return NOTHING
            self._report(wording.no_object(node, base))
            return ANY
        if base.array is None:
            return ANY if self._no_list(node, base, scope).any else NOTHING
        items = base.array.items
        if isinstance(node, FlattenProjection) and items.array:
            return union((items.without("array"), items.array.items))
        return items

    def _logic(self, operands: Sequence[Node], scope: _Scope, *, truth: bool) -> Type:
        """Return the type of the operand that ends `&&` (truth) or `||`, which else is the last."""
        ends, goes_on = (falsy, truthy) if truth else (truthy, falsy)
        results: list[Type] = []
        reached = True
        for operand in operands:
            found = self.see(operand, scope)
            last = operand is operands[-1]
            if isinstance(operand, Literal) and not last:
                self._condition(operand, within="&&" if truth else "||")
            if reached:
                results.append(found if last else ends(found))
            reached = reached and goes_on(found) != NOTHING
            scope = scope.assuming(operand, truth=truth)
        return union(results)

    def _selected(self, node: Node, items: Sequence[Node], scope: _Scope) -> list[Type]:
        """Return the types of what a multi-select selects."""
        inner = replace(scope, type=scope.type.without("null"))
        scalar = inner.type != NOTHING and inner.type.names.isdisjoint({"array", "object"})
        if scalar and any(_reads_field(item) for item in items):
            self._report(wording.nothing_to_select(node, inner.type))
            inner = replace(inner, type=ANY)
        return [self.see(item, inner) for item in items]

    def _condition(self, node: Node, within: str = "") -> None:
        """
        Report what counts as the same for every record; a path never does, since being there decides it.

        *within* is the mark of the conjunction or disjunction that the node is an operand of.
        """
        found = self._types[id(node)]
        match node:
            case And(operands=operands) | Or(operands=operands):
                mark = "&&" if isinstance(node, And) else "||"
                for operand in operands:
                    if operand is operands[-1] or not isinstance(operand, Literal):  # others have been told
                        self._condition(operand, within=mark)
            case Literal() if not found.boolean:
                self._report(wording.not_boolean(node, found, within=within))
            case Call() if found.names and found.names <= {"number", "string"}:
                self._report(wording.not_boolean(node, found))
            case MultiSelectList() | MultiSelectHash() if not (found.null or found.any):
                self._report(wording.not_boolean(node, found))
            case _:
                pass

    # --- comparisons

    def _comparison(self, node: Comparison, scope: _Scope) -> None:
        sides = (node.left, node.right)
        for operand in sides:
            self._remember(operand)
            self.see(operand, scope)
        left, right = self._side(node.left), self._side(node.right)
        ordered = node.operator not in ("==", "!=")
        for operand, other in (sides, sides[::-1]):
            if _says_null(operand):
                if ordered:
                    self._report(wording.no_order(node, left, right))
                elif not self._maybe_null(other):
                    self.warnings.append(wording.never_null(node, other))
                return
        for operand in sides:
            self._operand(operand, scope)
        if NOTHING in (left.type, right.type):
            return
        if self._ordered(node, left, right) if ordered else self._equal(left, right, node.span, node):
            self._instants.add(id(node))

    def _remember(self, operand: Node) -> None:
        """Keep the text of an operand that is nothing but names: it may have been meant as a text."""
        steps = operand.steps if isinstance(operand, Subexpression) else (operand,)
        names = [step.name for step in steps if isinstance(step, Field)]
        if len(names) == len(steps):
            self._texts[id(steps[0])] = ".".join(names)

    def _side(self, node: Node) -> Side:
        found = self._types[id(node)]
        return Side(
            type=found if _says_null(node) else found.without("null"),
            show=partial(shown, node),
            span=node.span,
            literal=isinstance(node, Literal),
            origin=node.placeholder if isinstance(node, Literal) else "",
        )

    def _maybe_null(self, node: Node) -> bool:
        found = self._types[id(node)]
        return found.null or found.any or found == NOTHING

    def _operand(self, node: Node, scope: _Scope) -> None:
        """Warn of an operand that may be null, once for each text and type of the current value."""
        if not self._types[id(node)].null or not self.warns_of_missing:
            return
        key = (render(node), id(scope.base))
        if key not in self._warned:
            self._warned[key] = scope.base
            reference = scope.place == "reference"
            self.warnings.append(wording.maybe_missing(node, self._source(node), reference=reference))

    def _ordered(self, node: Comparison, left: Side, right: Side) -> bool:
        """Report what has no order; return whether the two are instants."""
        known = [side.type for side in (left, right) if not side.type.any]
        if all(found.names == {"number"} for found in known):
            return False
        if all(is_instant(found) for found in known):
            return True
        for side, other in ((left, right), (right, left)):
            if is_instant(other.type) and side.literal and known_texts(side.type):
                self._report(wording.not_an_instant(side, other))
                return False
        self._report(wording.no_order(node, left, right))
        return False

    def _equal(self, left: Side, right: Side, span: Span, node: Comparison | None = None) -> bool:
        """Report what is never equal; return whether the two are instants. Without *node* it is a search."""
        pairs = ((left, right), (right, left))
        for side, other in pairs:
            # A literal that reads as an instant is one only beside an instant of a record.
            if is_instant(other.type) and not known_texts(other.type):
                if is_instant(side.type):
                    return True
                if known_texts(side.type) and side.type.names == {"string"}:
                    self._report(wording.not_an_instant(side, other))
                    return False
        if overlap(left.type, right.type):
            return False
        for side, other in pairs:
            if side.literal and not other.literal and known_texts(side.type) and known_texts(other.type):
                self._report(wording.unknown_value(side, other))
                return False
        self._report(wording.never_equal(left, right, span, node))
        return False

    # --- calls

    def _call(self, node: Call, scope: _Scope) -> Type:
        function = FUNCTIONS[node.name]
        parameters = function.parameters_for(len(node.arguments))
        types: dict[int, Type] = {}
        # What references are evaluated on must be seen before they are.
        for at in sorted(range(len(parameters)), key=lambda at: parameters[at].reference):
            argument, here = node.arguments[at], scope
            if isinstance(argument, Reference):
                argument = argument.expression
                items = _items_of(types[function.column_of])
                here = _Scope(items, items, "reference")
            else:
                self._remember(argument)
            types[at] = self.see(argument, here)
            self._argument(node, parameters[at], argument, here)
        if node.name in _SEARCHES:
            self._search(node, scope)
        return result_of(node, [types[at] for at in range(len(parameters))])

    def _argument(self, call: Call, parameter: Parameter, node: Node, scope: _Scope) -> None:
        """Report an argument that the function refuses, and warn of one that may be null."""
        found, kind = self._types[id(node)], parameter.kind
        if parameter.null is NullRule.UNDECIDED and not _says_null(node):
            self._operand(node, scope)
            found = found.without("null")
        misfit = _misfit(kind, found, uniform=parameter.reference)
        if misfit:
            self._report(wording.wrong_argument(call, parameter, node, misfit))
        elif kind is INSTANT and found.string and not found.string.instant:
            self._report(wording.argument_is_no_instant(call, parameter, node))
        elif kind.elements and found.array and found.array.items.null:
            self.warnings.append(wording.missing_elements(node))

    def _search(self, call: Call, scope: _Scope) -> None:
        """Report a search that never finds anything."""
        where, what = call.arguments
        subject, wanted = self._side(where), self._side(what)
        for element in self._elements(where, subject.type, scope):
            if not (element.literal and wanted.literal):
                self._equal(element, wanted, element.span)
        if not subject.type.string or NOTHING in (subject.type, wanted.type):
            return
        if call.name == "contains" and not wanted.type.any and wanted.type.names != {"string"}:
            self._report(wording.no_part_of_a_text(call, wanted))
        elif wanted.literal and not subject.literal and _finds_nothing(call, subject.type, wanted.type):
            self._report(wording.finds_nothing(call, subject, wanted))

    def _elements(self, node: Node, found: Type, scope: _Scope) -> Iterator[Side]:
        """Yield the elements of a list that is searched: one by one where they are written out."""
        match node:
            case Literal(value=list() as values, sensitive=False):
                for value in values:
                    yield Side(
                        type=of_value(value).without("null"),
                        show=partial(shown_value, value),
                        span=node.span,
                        literal=True,
                        origin=node.placeholder,
                    )
            case MultiSelectList(items=items):
                for item in items:
                    self._operand(item, scope)
                    yield self._side(item)
            case _ if found.array:
                inner = found.array.items.without("null")
                yield Side(type=inner, show=lambda: f"an element of {shown(node)}", span=node.span)
            case _:
                pass


def _unless_null(scope: _Scope, found: Type) -> Type:
    """Return the type of what a multi-select gives: null where the current value is null."""
    if scope.type == NULL:
        return NULL
    return union((found, NULL)) if scope.type.null else found


def _inherits_null(step: Node, given: Type) -> bool:
    """Return whether a step gives null only because it is taken from null."""
    if not isinstance(step, Field) or not given.null:
        return False
    found = field_of(given.without("null"), step.name)
    return found is not None and not found.null


def _cut_to(node: Subexpression | Pipe, length: int) -> Node:
    """Return the first steps or stages of a chain alone."""
    if isinstance(node, Subexpression):
        return node.steps[0] if length == 1 else replace(node, steps=node.steps[:length])
    return node.stages[0] if length == 1 else replace(node, stages=node.stages[:length])


def _says_null(node: Node) -> bool:
    return isinstance(node, Literal) and node.is_null


def _items_of(found: Type) -> Type:
    if found.array:
        return found.array.items
    return NOTHING if found.names <= {"null"} else ANY


def _reads_field(node: Node) -> bool:
    """Return whether a node reads a field of the current value."""
    match node:
        case Field():
            return True
        case Subexpression(steps=(first, *_)) | Pipe(stages=(first, *_)):
            return _reads_field(first)
        case Reference():
            return False
        case _ if isinstance(node, Index | Slice | Projection):
            return _reads_field(node.left)
        case _:
            return any(_reads_field(below) for below in children(node))


def _misfit(kind: Kind, found: Type, *, uniform: bool) -> str:
    """Return what of a type a parameter does not take, in words; an empty text where it takes all of it."""
    if found.any or not kind.types:
        return ""
    if not found.names <= set(kind.types):
        return str(found)
    if uniform and len(found.names) > 1:
        return f"{found}, not always the same"
    if kind.elements and found.array and not found.array.items.any:
        items = found.array.items.without("null")
        if not items.names <= set(kind.elements) or len(items.names) > 1:
            return f"a list of which each element is {items}"
    return ""


def _finds_nothing(call: Call, subject: Type, wanted: Type) -> bool:
    """Return whether a text is searched for in texts that are known, and is found in none."""
    known, texts = known_texts(subject), known_texts(wanted)
    if not known or not texts:
        return False
    function = FUNCTIONS[call.name]
    read = function.parameters[1].kind.accept(*texts)
    return not any(function.run(text, read) for text in known)


def _assume(found: Type, node: Node, *, truth: bool) -> Type:
    """Return the type of those values for which a condition is true, or is not."""
    match node:
        case Not(operand=operand):
            return _assume(found, operand, truth=not truth)
        case And(operands=operands) if truth:
            for operand in operands:
                found = _assume(found, operand, truth=True)
        case Or(operands=operands) if not truth:
            for operand in operands:
                found = _assume(found, operand, truth=False)
        case Comparison(operator="==" | "!=" as operator, left=left, right=right):
            holds = (operator == "==") is truth
            for side, other in ((left, right), (right, left)):
                found = _compared(found, side, other, holds=holds)
        case _ if truth and (path := path_of(node)) is not None:
            return refined(found, path, truthy)
        case _:
            pass
    return found


def _compared(found: Type, side: Node, other: Node, *, holds: bool) -> Type:
    """Return the type of those values for which `side == other` is true, or is not."""
    if _says_null(other) and not holds and (path := path_of(side)) is not None:
        return refined(found, path, lambda there: there)
    match side, other:
        case Call(name="type", arguments=(subject,)), Literal(value=str(name)) if name in NAMES and holds:
            path = path_of(subject)
            if path is not None and name != "null":
                return refined(found, path, lambda there: there.only(name))
    return found
