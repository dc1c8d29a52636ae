"""
From tree to closures: each expression is compiled once and then costs no walk over its tree.

Plain evaluation (`search`) and decisions (`decide`) share their closures. They differ in three places:
comparisons, arguments of functions, and filters, which is where null can hide that a field was not there.
"""

from __future__ import annotations

import math
import operator
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, assert_never

from auditor.jmes import closures
from auditor.jmes.functions import FUNCTIONS, Function, NullRule, Parameter
from auditor.jmes.kinds import INSTANT, Refused
from auditor.jmes.outcome import EvaluationError, Operand, Undecided
from auditor.jmes.printer import render
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
    SliceProjection,
    Subexpression,
    ValueProjection,
    walk,
)
from auditor.jmes.value import a_type, equal
from auditor.model.diagnostic import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from auditor.jmes.closures import Column, Run
    from auditor.jmes.outcome import Missing
    from auditor.model.value import JSON

_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITY: Final[dict[str, Callable[[Any, Any], bool]]] = {"==": operator.eq, "!=": operator.ne}
_NUMBERS: Final = (int, float)
_ORDERED: Final = (int, float, str)
_SUMMARIES: Final = {
    "jmes.type-error": "an argument is of the wrong type",
    "jmes.bad-value": "an argument cannot be read",
    "jmes.too-large": "a result is too large",
}
_TOO_LARGE: Final = Refused("the result is too large a number", code="jmes.too-large")


class Expression:
    """
    A compiled expression. It holds no state between evaluations.

    The closures of each of the two ways to evaluate are made when the first value is.
    """

    def __init__(self, node: Node, as_of: datetime | None = None) -> None:
        self.node = node
        self._as_of = as_of

    @cached_property
    def _searching(self) -> Run:
        return _Compiler(self._as_of, decides=False).build(self.node)

    @cached_property
    def _deciding(self) -> Run:
        return _Compiler(self._as_of, decides=True).build(self.node)

    def search(self, value: JSON) -> JSON:
        """
        Return what plain JMESPath finds in a value: the result of jmespath.py 1.1.

        Raises:
            EvaluationError: where jmespath.py raises an error of any kind.
        """
        try:
            return self._searching(value, None)
        except RecursionError:
            raise _too_deep() from None

    def decide(self, value: JSON, missing: Missing) -> JSON | Undecided:
        """
        Return the same, but `Undecided` where the result rests on something that was null.

        The rules are those of the package's documentation. Elements that an outermost filter could not decide
        are added to *missing*. Where the result is decided and nothing was added, it is that of `search`, or,
        where `x` decided `undecided && x` or `undecided || x`, another value that counts as the same truth.

        Raises:
            EvaluationError: where `search` does, or could if null were there; and where values that have no
                order are ordered, or a number is not finite. In a comparison that `check` has marked as one of
                instants, where a side is none.
        """
        try:
            return self._deciding(value, missing)
        except RecursionError:
            raise _too_deep() from None


def compile(node: Node, *, as_of: datetime | None = None) -> Expression:  # noqa: A001  # as `re.compile`
    """
    Compile an expression; *as_of* is the instant of the audit (aware), for `age_days`.

    Raises:
        Mistake: `jmes.unresolved-placeholder` or `jmes.no-clock`.
    """
    for found in walk(node):
        if isinstance(found, Placeholder):
            raise Mistake(
                "jmes.unresolved-placeholder",
                "a value is not known yet",
                detail=f"${{{found.name}}} is bound when the check runs",
                span=found.span,
            )
        if isinstance(found, Call) and FUNCTIONS[found.name].clock and as_of is None:
            raise Mistake(
                "jmes.no-clock",
                "this function needs the instant of the audit, which is not known here",
                detail=f"{found.name}()",
                span=found.span,
            )
    return Expression(node, as_of)


def _too_deep() -> EvaluationError:
    return EvaluationError("jmes.too-large", "the value nests too deep to be evaluated")


class _Compiler:
    """Makes closures for one of the two ways to evaluate."""

    def __init__(self, as_of: datetime | None, *, decides: bool) -> None:
        self._as_of = as_of
        self._decides = decides

    def build(self, node: Node) -> Run:
        match node:
            case Current():
                return lambda value, _: value
            case Field(name=name):
                return closures.field(name)
            case Literal(value=value):
                return closures.constant(value)
            case Index(left=left, index=index):
                return closures.element(self.build(left), index)
            case Subexpression(steps=steps) | Pipe(stages=steps):
                names = [step.name for step in steps if isinstance(step, Field)]
                if len(names) == len(steps):
                    return closures.path(names)
                return closures.chain([self.build(step) for step in steps])
            case ListProjection(left=left, right=right):
                return closures.projection(self.build(left), closures.elements_of, self.build(right))
            case SliceProjection(left=left, right=right):
                part = slice(node.start, node.stop, node.step)
                return closures.projection(
                    self.build(left),
                    lambda base: base[part] if isinstance(base, list) else None,
                    self.build(right),
                )
            case ValueProjection(left=left, right=right):
                return closures.projection(self.build(left), closures.values_of, self.build(right))
            case FlattenProjection(left=left, right=right):
                return closures.projection(self.build(left), closures.flattened, self.build(right))
            case FilterProjection(left=left, condition=condition, right=right):
                return closures.selection(self.build(left), self.build(condition), self.build(right))
            case Comparison():
                return self._comparison(node)
            case And(operands=operands):
                return closures.conjunction([self.build(operand) for operand in operands])
            case Or(operands=operands):
                return closures.disjunction([self.build(operand) for operand in operands])
            case Not(operand=operand):
                return closures.negation(self.build(operand))
            case MultiSelectList(items=items):
                return closures.multi_select([self.build(item) for item in items])
            case MultiSelectHash(entries=entries):
                return closures.multi_select(
                    [self.build(item) for _, item in entries], [name for name, _ in entries]
                )
            case Call():
                return self._call(node)
            case Placeholder() | Reference():
                raise AssertionError("the parser and compile() let no such node through")
            case _:
                assert_never(node)

    def _null(self, node: Node) -> Undecided | None:
        """Return what it means that a node gives null; None where null is a value like any other."""
        if not self._decides or _says_null(node):
            return None
        return Undecided((Operand(render(node), node.span),))

    def _comparison(self, node: Comparison) -> Run:
        decides = not (_says_null(node.left) or _says_null(node.right))
        left, right, test = self.build(node.left), self.build(node.right), self._test(node)
        left_null = self._null(node.left) if decides else None
        if isinstance(node.right, Literal) and node.right.value is not None:
            return closures.comparison_with(left, node.right.value, test, left_null)
        right_null = self._null(node.right) if decides else None
        return closures.comparison(left, right, test, left_null, right_null)

    def _test(self, node: Comparison) -> Callable[[JSON, JSON], bool | None]:
        if node.instants:
            return self._instants(node)
        sides = (node.left, node.right)
        if node.operator in _EQUALITY:
            # A text is equal only to the same text, so Python's own comparison is right, and fastest.
            if any(isinstance(side, Literal) and isinstance(side.value, str) for side in sides):
                return _EQUALITY[node.operator]
            return equal if node.operator == "==" else lambda a, b: not equal(a, b)
        test, decides = _ORDER[node.operator], self._decides

        def ordered(a: JSON, b: JSON) -> bool | None:
            if (type(a) in _NUMBERS and type(b) in _NUMBERS) or (type(a) is str and type(b) is str):
                return test(a, b)
            if decides or (type(a) in _ORDERED and type(b) in _ORDERED):
                found = " and ".join(
                    f"{render(s)} is {a_type(v)}" for s, v in zip(sides, (a, b), strict=True)
                )
                raise EvaluationError(
                    "jmes.type-error",
                    "values of these types have no order",
                    detail=found,
                    help=f"{node.operator} compares numbers with numbers, and texts with texts",
                    span=node.span,
                )
            return None

        return ordered

    def _instants(self, node: Comparison) -> Callable[[JSON, JSON], bool | None]:
        """Return the test of a comparison of instants, whatever their offsets and however many their digits."""
        plain = self._test(replace(node, instants=False))
        test = {**_EQUALITY, **_ORDER}[node.operator]
        left, right = partial(_read_instant, node.left), partial(_read_instant, node.right)

        def compared(a: JSON, b: JSON) -> bool | None:
            # Null gets here only in `search`, which knows nothing of what is undecided.
            return plain(a, b) if a is None or b is None else test(left(a), right(b))

        return compared

    def _call(self, node: Call) -> Run:
        function = FUNCTIONS[node.name]
        arguments: list[Run] = []
        columns: dict[int, Column] = {}
        parameters = function.parameters_for(len(node.arguments))
        for position, (parameter, argument) in enumerate(zip(parameters, node.arguments, strict=True)):
            if isinstance(argument, Reference):
                columns[position] = self._column(node, position, parameter, argument)
                arguments.append(closures.constant(None))
            else:
                arguments.append(self._argument(node, position, parameter, argument))
        run, fail = self._runner(function), partial(_failure, node)
        if parameters[0].null is NullRule.DEFAULT:
            return closures.call_with_default(arguments, run)
        if columns:
            return closures.call_of_many(arguments, columns, function.column_of, run, fail)
        if len(arguments) == 1:
            return closures.call_of_one(arguments[0], run, fail)
        if len(arguments) == 2:
            return closures.call_of_two(arguments[0], arguments[1], run, fail)
        return closures.call_of_many(arguments, {}, 0, run, fail)

    def _runner(self, function: Function) -> Callable[..., JSON]:
        run = partial(function.run, self._as_of) if function.clock else function.run
        if not self._decides or "number" not in function.result:
            return run

        def run_finite(*arguments: Any) -> JSON:
            result = run(*arguments)
            if isinstance(result, float) and not math.isfinite(result):
                raise Refused("the result is no finite number", code="jmes.bad-value")
            return result

        return run_finite

    def _argument(self, call: Call, position: int, parameter: Parameter, node: Node) -> Run:
        """Return what evaluates an argument to what the function takes, or to `Undecided`."""
        kind = parameter.kind
        if isinstance(node, Literal) and kind.read:
            return closures.constant(kind.accept(node.value))  # the parser has made sure that it can be read
        run = self.build(node)
        null = self._null(node) if parameter.null is NullRule.UNDECIDED else None
        plain = kind.accepted if null is None else kind.accepted - {type(None)}
        if kind.read or kind.elements:
            plain = frozenset()

        def argument(value: JSON, missing: Missing | None) -> Any:
            result = run(value, missing)
            if type(result) in plain or type(result) is Undecided:
                return result
            if result is None and null is not None:
                return null
            try:
                return kind.accept(result)
            except Refused as refused:
                raise _failure(call, refused, position) from None

        return argument

    def _column(self, call: Call, position: int, parameter: Parameter, node: Reference) -> Column:
        """Return what evaluates an expression reference on each element of a list."""
        run = self.build(node.expression)
        null = self._null(node.expression) if parameter.null is NullRule.UNDECIDED else None

        def column(items: list[JSON]) -> Any:
            results = [run(item, None) for item in items]
            if null is not None:
                results = [null if result is None else result for result in results]
            pending = closures.pending_in(results)
            if pending is not None:
                return pending
            try:
                return parameter.kind.accept_column(results)
            except Refused as refused:
                raise _failure(call, refused, position) from None

        return column


def _says_null(node: Node) -> bool:
    return isinstance(node, Literal) and node.is_null


def _read_instant(node: Node, value: JSON) -> datetime:
    try:
        instant: datetime = INSTANT.accept(value)
    except Refused as refused:
        raise EvaluationError(
            refused.code,
            "an instant cannot be read",
            detail=f"{render(node)} is compared with an instant: {refused.detail}",
            span=node.span,
        ) from None
    return instant


def _failure(call: Call, error: Exception, position: int | None = None) -> EvaluationError:
    """Return the error that a call, or the argument at a position, met a value that it cannot work with."""
    refused = error if isinstance(error, Refused) else _TOO_LARGE
    function = FUNCTIONS[call.name]
    blamed = refused.position if position is None else position
    if blamed is None:
        node: Node = call
        detail = f"{render(call)}: {refused.detail}"
    else:
        node = call.arguments[blamed]
        name = function.parameters_for(len(call.arguments))[blamed].name
        detail = f"{name} of {call.name} is {render(node)}: {refused.detail}"
    return EvaluationError(
        refused.code, _SUMMARIES[refused.code], detail=detail, help=f"type {function}", span=node.span
    )
