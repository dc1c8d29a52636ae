"""What plain scalars of YAML 1.2 mean: which tag they have, and which value under it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ruamel.yaml.resolver import implicit_resolvers

from auditor.model.value import JSON

TAG: Final = "tag:yaml.org,2002:"
MERGE: Final = f"{TAG}merge"
NULL: Final = f"{TAG}null"


def tag_of(text: str) -> str | None:
    """Return the tag of a scalar without quotes and without a tag of its own; None for a text."""
    for tag, pattern in _patterns().get(text[:1], ()):
        if pattern.match(text):
            return tag
    return None


@cache
def _patterns() -> dict[str, list[tuple[str, Any]]]:
    """Return the library's patterns for YAML 1.2 by first character, in its order."""
    patterns: dict[str, list[tuple[str, Any]]] = {}
    for versions, tag, pattern, characters in implicit_resolvers:
        if (1, 2) in versions:
            for character in characters:
                patterns.setdefault(character, []).append((tag, pattern))
    return patterns


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > 80:  # even in base 2; Python takes quadratic time to read many digits
        raise ValueError("it is too large")
    number = int(digits, {"0b": 2, "0o": 8, "0x": 16}.get(digits.lstrip("+-")[:2].lower(), 10))
    if number.bit_length() > 63:
        raise ValueError("it is too large")
    return number


def _float(text: str) -> float:
    number = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(number):
        raise ValueError("it is not finite")
    return number


READERS: Final[dict[str, Callable[[str], JSON]]] = {
    f"{TAG}str": str,
    f"{TAG}timestamp": str,
    f"{TAG}value": str,
    MERGE: str,
    NULL: lambda text: {"": None, "~": None, "null": None}[text.lower()],
    f"{TAG}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{TAG}int": _integer,
    f"{TAG}float": _float,
}
"""
The readers of scalars by tag.

A KeyError of theirs tells that the text does not go with the tag that stands before it, a ValueError that JSON
has no such number.
"""
