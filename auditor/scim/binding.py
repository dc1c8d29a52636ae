"""Values for the placeholders of a filter."""

from __future__ import annotations

from dataclasses import replace

from auditor.model.diagnostic import Mistake
from auditor.model.value import JSON, Values
from auditor.scim.tree import (
    And,
    Compare,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    Or,
    Placeholder,
    ValuePath,
    is_scalar,
)


def bind(tree: Filter, values: Values) -> Filter:
    """
    Return the filter with typed literals in place of those placeholders that have a value.

    The shape of the tree stays: a value is a literal, whatever it holds, and a list (which only `in` takes)
    is the list of that `in`. Placeholders without a value stay.

    Raises:
        Mistake: `scim.placeholder-type`, a list where one value is due, the reverse, or an object.
    """
    match tree:
        case Compare(value=value):
            return replace(tree, value=_one(value, values))
        case In(values=Placeholder() as placeholder):
            return replace(tree, values=_many(placeholder, values))
        case In(values=Literals(items) as listed):
            bound = tuple(_one(item, values) for item in items)
            return replace(tree, values=replace(listed, items=bound))
        case And(terms) | Or(terms):
            return replace(tree, terms=tuple(bind(term, values) for term in terms))
        case Not(term):
            return replace(tree, term=bind(term, values))
        case ValuePath(filter=inner):
            return replace(tree, filter=bind(inner, values))
        case _:
            return tree


def _one(operand: Literal | Placeholder, values: Values) -> Literal | Placeholder:
    if isinstance(operand, Literal) or operand.name not in values:
        return operand
    value = values[operand.name]
    if isinstance(value.json, list):
        raise _mistyped(operand, value.json, f"compare with a list by in: attribute in ${{{operand.name}}}")
    if not is_scalar(value.json):
        raise _mistyped(operand, value.json, "a filter compares with a string, a number, true, false or null")
    return Literal(value.json, operand.name, value.sensitive, operand.span)


def _many(placeholder: Placeholder, values: Values) -> Literals | Placeholder:
    if placeholder.name not in values:
        return placeholder
    value = values[placeholder.name]
    if not isinstance(value.json, list):
        raise _mistyped(placeholder, value.json, f"make a list of it: in [${{{placeholder.name}}}]")
    if not all(map(is_scalar, value.json)):
        raise _mistyped(placeholder, value.json, "the list may hold strings, numbers, true, false and null")
    name, sensitive, span = placeholder.name, value.sensitive, placeholder.span
    items = tuple(Literal(item, name, sensitive, span) for item in value.json)
    return Literals(items, name, sensitive, span)


def _mistyped(placeholder: Placeholder, value: JSON, help: str) -> Mistake:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return Mistake(
        "scim.placeholder-type",
        "placeholder of the wrong type",
        detail=f"${{{placeholder.name}}} is {kinds.get(type(value), 'a number')}",
        help=help,
        span=placeholder.span,
    )
