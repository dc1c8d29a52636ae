"""Instants, durations and half-open windows, always in UTC."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Self

_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>mo|min|ms|m|s|h|d|w|y)")
_UNIT_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_UNIT_MONTHS = {"mo": 1, "y": 12}
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)


class CalendarError(ValueError):
    """A window leads to a year before the first or after the last that a date can have."""


@lru_cache(maxsize=65_536)
def parse_instant(text: str) -> datetime:
    """
    Read an instant in ISO 8601, as PingOne writes it, into an aware `datetime` in UTC.

    A text without an offset is UTC; a date alone is its midnight. Digits beyond microseconds are dropped,
    as PingOne's cursors hold nine of them (seed "Read Active Identity Counts").

    Raises:
        ValueError: the text is no instant, or a day that the calendar does not have, such as 2019-02-31.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r:.80} is no ISO 8601 instant such as 2026-11-21T09:00:00Z")
    try:
        parsed = datetime.fromisoformat(text.upper())  # RFC 3339, section 5.6: t and z may be lower-case
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # an offset can lead out of the calendar
        raise ValueError(f"{text!r} is no day or time of the calendar: {error}") from None


def format_instant(instant: datetime) -> str:
    """
    Write an instant as `yyyy-MM-ddTHH:mm:ss.SSSZ`, in UTC with milliseconds and a literal Z.

    Source: seed "Read Audit Activities", read as in the examples of the page.
    """
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: calendar months and seconds, of which one is 0 in every text that is accepted."""

    months: int = 0
    seconds: float = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read `90s`, `15m` (or `15min`), `24h`, `14d`, `2w`, `12mo`, `1y` and sums such as `1h30m`.

        Raises:
            ValueError: the text is no such length, or its length is zero.
        """
        position, months, milliseconds = 0, 0, 0
        for match in _DURATION.finditer(text):
            if match.start() != position:
                break
            position = match.end()
            number, unit = int(match["number"]), match["unit"]
            months += number * _UNIT_MONTHS.get(unit, 0)
            milliseconds += number * _UNIT_MS.get(unit, 0)
        if not text or position != len(text):
            raise ValueError(f"{text!r} is no duration such as 24h, 14d or 12mo")
        if not months and not milliseconds:
            raise ValueError(f"{text!r} is a length of zero")
        if months and milliseconds:
            raise ValueError(f"{text!r} mixes months with a fixed length; write one of the two")
        return cls(months, milliseconds / 1_000)

    def before(self, instant: datetime) -> datetime:
        """
        Return the instant this long before another; months keep the day, or take the month's last.

        Raises:
            ValueError: that is before the year 1.
        """
        return self._shift(instant, -1)

    def after(self, instant: datetime) -> datetime:
        """
        Return the instant this long after another; months as in `before`.

        Raises:
            ValueError: that is after the year 9999.
        """
        return self._shift(instant, 1)

    def _shift(self, instant: datetime, sign: int) -> datetime:
        try:
            if not self.months:
                return instant + timedelta(seconds=sign * self.seconds)
            month = instant.year * 12 + instant.month - 1 + sign * self.months
            year, month = divmod(month, 12)
            day = min(instant.day, monthrange(year, month + 1)[1])
            return instant.replace(year=year, month=month + 1, day=day)
        except (OverflowError, ValueError) as error:
            raise CalendarError(
                f"{self} from {format_instant(instant)} leaves the calendar: {error}"
            ) from None

    def __str__(self) -> str:
        if self.months:
            return f"{self.months}mo"
        milliseconds = round(self.seconds * 1_000)
        unit = next(unit for unit in ("d", "h", "m", "s", "ms") if milliseconds % _UNIT_MS[unit] == 0)
        return f"{milliseconds // _UNIT_MS[unit]}{unit}"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of time, `start <= t < end`, both in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return (self.end - self.start).total_seconds()

    def __str__(self) -> str:
        return f"{format_instant(self.start)} .. {format_instant(self.end)}"


_MONDAY: Final = datetime(1970, 1, 5, tzinfo=UTC)
"""A Monday, so that weeks start on Mondays (ISO 8601)."""


def floor_to(instant: datetime, length: Duration) -> datetime:
    """
    Return the last edge, at or before an instant, of a calendar cut into pieces of one length.

    Months are cut from January of the year 1, everything else from a Monday at midnight UTC, so that hours,
    days and weeks are those of the calendar.
    """
    if length.months:
        month = (instant.year - 1) * 12 + instant.month - 1
        year, index = divmod(month - month % length.months, 12)
        return datetime(year + 1, index + 1, 1, tzinfo=UTC)
    step = timedelta(seconds=length.seconds)
    return instant - (instant - _MONDAY) % step


def ceil_to(instant: datetime, length: Duration) -> datetime:
    """
    Return the first such edge at or after an instant.

    Raises:
        ValueError: that is after the year 9999.
    """
    floor = floor_to(instant, length)
    return floor if floor == instant else length.after(floor)


def edges(window: Window, length: Duration) -> Iterator[datetime]:
    """Yield the start of every piece of one length that begins in a window, counted from its start."""
    edge, number = window.start, 0
    while edge < window.end:
        yield edge
        number += 1
        try:
            edge = Duration(length.months * number, length.seconds * number).after(window.start)
        except ValueError:  # the window reaches to the end of the calendar, and so does its last piece
            return
