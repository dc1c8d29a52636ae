"""Types with which msgspec decodes a part of a document, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypedDict

import msgspec

UNLIKE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises on what is no JSON, or not of the type that is expected."""

SPLIT: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Decodes a JSON array to the bytes of its items; raises one of `UNLIKE`."""

_OBJECT: Final[Any] = TypedDict
"""Makes types while the program runs, of which no type checker knows."""


@cache
def splitter(items: str, beside: tuple[str, ...]) -> Callable[[bytes], Any]:
    """Return what decodes of a page what stands at some paths, and of the list at another one its items as bytes."""
    types = {items: list[msgspec.Raw], **dict.fromkeys(beside, Any)}
    return msgspec.json.Decoder(nested(types)).decode


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
