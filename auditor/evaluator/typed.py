"""Decoding of no more than is needed: types for msgspec, made of an item schema and of what expressions read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec

from auditor.jmes import Need, Shape
from auditor.model.document import JSONSchema
from auditor.model.drift import SILENT

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Integers beyond 64 bits are floats to `parse_json`, and integers to msgspec."""

_INSTANT: Final = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!0000)[0-9]{4}"
        r"-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
        r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?Z\Z"
    ),
]
"""Instants that are surely in the calendar; of any other the schema itself is asked."""

_LEAVES: Final[Mapping[tuple[object, object], tuple[Any, Shape]]] = {
    ("string", None): (str, Shape("text")),
    ("string", "date-time"): (_INSTANT, Shape("text")),
    ("boolean", None): (bool, Shape("boolean")),
    ("integer", None): (_INTEGER, Shape("number")),
    ("number", None): (_INTEGER | float, Shape("number")),
}
"""By type and format."""

_RULES: Final[Mapping[str, AbstractSet[str]]] = {
    "array": frozenset({"items"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
}
"""Keywords that the type of a value keeps; by `format` for all other types."""

_NO_NAME: Final = re.compile(r'[\x00-\x1f"\\]')
"""Characters in the name of a field that msgspec does not take."""


class Attributes(dict[str, str]):
    """The attribute that stands for each field, by the field's name; so no name of a field gets into source text."""

    def __missing__(self, name: str) -> str:
        """Name one more."""
        self[name] = f"f{len(self)}"
        return self[name]


class Decoder:
    """
    Decodes what is needed of values that are as a schema says, of which `is_typed` has to hold.

    Objects become structs with the needed fields alone, everything else what it is to `parse_json`: `shape` tells
    what comes out, and an expression gives on `plain` of it what it gives on the whole.
    """

    def __init__(self, schema: JSONSchema, need: Need, attributes: Attributes) -> None:
        made, self.shape = _typed(schema, need, attributes)
        decoder = msgspec.json.Decoder(made)
        self.decode: Callable[[bytes | msgspec.Raw], Any] = decoder.decode
        """Decode one value; raises one of `UNLIKE` where it is no JSON, or not as the schema says."""
        self._lines: Callable[[bytes], list[Any]] = decoder.decode_lines
        self._array: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list[made]).decode  # type: ignore[valid-type]  # a type at run time

    def decode_all(self, block: bytes) -> list[Any]:
        """Decode the values of a block of NDJSON, or of a JSON array; raises as `decode` does."""
        return self._array(block) if block.startswith(b"[") else self._lines(block)


def plain(value: Any) -> Any:
    """Return what was decoded as plain JSON."""
    return msgspec.to_builtins(value)


def is_typed(schema: JSONSchema, need: Need) -> bool:
    """
    Tell whether a schema says enough about what is needed; not if that is a whole object, or may be anything.

    Nor does it where it has rules that no type keeps, such as `enum`.
    """
    kind = schema.get("type")
    if not isinstance(kind, str) or schema.keys() - SILENT - _RULES.get(kind, {"format"}):
        return False
    if kind == "array":
        return is_typed(schema.get("items", {}), need)
    if kind != "object":
        return (kind, schema.get("format")) in _LEAVES
    if need.whole or not need.fields or any(map(_NO_NAME.search, need.fields)):
        return False
    properties = schema.get("properties", {})
    return all(is_typed(properties.get(name, {}), below) for name, below in need.fields.items())


def _typed(schema: JSONSchema, need: Need, attributes: Attributes) -> tuple[Any, Shape]:
    """Return the type that msgspec decodes a value to, and its shape."""
    if schema["type"] == "array":
        made, shape = _typed(schema["items"], need, attributes)
        return list[made], Shape("list", element=shape)  # type: ignore[valid-type]  # a type at run time
    if schema["type"] != "object":
        return _LEAVES[schema["type"], schema.get("format")]
    required, fields, shapes = schema.get("required", ()), [], {}
    # In the order of the schema, in which they come: so msgspec finds the next one at once.
    for name, properties in schema["properties"].items():
        if name not in need.fields:
            continue
        made, shape = _typed(properties, need.fields[name], attributes)
        # No field can hold null, which would not be as the schema says.
        default = {} if name in required else {"default": None}
        fields.append((attributes[name], made, msgspec.field(name=name, **default)))
        shapes[name] = (attributes[name], replace(shape, optional=name not in required))
    # Nothing that it holds can hold it.
    made = msgspec.defstruct("Needed", fields, kw_only=True, omit_defaults=True, gc=False)
    return made, Shape("object", fields=shapes)
