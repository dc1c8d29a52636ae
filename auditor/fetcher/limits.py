"""Rate limits: whoever shares a limit waits for one pacer, and listens to what it hears."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from auditor.fetcher.failures import FetchError

MARGIN: Final = 1.02
"""How much more apart requests are sent than the rate asks for: clocks and networks are no metronomes."""

SLOWER: Final = 0.5
"""What a refusal leaves of the rate."""

SLOWEST: Final = 1 / 16
"""Part of the planned rate that no refusal takes away; a tenant that wants less says so by `Retry-After`."""

RECOVERY: Final = 0.02
"""Part of the planned rate that every answer gives back."""


@dataclass(slots=True)
class Bounds:
    """What a run may take at the most: so many requests, and an instant of the loop's clock to end at."""

    max_requests: int | None = None
    max_duration_s: float | None = None
    requests: int = 0
    ends_at: float | None = field(init=False)

    def __post_init__(self) -> None:
        now = asyncio.get_running_loop().time()
        self.ends_at = None if self.max_duration_s is None else now + self.max_duration_s

    def spend(self) -> None:
        """
        Count a request that is about to be sent.

        Raises:
            FetchError: it would be one too many.
        """
        if self.max_requests is not None and self.requests >= self.max_requests:
            raise _stopped(f"after {self.max_requests:,} requests", "--max-requests")
        self.requests += 1

    def is_over(self) -> FetchError:
        """Return the error for what is not complete at the end of the time."""
        return _stopped(f"after {self.max_duration_s:,g} s", "--max-duration")


def _stopped(when: str, option: str) -> FetchError:
    return FetchError(
        "evidence.stopped",
        f"The run was stopped {when}, as {option} says, before everything was read.",
        f"Go on with it: auditor resume. Or run again with a larger {option}, fewer checks or shorter windows.",
    )


@dataclass(slots=True)
class Pacer:
    """
    The turns of one rate group, of whatever environment: they share the limit of a licence.

    `rate` is requests per second, 0 for as many as there are. Where the server refuses one for its rate
    (429), the group slows down by a factor, and with every answer comes back by a little, up to the planned
    rate. While the server asks to wait, the whole group waits.
    """

    rate: float
    _current: float = field(init=False)
    _next: float = field(init=False, default=0)
    _slowed_at: float = field(init=False, default=0)
    _in_turn: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._current = self.rate

    @property
    def current(self) -> float:
        """Requests per second now, 0 for no limit."""
        return self._current

    async def turn(self) -> float:
        """Wait until it is the caller's turn, first come, first served; return when that is, for `slow_down`."""
        time = asyncio.get_running_loop().time
        async with self._in_turn:
            while (wait_s := self._next - time()) > 0:  # noqa: ASYNC110  # a hold may have come meanwhile
                await asyncio.sleep(wait_s)
            now = time()
            if self._current:
                interval = MARGIN / self._current
                # Who wakes up a little late does not set everybody back.
                self._next = max(self._next, now - interval / 20) + interval
            return now

    def slow_down(self, sent_at: float) -> None:
        """
        Take in that a request, sent when its turn was, was refused for its rate.

        Of several that were on their way together, the first says it all.
        """
        if sent_at >= self._slowed_at:
            self._slowed_at = asyncio.get_running_loop().time()
            self._current = max(self._current * SLOWER, self.rate * SLOWEST)

    def speed_up(self) -> None:
        """Take in that a request was answered."""
        self._current = min(self._current + self.rate * RECOVERY, self.rate)

    def hold(self, wait_s: float) -> None:
        """Let nobody have a turn for so many seconds."""
        self._next = max(self._next, asyncio.get_running_loop().time() + wait_s)
