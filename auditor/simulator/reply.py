"""What an endpoint found, and what is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeAlias

Position: TypeAlias = Mapping[str, Any]
"""Where a walk goes on, as JSON: only the endpoint that made it understands it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of records; `next` and `previous` become links with a cursor, `totals` stand beside the records."""

    items: list[dict[str, Any]]
    next: Position | None = None
    previous: Position | None = None
    totals: Mapping[str, int] = field(default_factory=dict)


class Ending(Enum):
    """How an answer ends."""

    WHOLE = auto()
    RESET = auto()
    """A reset, after half of the body, or before any byte where there is none."""
    CUT = auto()
    """A close after half of the body that `Content-Length` announced."""
    CUT_CHUNKED = auto()
    """A close after half of the body, without the last chunk."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to be sent. `padding` are bytes of white space before the body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: Ending = Ending.WHOLE
    padding: int = 0


def json_body(document: Mapping[str, Any]) -> bytes:
    """Return a document as compact JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
