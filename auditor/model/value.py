"""JSON values, and the named values that stand behind `${var.x}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import orjson

JSON: TypeAlias = Any
"""A value as `json.loads` gives it: None, bool, int, float, str, list, dict with str keys."""


@dataclass(frozen=True, slots=True)
class Value:
    """
    The value behind a placeholder such as `${var.license_cap}`.

    `origin` says where it came from, for reports ("default", "auditor.vars.yaml", "--var"). A sensitive
    value may be compared with, and is never printed, pushed to a URL or written to any document.
    """

    json: JSON
    sensitive: bool = False
    origin: str = "default"

    def __repr__(self) -> str:
        return f"Value({'(sensitive)' if self.sensitive else repr(self.json)}, origin={self.origin!r})"


Values: TypeAlias = Mapping[str, Value]
"""Values by the name inside the braces: `var.license_cap`, `local.x`, `bind.ids`."""


def parse_json(text: bytes | str) -> JSON:
    r"""
    Read one JSON document (RFC 8259).

    The quick parser refuses lone surrogates (`"\ud800"`), which a tenant can put into a name; the slower one
    reads them. NaN and Infinity are refused.

    Raises:
        ValueError: not JSON, or nested too deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(text, parse_constant=_no_number, parse_int=_integer)
        except RecursionError:
            raise ValueError("nested too deep") from None
        except ValueError:
            raise ValueError(str(error)) from None


def _integer(text: str) -> int | float:
    """Return an integer as the quick parser reads it: a float where it is beyond 64 bits."""
    number = int(text)
    if -(2**63) <= number < 2**64:
        return number
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"{text:.20}… is too large") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
