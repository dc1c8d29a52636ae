"""What JMESPath says of JSON values: their types, when two are equal, and which count as true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.model.value import JSON

TYPES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
"""Python's type of a JSON value to JMESPath's name of it; a boolean is no number."""


def type_name(value: JSON) -> str:
    """Return JMESPath's name of the type of a JSON value."""
    return TYPES[type(value)]


def a_type(value: JSON) -> str:
    """Return the type of a value for a sentence: "a string", "an array", "null"."""
    return with_article(type_name(value))


def with_article(name: str) -> str:
    """Return the name of a type for a sentence."""
    if name == "null":
        return name
    return f"an {name}" if name[0] in "ao" else f"a {name}"


def is_true(value: JSON) -> bool:
    """Return whether a value counts as true: all but `false`, `null`, `""`, `[]` and `{}`; 0 is true."""
    return value is True or bool(value) or type(value) in (int, float)


def equal(left: JSON, right: JSON) -> bool:
    """
    Return whether `left == right`.

    As in jmespath.py, a boolean is never equal to a number, but inside lists and objects 0 equals false and
    1 equals true.
    """
    return bool(left == right) and (type(left) is bool) == (type(right) is bool)
