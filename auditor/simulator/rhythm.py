"""When things happen: two years of working weeks, quiet nights and slow growth, up to one instant."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final

from auditor.model.instant import Duration

HOUR_MS: Final = 3_600_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AGE: Final = Duration(months=24)
_SURGE: Final = Duration(months=5)
# Part of a day's activity by hour, and of a week's by day, both invented.
_DAY: Final = (2, 1, 1, 1, 1, 2, 5, 9, 13, 15, 15, 14, 12, 13, 15, 15, 14, 12, 9, 7, 6, 5, 4, 3)
_WEEK: Final = (1.1, 1.15, 1.1, 1.05, 0.95, 0.35, 0.3)


def to_ms(instant: datetime) -> int:
    """Return the whole milliseconds since 1970 of an aware instant, rounded down."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """Return the instant, in UTC, so many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


class Rhythm:
    """
    How much happens up to an instant, as a number without unit that never falls.

    It begins two years before `now` and ends there. In the calendar month five months before `now` there is
    half as much again as usual, so that a policy about growth has something to find. Instants are
    milliseconds since 1970. Events and counts are both drawn from one rhythm, so that they agree.
    """

    def __init__(self, random: Random, now: datetime) -> None:
        created = _AGE.before(now).replace(minute=0, second=0, microsecond=0)
        surge = _SURGE.before(now)
        self.created_ms = to_ms(created)
        self.now_ms = to_ms(now)
        self.surge_month = f"{surge:%Y-%m}"
        hours = -(-(self.now_ms - self.created_ms) // HOUR_MS)
        moods = [0.85 + 0.3 * random.random() for _ in range(hours // 24 + 1)]

        def weight(hour: int) -> float:
            at = created + timedelta(hours=hour)
            growth = 0.4 + 0.6 * hour / hours
            surged = 1.5 if (at.year, at.month) == (surge.year, surge.month) else 1.0
            return _DAY[at.hour] * _WEEK[at.weekday()] * growth * surged * moods[hour // 24]

        self._mass = [0.0, *accumulate(map(weight, range(hours)))]

    def mass(self, ms: float) -> float:
        """Return how much has happened before an instant: 0 before the beginning, the whole after the end."""
        hour, rest = divmod(min(max(ms, self.created_ms), self.now_ms) - self.created_ms, HOUR_MS)
        before = self._mass[int(hour)]
        if not rest:
            return before
        return before + (self._mass[int(hour) + 1] - before) * rest / HOUR_MS

    def instant(self, mass: float) -> int:
        """Return the instant before which so much has happened: the inverse of `mass`, rounded down."""
        hour = min(bisect_right(self._mass, mass), len(self._mass) - 1) - 1
        before = self._mass[hour]
        rest = (mass - before) / (self._mass[hour + 1] - before)
        return self.created_ms + int((hour + rest) * HOUR_MS)
