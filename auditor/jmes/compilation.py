"""
From tree to something that evaluates it: closures at first, generated source for what a run asks of each record.

Plain evaluation (`search`) and decisions (`decide`) share their closures. They differ in three places:
comparisons, arguments of functions, and filters, which is where null can hide that a field was not there.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditor.jmes import certain
from auditor.jmes.building import Builder
from auditor.jmes.functions import FUNCTIONS
from auditor.jmes.outcome import EvaluationError, Missing, Undecided, too_deep
from auditor.jmes.semantics import Semantics
from auditor.jmes.source import generate, generate_every
from auditor.jmes.tree import Call, Node, Placeholder, walk
from auditor.model.diagnostic import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from auditor.model.value import JSON


class Expression:
    """
    A compiled expression. It holds no state between evaluations.

    What evaluates it in each of the two ways is made when the first value is.
    """

    def __init__(self, node: Node, as_of: datetime | None = None, *, generated: bool = False) -> None:
        self.node = node
        self.as_of = as_of
        self._generated = generated

    @cached_property
    def search(self) -> Callable[[JSON], JSON]:
        """
        `search(value)`: what plain JMESPath finds in a value, the result of jmespath.py 1.1.

        Raises:
            EvaluationError: where jmespath.py raises an error of any kind.
        """
        return self._evaluation(decides=False)

    @cached_property
    def decide(self) -> Callable[[JSON, Missing], JSON | Undecided]:
        """
        `decide(value, missing)`: the same, but `Undecided` where the result rests on something that was null.

        The rules are those of the package's documentation. Elements that an outermost filter could not decide
        are added to *missing*. Where the result is decided and nothing was added, it is that of `search`, or,
        where `x` decided `undecided && x` or `undecided || x`, another value that counts as the same truth.
        Sums and means are exact and rounded once, where jmespath.py adds floats one by one.

        Raises:
            EvaluationError: where `search` does, or could if null were there; and where values that have no
                order are ordered, or a number is not finite. In a comparison that `check` has marked as one of
                instants, where a side is none.
        """
        return self._evaluation(decides=True)

    def _evaluation(self, *, decides: bool) -> Callable[..., Any]:
        semantics = Semantics(self.as_of, decides=decides)
        if self._generated:
            return generate(self.node, semantics)
        run = Builder(semantics).build(self.node)

        def evaluate(value: JSON, missing: Missing | None = None) -> Any:
            try:
                return run(value, missing)
            except RecursionError:
                raise too_deep() from None

        return evaluate


def compile(  # noqa: A001  # as `re.compile`
    node: Node, *, as_of: datetime | None = None, generated: bool = False
) -> Expression:
    """
    Compile an expression; *as_of* is the instant of the audit (aware), for `age_days`.

    With *generated* it becomes a Python function: a fraction of a millisecond at first, and then several times
    as fast, which is worth it from some thousand values on. The results are the same.

    Raises:
        Mistake: `jmes.unresolved-placeholder` or `jmes.no-clock`.
    """
    ensure_ready(node, as_of)
    return Expression(node, as_of, generated=generated)


def every(expressions: Sequence[Expression]) -> Callable[[JSON, Missing], list[tuple[int, Any]] | None]:
    """
    Return one function for several expressions that should be true of a value, all compiled for one instant.

    It gives the number of each that is not, with what `decide` gives; None if all are true. Where many expressions
    read the same fields, it is much faster than one after the other.

    Raises (when the function is called):
        EvaluationError: one of them does; `each_by_itself` says what comes of the others.
    """
    semantics = Semantics(expressions[0].as_of, decides=True)
    return generate_every([each.node for each in expressions], semantics)


def left_open(expressions: Sequence[Expression], shape: certain.Shape) -> Callable[[Any], list[int] | None]:
    """
    Return one function that tells which of several expressions are not certainly true of a value of a shape.

    It gives their numbers, None if all are; what `decide` says of the others can be anything, true as well. It raises
    nothing. Much of what `every` does for any value it has no need to.
    """
    return certain.left_open([each.node for each in expressions], shape)


def each_by_itself(expressions: Sequence[Expression], value: JSON) -> list[tuple[int, Any]]:
    """Return what the function that `every` makes gives, with the errors in their places."""
    results = enumerate(_result(each, value) for each in expressions)
    return [(number, result) for number, result in results if result is not True]


def _result(expression: Expression, value: JSON) -> JSON | Undecided | EvaluationError:
    try:
        return expression.decide(value, Missing(select=False))
    except EvaluationError as error:
        return error


def ensure_ready(node: Node, as_of: datetime | None) -> None:
    """
    Make sure that an expression can be evaluated: each value is known, and the clock where one is read.

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
