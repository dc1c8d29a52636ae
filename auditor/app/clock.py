"""The one clock; every other part of the program is told what time it is."""

from __future__ import annotations

from datetime import UTC, datetime


def wall_clock() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  # here and nowhere else
