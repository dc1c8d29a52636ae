"""
What the parts of an expression mean beyond their shape: nulls, comparisons, and what functions take and give.

Closures, generated source and streams are three ways to evaluate one dialect. This is what they share.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.jmes.functions import FUNCTIONS, Function, NullRule
from auditor.jmes.kinds import INSTANT, Refused, is_plain
from auditor.jmes.outcome import EvaluationError, Operand, Undecided
from auditor.jmes.printer import render
from auditor.jmes.tree import Call, Comparison, Literal, Node, Reference
from auditor.jmes.value import a_type, equal
from auditor.model.value import JSON

if TYPE_CHECKING:
    from datetime import datetime

    from auditor.jmes.closures import Failure

EQUALITY: Final[dict[str, Callable[[Any, Any], bool]]] = {"==": operator.eq, "!=": operator.ne}
ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBERS: Final = (int, float)
_ORDERED: Final = (int, float, str)
_SUMMARIES: Final = {
    "jmes.type-error": "an argument is of the wrong type",
    "jmes.bad-value": "an argument cannot be read",
    "jmes.too-large": "a result is too large",
}
_TOO_LARGE: Final = Refused("the result is too large a number", code="jmes.too-large")


def pending_in(results: Any) -> Undecided | None:
    """Return all that is undecided among some results, as one."""
    pending: Undecided | None = None
    for result in results:
        if type(result) is Undecided:
            pending = joined(pending, result)
    return pending


def joined(pending: Undecided | None, found: Undecided) -> Undecided:
    """Return what was undecided before together with what was found now."""
    return found if pending is None else pending | found


class Argument(NamedTuple):
    """
    What becomes of the value of one argument.

    `accept` makes of it what the function works with, or what is undecided, or raises `EvaluationError`; a
    value of a type in `accepted` stays as it is without being asked.
    """

    accepted: frozenset[type]
    accept: Callable[[Any], Any]


class Semantics:
    """The meaning of parts in one of the two ways to evaluate: with decisions, or as plain JMESPath."""

    def __init__(self, as_of: datetime | None, *, decides: bool) -> None:
        self.as_of = as_of
        self.decides = decides

    def null(self, node: Node) -> Undecided | None:
        """Return what it means that a node gives null; None where null is a value like any other."""
        if not self.decides or _says_null(node):
            return None
        return Undecided((Operand(render(node), node.span),))

    def nulls(self, node: Comparison) -> tuple[Undecided | None, Undecided | None]:
        """Return what null means on the left and on the right of a comparison."""
        if _says_null(node.left) or _says_null(node.right):
            return None, None
        return self.null(node.left), self.null(node.right)

    def test(self, node: Comparison) -> Callable[[JSON, JSON], bool | None]:
        """Return what compares two values."""
        if node.instants:
            return self._instants(node)
        sides = (node.left, node.right)
        if node.operator in EQUALITY:
            # A text is equal only to the same text, so Python's own comparison is right, and fastest.
            if any(isinstance(side, Literal) and isinstance(side.value, str) for side in sides):
                return EQUALITY[node.operator]
            return equal if node.operator == "==" else lambda a, b: not equal(a, b)
        test, decides = ORDER[node.operator], self.decides

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
        plain = self.test(replace(node, instants=False))
        test = {**EQUALITY, **ORDER}[node.operator]
        left, right = partial(_read_instant, node.left), partial(_read_instant, node.right)

        def compared(a: JSON, b: JSON) -> bool | None:
            # Null gets here only in `search`, which knows nothing of what is undecided.
            return plain(a, b) if a is None or b is None else test(left(a), right(b))

        return compared

    def argument(self, call: Call, position: int) -> Argument:
        """Return what becomes of the value of an argument that is no expression reference."""
        node, parameter = call.arguments[position], parameters_of(call)[position]
        kind = parameter.kind
        null = self.null(node) if parameter.null is NullRule.UNDECIDED else None
        plain = kind.accepted if null is None else kind.accepted - {type(None)}
        if kind.read or kind.elements:
            plain = frozenset()

        def accept(result: Any) -> Any:
            if type(result) is Undecided:
                return result
            if result is None and null is not None:
                return null
            try:
                return kind.accept(result)
            except Refused as refused:
                raise _failure(call, refused, position) from None

        return Argument(plain | {Undecided}, accept)

    def column(self, call: Call, position: int, reference: Reference) -> Callable[[list[Any]], Any]:
        """Return what makes of the results of an expression reference what the function works with."""
        parameter = parameters_of(call)[position]
        null = self.null(reference.expression) if parameter.null is NullRule.UNDECIDED else None

        plain = parameter.kind.accepted if null is None else parameter.kind.accepted - {type(None)}

        def accept(results: list[Any]) -> Any:
            if not parameter.kind.read and is_plain(results, plain):
                return results
            if null is not None:
                results = [null if result is None else result for result in results]
            pending = pending_in(results)
            if pending is not None:
                return pending
            try:
                return parameter.kind.accept_column(results)
            except Refused as refused:
                raise _failure(call, refused, position) from None

        return accept

    def runner(self, function: Function) -> Callable[..., JSON]:
        """Return what does the work of a function, on arguments that are accepted."""
        run = function.exact if function.exact and self.decides else function.run
        return self.finite(function, partial(run, self.as_of) if function.clock else run)

    def finite(self, function: Function, run: Callable[..., JSON]) -> Callable[..., JSON]:
        """Return what does the work of a function, and in a decision refuses a number that is not finite."""
        if not self.decides or "number" not in function.result:
            return run

        def run_finite(*arguments: Any) -> JSON:
            result = run(*arguments)
            if isinstance(result, float) and not math.isfinite(result):
                raise Refused("the result is no finite number", code="jmes.bad-value")
            return result

        return run_finite


def parameters_of(call: Call) -> Any:
    """Return the parameters of a call's function, one for each of its arguments."""
    return FUNCTIONS[call.name].parameters_for(len(call.arguments))


def failure_of(call: Call, position: int | None = None) -> Failure:
    """Return what makes an error of what a function, or an argument's kind, refused."""
    return partial(_failure, call, position=position)


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
        name = parameters_of(call)[blamed].name
        detail = f"{name} of {call.name} is {render(node)}: {refused.detail}"
    return EvaluationError(
        refused.code, _SUMMARIES[refused.code], detail=detail, help=f"type {function}", span=node.span
    )
