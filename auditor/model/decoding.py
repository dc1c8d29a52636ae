"""Types with which msgspec decodes a part of a document, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import msgspec

UNLIKE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises on what is no JSON, or not of the type that is expected."""

_OBJECT: Final[Any] = TypedDict
"""Makes types while the program runs, of which no type checker knows."""


def nested(types: Mapping[str, Any], *, required: bool = False) -> Any:
    """
    Return the type of a document of which only some dotted paths are decoded, each as a type.

    It is `dict` with the keys that lead there. Where all are *required*, what has one not is of another type.
    """
    below: dict[str, dict[str, Any]] = {}
    for path, each in types.items():
        step, _, rest = path.partition(".")
        below.setdefault(step, {})[rest] = each
    fields = {
        step: rests[""] if "" in rests else nested(rests, required=required) for step, rests in below.items()
    }
    return _OBJECT("Nested", fields, total=required)
