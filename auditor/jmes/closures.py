"""
The closures that expressions are compiled to, one maker a shape.

Each maker takes compiled parts and gives a `Run`. Anything that evaluates to `Undecided` makes what is built
from it `Undecided`, except where `conjunction` and `disjunction` can do without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from auditor.jmes.kinds import Refused
from auditor.jmes.outcome import EvaluationError, Missing, Undecided
from auditor.jmes.semantics import joined, pending_in
from auditor.jmes.value import is_true
from auditor.model.value import JSON

Run: TypeAlias = Callable[[JSON, Missing | None], Any]
"""
A compiled node: from the current value to its result, which may be `Undecided`.

The second argument takes what outermost filters cannot decide. Conditions of filters and expression
references are run without it, so that filters inside them are undecided as a whole.
"""

Column: TypeAlias = Callable[[list[JSON]], Any]
"""A compiled expression reference: from a list to the results on its elements, or to `Undecided`."""

Failure: TypeAlias = Callable[[Exception], EvaluationError]
"""From what a function raised to the error that says where."""


def constant(result: Any) -> Run:
    """Make what always gives the same."""
    return lambda _value, _missing: result


def field(name: str) -> Run:
    """Make `name`."""
    return lambda value, _: value.get(name) if isinstance(value, dict) else None


def path(names: list[str]) -> Run:
    """Make `a.b.c` of nothing but names, the commonest of all expressions."""

    def run(value: JSON, _: Missing | None) -> Any:
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return run


def chain(parts: list[Run]) -> Run:
    """Make `a.b` and `a | b`: each part works on the result of the one before it."""

    def run(value: JSON, missing: Missing | None) -> Any:
        for part in parts:
            value = part(value, missing)
            if type(value) is Undecided:
                return value
        return value

    return run


def element(left: Run, index: int) -> Run:
    """Make `left[index]`."""

    def run(value: JSON, missing: Missing | None) -> Any:
        base = left(value, missing)
        if not isinstance(base, list):
            return base if type(base) is Undecided else None
        try:
            return base[index]
        except IndexError:
            return None

    return run


def part(left: Run, range_: slice) -> Run:
    """Make `left[start:stop:step]` where it is no projection."""

    def run(value: JSON, missing: Missing | None) -> Any:
        base = left(value, missing)
        if isinstance(base, list):
            return base[range_]
        return base if type(base) is Undecided else None

    return run


def elements_of(base: JSON) -> Iterable[JSON] | None:
    """Return what a list projection works on; None for what is no list."""
    return base if isinstance(base, list) else None


def values_of(base: JSON) -> Iterable[JSON] | None:
    """Return what a value projection works on; None for what is no object."""
    return base.values() if isinstance(base, dict) else None


def flattened(base: JSON) -> Iterable[JSON] | None:
    """Return a list with its inner lists opened by one level; None for what is no list."""
    if not isinstance(base, list):
        return None
    flat: list[JSON] = []
    for item in base:
        if isinstance(item, list):
            flat.extend(item)
        else:
            flat.append(item)
    return flat


def projection(left: Run, items_of: Callable[[JSON], Iterable[JSON] | None], right: Run) -> Run:
    """Make every projection but the filter."""

    def run(value: JSON, missing: Missing | None) -> Any:
        base = left(value, missing)
        items = items_of(base)
        if items is None:
            return base if type(base) is Undecided else None
        results = [right(item, missing) for item in items]
        pending = pending_in(results)
        return [result for result in results if result is not None] if pending is None else pending

    return run


def selection(left: Run, condition: Run, right: Run) -> Run:
    """Make `left[?condition]right`. With a `Missing` it is outermost; without, it is undecided as a whole."""

    def run(value: JSON, missing: Missing | None) -> Any:
        base = left(value, missing)
        if not isinstance(base, list):
            return base if type(base) is Undecided else None
        results: list[JSON] = []
        pending: Undecided | None = None
        for item in base:
            verdict = condition(item, None)
            if type(verdict) is Undecided:
                if missing is None:
                    pending = joined(pending, verdict)
                    continue
                missing.found.append((item, verdict))
                verdict = missing.select
            if not is_true(verdict):
                continue
            result = right(item, missing)
            if type(result) is Undecided:
                pending = joined(pending, result)
            elif result is not None:
                results.append(result)
        return results if pending is None else pending

    return run


def conjunction(operands: list[Run]) -> Run:
    """Make `a && b`: one operand that is false decides, wherever it stands."""

    def run(value: JSON, missing: Missing | None) -> Any:
        pending: Undecided | None = None
        result: Any = None
        for operand in operands:
            result = operand(value, missing)
            if result is True:
                continue
            if type(result) is Undecided:
                pending = joined(pending, result)
            elif not is_true(result):
                return result
        return result if pending is None else pending

    return run


def disjunction(operands: list[Run]) -> Run:
    """Make `a || b`: one operand that is true decides, wherever it stands."""

    def run(value: JSON, missing: Missing | None) -> Any:
        pending: Undecided | None = None
        result: Any = None
        for operand in operands:
            result = operand(value, missing)
            if result is False:
                continue
            if type(result) is Undecided:
                pending = joined(pending, result)
            elif is_true(result):
                return result
        return result if pending is None else pending

    return run


def negation(operand: Run) -> Run:
    """Make `!operand`."""

    def run(value: JSON, missing: Missing | None) -> Any:
        result = operand(value, missing)
        return result if type(result) is Undecided else not is_true(result)

    return run


def multi_select(items: list[Run], names: list[str] | None = None) -> Run:
    """Make `[a, b]`, or with names `{n: a, m: b}`; of null both give null."""

    def run(value: JSON, missing: Missing | None) -> Any:
        if value is None:
            return None
        results = [item(value, missing) for item in items]
        pending = pending_in(results)
        if pending is not None:
            return pending
        return results if names is None else dict(zip(names, results, strict=True))

    return run


def comparison(
    left: Run,
    right: Run,
    test: Callable[[JSON, JSON], Any],
    left_null: Undecided | None,
    right_null: Undecided | None,
) -> Run:
    """Make a comparison; the last two are what null on either side means, None if it is a value."""

    def run(value: JSON, missing: Missing | None) -> Any:
        a, b = left(value, missing), right(value, missing)
        if a is None:
            a = left_null
        if b is None:
            b = right_null
        if type(a) is Undecided:
            return a | b if type(b) is Undecided else a
        return b if type(b) is Undecided else test(a, b)

    return run


def comparison_with(
    left: Run, fixed: JSON, test: Callable[[JSON, JSON], Any], left_null: Undecided | None
) -> Run:
    """Make a comparison with a literal other than null."""

    def run(value: JSON, missing: Missing | None) -> Any:
        a = left(value, missing)
        if a is None and left_null is not None:
            return left_null
        return a if type(a) is Undecided else test(a, fixed)

    return run


def call_with_default(arguments: list[Run], function: Callable[..., Any]) -> Run:
    """Make a call of which the function itself knows what an undecided argument means."""
    return lambda value, missing: function(*[argument(value, missing) for argument in arguments])


def call_of_one(argument: Run, function: Callable[..., Any], fail: Failure) -> Run:
    """Make `function(argument)`."""

    def run(value: JSON, missing: Missing | None) -> Any:
        given = argument(value, missing)
        if type(given) is Undecided:
            return given
        try:
            return function(given)
        except (Refused, OverflowError) as error:
            raise fail(error) from None

    return run


def call_of_two(first: Run, second: Run, function: Callable[..., Any], fail: Failure) -> Run:
    """Make `function(first, second)`."""

    def run(value: JSON, missing: Missing | None) -> Any:
        a, b = first(value, missing), second(value, missing)
        if type(a) is Undecided or type(b) is Undecided:
            return pending_in((a, b))
        try:
            return function(a, b)
        except (Refused, OverflowError) as error:
            raise fail(error) from None

    return run


def call_of_many(
    arguments: list[Run], columns: dict[int, Column], of: int, function: Callable[..., Any], fail: Failure
) -> Run:
    """Make any call; *columns* are its expression references by position, evaluated on the argument *of*."""

    def run(value: JSON, missing: Missing | None) -> Any:
        given = [argument(value, missing) for argument in arguments]
        pending = pending_in(given)
        if pending is None and columns:
            for position, column in columns.items():
                given[position] = column(given[of])
            pending = pending_in(given)
        if pending is not None:
            return pending
        try:
            return function(*given)
        except (Refused, OverflowError) as error:
            raise fail(error) from None

    return run
