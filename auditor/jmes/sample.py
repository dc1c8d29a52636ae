"""One full value of a JSON Schema: what an expression is run on before there is a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auditor.model.document import JSONSchema
from auditor.model.value import JSON

_NO_VALUES: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})
_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "date": "2026-11-21",
        "date-time": "2026-11-21T09:00:00.000Z",
        "email": "someone@example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
)


def sample(
    schema: JSONSchema, known_values: Mapping[str, frozenset[str]] = _NO_VALUES, *, path: str = ""
) -> JSON:
    """
    Return a full value that a JSON Schema describes: every property, at least one element in every list.

    Equal schemas give equal samples. The value is `const`, `default`, or the first of `examples`, `enum` and
    *known_values* (by dotted path as for `type_of`), whichever there is; else a value of the first `type`
    within its bounds. A text beside a `pattern` needs `examples` to be right; without `type` the sample is an object
    where there are `properties`, and else null.
    """
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    for given in ("examples", "enum"):
        if schema.get(given):
            return schema[given][0]
    names = schema.get("type", "object" if "properties" in schema else "null")
    name = names if isinstance(names, str) else next((n for n in names if n != "null"), "null")
    match name:
        case "boolean":
            return True
        case "integer" | "number":
            return _number(schema, whole=name == "integer")
        case "string":
            return min(known_values[path]) if known_values.get(path) else _text(schema)
        case "array":
            items = schema.get("items", {})
            element = sample(items if isinstance(items, dict) else {}, known_values, path=path)
            return [element] * max(1, schema.get("minItems", 0))
        case "object":
            return {
                child: sample(inner, known_values, path=f"{path}.{child}" if path else child)
                for child, inner in schema.get("properties", {}).items()
            }
        case _:
            return None


def _number(schema: JSONSchema, *, whole: bool) -> float:
    """Return a number within the bounds: 1 or the next above it in steps of `multipleOf`, else the highest."""
    low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step: float | None = schema.get("multipleOf", 1 if whole else None)
    if step is None:
        middle = (low + high) / 2
        return 1 if low < 1 < high else middle if math.isfinite(middle) else low + 1 if low >= 1 else high - 1
    number = math.ceil(max(1, low) / step) * step
    if number == schema.get("exclusiveMinimum"):
        number += step
    if number > high or number == schema.get("exclusiveMaximum"):
        number = math.floor(high / step) * step
        number -= step if number == schema.get("exclusiveMaximum") else 0
    return number


def _text(schema: JSONSchema) -> str:
    text = _FORMATS.get(schema.get("format", ""), "text")
    fewest: int = schema.get("minLength", 0)
    most: int | None = schema.get("maxLength")
    return text.ljust(fewest, "x")[:most]
