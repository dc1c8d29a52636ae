"""Frozen values of the model as JSON text, and back."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from auditor.model.value import JSON, parse_json

T = TypeVar("T")


_ADAPTERS: Final[dict[int, tuple[Any, TypeAdapter[Any]]]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what reads and writes a type, made once; not every type can be the key of a cache."""
    known = _ADAPTERS.get(id(kind))
    if known is None:
        known = _ADAPTERS[id(kind)] = kind, TypeAdapter(kind)
    return known[1]


def dump(kind: Any, value: Any, *, indent: int | None = None) -> bytes:
    """Return a value of a type as JSON in ASCII: a tenant can put lone surrogates into a name."""
    plain = _adapter(kind).dump_python(value, mode="json")
    separators = None if indent else (",", ":")
    return json.dumps(plain, indent=indent, separators=separators).encode()


def load(kind: type[T], text: bytes) -> T:
    """
    Return the value of a type that JSON text holds.

    Raises:
        ValueError: it holds no such value.
    """
    return from_plain(kind, parse_json(text))


def from_plain(kind: type[T], plain: JSON) -> T:
    """
    Return the value of a type that a JSON value is.

    Raises:
        ValueError: it is no such value.
    """
    try:
        found: T = _adapter(kind).validate_python(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{place or 'its root'}: {first['msg']}") from None
    return found
