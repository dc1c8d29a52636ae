"""The one clock; every other part of the program is told what time it is."""

from __future__ import annotations

from datetime import UTC, datetime


def wall_clock() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)  # noqa: TID251  # here and nowhere else


def new_run_id(started: datetime) -> str:
    """
    Return a name for a run that sorts by time and is fit for a folder and for a header of PingOne.

    Every read carries it as `X-Ping-External-Transaction-Id`, at most 100 characters of letters, digits and
    `. _ - / @ = # +` ("External transaction and session IDs").
    """
    from secrets import token_hex  # what is only checked offline does without

    return f"{started:%Y%m%dT%H%M%S}{started.microsecond // 1_000:03}Z-{token_hex(4)}"
