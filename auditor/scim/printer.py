"""Filters as text."""

from __future__ import annotations

import json
import re

from auditor.scim.tree import (
    And,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    Or,
    Placeholder,
    Present,
    ValuePath,
)

# `json.dumps` leaves these as they are: controls that a terminal obeys, and halves of a character, which no
# encoding can carry.
_UNSAFE = re.compile("[\x7f-\x9f\ud800-\udfff]")


def render(tree: Filter) -> str:
    """
    Write a filter as text that parses to the same filter.

    Shape: one line, keywords in lower case; `and` binds tighter than `or`, and every `or` inside an `and` is
    in parentheses. Values: as in `render_operand`.

    Raises:
        ValueError: a `Constant`, which no text stands for.

    Source: RFC 7644, section 3.4.2.2.
    """
    match tree:
        case Or(terms):
            return " or ".join(map(render, terms))
        case And(terms):
            return " and ".join(
                f"({render(term)})" if isinstance(term, Or) else render(term) for term in terms
            )
        case Not(term):
            return f"not ({render(term)})"
        case Compare(attribute, operator, value):
            return f"{attribute.name} {operator} {render_operand(value)}"
        case Present(attribute):
            return f"{attribute.name} pr"
        case In(attribute, values):
            return f"{attribute.name} in {render_operand(values)}"
        case ValuePath(attribute, inner):
            return f"{attribute.name}[{render(inner)}]"
        case Constant(value):
            raise ValueError(f"no filter text is always {str(value).lower()}")


def render_operand(operand: Literal | Literals | Placeholder) -> str:
    """
    Write what stands to the right of an operator.

    A placeholder without a value and a sensitive value are `${name}`, any other value is JSON. Strings keep
    what is not ASCII; quotes, backslashes, control characters and lone surrogates are escaped, and `${` is
    `$${`.
    """
    match operand:
        case Placeholder(name) | Literal(placeholder=str(name), sensitive=True):
            return f"${{{name}}}"
        case Literals(placeholder=str(name), sensitive=True):
            return f"${{{name}}}"
        case Literals(items):
            return f"[{', '.join(map(render_operand, items))}]"
        case Literal(value=str(text)):
            return quote(text)
        case Literal(value):
            return json.dumps(value)


def quote(text: str) -> str:
    """Write a text as a string of the filter language; see `render_operand`."""
    quoted = json.dumps(text, ensure_ascii=False).replace("${", "$${")
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
