"""Cursors: where a walk over pages goes on, opaque to the client and good for one path only."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from auditor.simulator.refusal import invalid_value
from auditor.simulator.reply import Position


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a walk: its path, the parameters of its first request, and the position of the next page."""

    path: str
    parameters: Mapping[str, str]
    position: Position


class Cursors:
    """
    Writes cursors and reads them back.

    A cursor is base64 of JSON, with padding, like those of the documented samples, and like them it tempts
    clients to build their own: one that was not written here is refused.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def write(self, place: Place) -> str:
        """Return the cursor of a place: the same for the same place."""
        state = asdict(place)
        return b64encode(json.dumps({**state, "check": self._check(state)}, indent=2).encode()).decode()

    def read(self, cursor: str, path: str) -> Place:
        """
        Return the place of a cursor.

        Raises:
            Refusal: the cursor was not written here, or for another path.
        """
        try:
            state: dict[str, Any] = json.loads(b64decode(cursor, validate=True))
            check = state.pop("check")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise invalid_value("cursor", "The cursor can not be read.") from None
        if check != self._check(state) or state["path"] != path:
            raise invalid_value("cursor", "The cursor belongs to another request.")
        return Place(**state)

    def _check(self, state: Mapping[str, Any]) -> str:
        return blake2b(json.dumps(state, sort_keys=True).encode(), key=self._key, digest_size=12).hexdigest()
