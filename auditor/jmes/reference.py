"""
Expressions as jmespath.py evaluates them, over whole lists: what anyone can compare the other engine with.

It knows nothing of what is undecided: a comparison with what is not there is false, as in every JMESPath, and texts
have no order. The functions that JMESPath lacks are handed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from auditor.jmes.compilation import Expression
from auditor.jmes.functions import FUNCTIONS, Function
from auditor.jmes.kinds import Refused
from auditor.jmes.outcome import EvaluationError, Missing
from auditor.jmes.printer import reveal
from auditor.jmes.streaming import MAX_ITEMS, Reduced, Stream

if TYPE_CHECKING:
    from datetime import datetime

    from auditor.jmes.tree import Node
    from auditor.model.value import JSON


class ReferenceExpression:
    """An expression with the methods of `Expression`, evaluated by `jmespath.compile(…).search`."""

    def __init__(self, node: Node, as_of: datetime | None = None) -> None:
        import jmespath

        self.node = node
        self.as_of = as_of
        self._compiled = jmespath.compile(reveal(node))
        self._options = jmespath.Options(custom_functions=_functions(as_of))

    def search(self, value: JSON) -> JSON:
        """
        Return what jmespath.py finds in a value.

        Raises:
            EvaluationError: it raised an error; its message, which may hold values, is not told.
        """
        from jmespath.exceptions import JMESPathError

        try:
            return self._compiled.search(value, self._options)
        except (JMESPathError, Refused, TypeError, OverflowError, RecursionError) as error:
            name = type(error).__name__
            raise EvaluationError("jmes.type-error", "jmespath raised an error", detail=name) from None

    def decide(self, value: JSON, missing: Missing) -> JSON:  # noqa: ARG002  # nothing is undecided
        """Return the same."""
        return self.search(value)


class ReferenceStream:
    """An expression on the whole list of records, or an object of several, with the methods of `Stream`."""

    def __init__(
        self, expression: ReferenceExpression, lists: Sequence[str] = (), *, max_items: int = MAX_ITEMS
    ) -> None:
        self._expression = expression
        self._lists = tuple(lists)
        self._max_items = max_items

    def initial(self) -> list[Any]:
        """Return the state of no records."""
        return []

    def step(self, state: list[Any], key: Any, record: JSON, of: str = "") -> None:
        """Take one record, of the list *of* where there are several."""
        if len(state) <= self._max_items:
            state.append((of, key, record))

    def merge(self, state: list[Any], other: list[Any]) -> list[Any]:
        """Return the state of the records of both."""
        return [*state, *other][: self._max_items + 1]

    def finish(self, state: list[Any]) -> Reduced:
        """
        Return what jmespath.py finds in the list, sorted by key.

        Raises:
            EvaluationError: it raised an error, or there are more records than may be kept.
        """
        if len(state) > self._max_items:
            raise EvaluationError(
                "evaluation.too-many", "the list is too long", detail=f"more than {self._max_items:,} records"
            )
        state.sort(key=lambda each: each[1])
        lists = {name: [record for of, _, record in state if of == name] for name in self._lists or ("",)}
        result = self._expression.search(lists if self._lists else lists[""])
        return Reduced(result, keys={id(record): key for _, key, record in state})


AnyExpression: TypeAlias = Expression | ReferenceExpression
AnyStream: TypeAlias = Stream | ReferenceStream


@cache
def _functions(as_of: datetime | None) -> Any:
    """Return the functions that JMESPath lacks, as jmespath.py takes them."""
    from jmespath.functions import Functions, signature

    methods: Mapping[str, Any] = {
        f"_func_{function.name}": signature(*_signature(function))(_method(function, as_of))
        for function in FUNCTIONS.values()
        if not function.standard
    }
    return type("AuditFunctions", (Functions,), dict(methods))()


def _signature(function: Function) -> list[Any]:
    found: list[Any] = [{"types": []} for _ in range(function.fewest)]
    if function.most != function.fewest:
        found[-1]["variadic"] = True
    return found


def _method(function: Function, as_of: datetime | None) -> Callable[..., JSON]:
    """Return a method of jmespath.py's functions that does the work of a function."""
    run = partial(function.run, as_of) if function.clock else function.run

    def method(_: Any, *given: Any) -> JSON:
        arguments = []
        for position, parameter in enumerate(function.parameters_for(len(given))):
            value = given[position]
            if parameter.reference:
                elements = given[function.column_of]
                values = [value.visit(value.expression, element) for element in elements]
                arguments.append(parameter.kind.accept_column(values))
            else:
                arguments.append(parameter.kind.accept(value))
        return run(*arguments)

    return method
