"""Decoding of no more than is needed: types for msgspec, made of an item schema and of what expressions read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Annotated, Any, Final, Required, TypedDict

import msgspec

from auditor.jmes import Need
from auditor.model.document import JSONSchema

_NUMBER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float
"""Integers beyond 64 bits are floats to `parse_json`, and integers to msgspec."""

_LEAVES: Final[Mapping[str, Any]] = {"string": str, "boolean": bool, "integer": _NUMBER, "number": _NUMBER}

_NAMES: Final = count()


class Untyped(Exception):  # noqa: N818  # no error: the way to say that a whole record has to be decoded
    """A schema says too little about what is needed, so that whole records have to be decoded."""


def type_for(schema: JSONSchema, need: Need) -> Any:
    """
    Return the type with which msgspec decodes what is needed of a value that is as its schema says.

    Objects become `dict` with the needed keys alone, everything else what it is to `parse_json`; so an expression
    gives on the value what it gives on the whole. Of a value that is not as the schema says, msgspec raises
    `ValidationError`.

    Raises:
        Untyped: an object or a value of unknown type is needed as a whole.
    """
    kind = schema.get("type")
    if kind == "array":
        return list[type_for(schema.get("items", {}), need)]  # type: ignore[misc]  # a type at run time
    if isinstance(kind, str) and kind in _LEAVES:
        return _LEAVES[kind]
    if need.whole or not need.fields or kind != "object":
        raise Untyped
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    fields = {}
    for name, below in need.fields.items():
        inner = type_for(properties.get(name, {}), below)
        fields[name] = Required[inner] if name in required else inner
    # A name for each: msgspec knows types by their names.
    return TypedDict(f"Needed{next(_NAMES)}", fields, total=False)  # type: ignore[operator]
