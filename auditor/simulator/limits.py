"""Rate limits: by licence, and within a licence by address and environment."""

from __future__ import annotations

import math
import re
from collections import deque
from typing import Final

from auditor.model.resource import Rate
from auditor.simulator.refusal import request_limited
from auditor.simulator.settings import Settings

_RATE: Final = re.compile(r"(?P<requests>[1-9][0-9]*)/(?P<unit>s|min)")
_SECONDS: Final = {"s": 1.0, "min": 60.0}


class Limiter:
    """
    Admits requests of the groups for which the settings switch a limit on.

    A licence has so many requests in any span of the rate's length, over all of its environments; one
    address has a share of that for each environment, unless it is on the allow list. A refused request does
    not count.

    Raises:
        ValueError: a rate is neither `documented` nor like `10/s` or `600/min`.
    """

    def __init__(self, settings: Settings) -> None:
        self._allow_listed = settings.allow_listed
        self._rates = {group: _rate(text) for group, text in settings.rate_limits.items()}
        self._admitted: dict[tuple[str, ...], deque[float]] = {}

    def admit(self, rate: Rate, environment_id: str, address: str, at_s: float) -> None:
        """
        Count a request, at an instant of any steady clock in seconds.

        Raises:
            Refusal: it is over a limit; `Retry-After` says when the next one will be admitted.
        """
        if rate.group not in self._rates:
            return
        requests, per_s = self._rates[rate.group] or (rate.requests, rate.per_s)
        limits: dict[tuple[str, ...], int] = {(rate.group,): requests}
        if not self._allow_listed:
            limits[rate.group, environment_id, address] = max(1, int(requests * rate.share))
        for key, limit in limits.items():
            times = self._admitted.setdefault(key, deque())
            while times and times[0] <= at_s - per_s:
                times.popleft()
            if len(times) >= limit:
                raise request_limited(max(1, math.ceil(times[0] + per_s - at_s)), limit)
        for key in limits:
            self._admitted[key].append(at_s)


def _rate(text: str) -> tuple[int, float] | None:
    """Return requests and seconds; None for the documented rate."""
    if text == "documented":
        return None
    match = _RATE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no rate: write documented, 10/s or 600/min")
    return int(match["requests"]), _SECONDS[match["unit"]]
