"""How many identities were active and how many signed on: from the log, and before it from the rhythm."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from heapq import merge
from math import exp
from typing import Final

from auditor.simulator import script
from auditor.simulator.log import GeneratedLog, Log
from auditor.simulator.rhythm import Rhythm, to_ms

_GROUPS: Final = 64


@dataclass(frozen=True, slots=True)
class SignOns:
    """Successful and failed sign-ons and password resets of one period."""

    successes: int
    failures: int
    resets: int


@dataclass(frozen=True, slots=True)
class History:
    """What is known of the time before a generated log: its rhythm, and how busy each user is."""

    rhythm: Rhythm
    log: GeneratedLog
    users: int

    def expected(self, actions: frozenset[str], end_ms: int) -> float:
        """Return how many events of these types to expect from the beginning to an instant before the log's."""
        events = self.rhythm.mass(min(end_ms, self.log.start_ms)) / self.log.mass_per_event
        return _share(actions) * events

    def others(self, sign_ons: float, seen: set[int]) -> float:
        """
        Return how many users, beside those seen, are expected among so many sign-ons.

        User u signs on with a probability that falls as the cube root's slope, as in the log; it is taken as
        equal within each of some groups of users. The number rises with `sign_ons`, and falls by at most one
        for each user more in `seen`, so that a longer period never counts fewer identities.
        """
        if not sign_ons:
            return 0
        known = [0] * _GROUPS
        for user in seen:
            known[user * _GROUPS // self.users] += 1
        size = self.users / _GROUPS
        total = 0.0
        for group, seen_here in enumerate(known):
            share = ((group + 1) / _GROUPS) ** (1 / 3) - (group / _GROUPS) ** (1 / 3)
            total += max(size - seen_here, 0) * (1 - exp(-sign_ons * share / size))
        return total


@lru_cache(maxsize=16)
def _share(actions: frozenset[str]) -> float:
    whole = sum(deed.weight for deed in script.DEEDS)
    return sum(deed.weight for deed in script.DEEDS if deed.action in actions) / whole


class Tally:
    """
    Counts of any period, derived from the same events as the log shows.

    A period is half-open, in UTC. Where the log does not reach, numbers come from `history`, and are 0
    without one. Counts of sign-ons add up: a day has as many as its hours. A period never has more active
    identities than a longer one that holds it. Making a tally reads every log once.
    """

    def __init__(self, logs: Iterable[Log], history: History | None = None) -> None:
        self._history = history
        self._active_ms, self._active_users = array("q"), array("q")
        counted = (script.SIGNED_ON, script.SIGN_ON_FAILED, script.PASSWORD_RESET)
        self._times = {action: array("q") for action in counted}
        for ms, action, user in merge(*(log.moments() for log in logs), reverse=True):
            if action in script.ACTIVE and user >= 0:
                self._active_ms.append(ms)
                self._active_users.append(user)
            if action in self._times:
                self._times[action].append(ms)
        for newest_first in (self._active_ms, self._active_users, *self._times.values()):
            newest_first.reverse()

    def last_active(self) -> dict[int, int]:
        """Return when each user of the log was last active, in milliseconds since 1970, by the user's number."""
        return dict(zip(self._active_users, self._active_ms, strict=True))

    def active(self, start: datetime, end: datetime) -> int:
        """Return how many different identities were active in a period."""
        low, high = to_ms(start), to_ms(end)
        part = slice(bisect_left(self._active_ms, low), bisect_left(self._active_ms, high))
        seen = set(self._active_users[part])
        if not self._history:
            return len(seen)
        before = self._history.expected(script.ACTIVE, high) - self._history.expected(script.ACTIVE, low)
        return len(seen) + round(self._history.others(before, seen))

    def sign_ons(self, start: datetime, end: datetime) -> SignOns:
        """Return how many sign-ons and resets there were in a period."""
        low, high = to_ms(start), to_ms(end)

        def count(action: str) -> int:
            times = self._times[action]
            logged = bisect_left(times, high) - bisect_left(times, low)
            if not self._history:
                return logged
            # Whole numbers of a running sum, so that parts add up to their whole.
            expected = [int(self._history.expected(frozenset({action}), ms)) for ms in (low, high)]
            return logged + expected[1] - expected[0]

        return SignOns(count(script.SIGNED_ON), count(script.SIGN_ON_FAILED), count(script.PASSWORD_RESET))
