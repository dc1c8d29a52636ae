"""Long windows in pieces that are read side by side."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Final

from auditor.model.instant import Window
from auditor.model.resource import ResourceKind

WORTH: Final = 8
"""A window is cut where so many times what has been read seems to be left: that repays reading it again."""

DEEPEST: Final = 3
"""How often a piece is cut again. Fourteen days give pieces of forty minutes; a burst is read page by page."""

STEPS: Final = 10
"""Steps of the event loop from an answer to the request for what comes behind it: reading, taking apart, writing."""

_MILLISECOND: Final = timedelta(milliseconds=1)  # what a filter can tell apart


@dataclass(slots=True)
class Places:
    """Room for so many walks at once; the first to ask is the first to get in."""

    size: int
    busy: int = 0
    _room: asyncio.Semaphore = field(init=False)
    _looking: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.size)

    async def __aenter__(self) -> None:
        await self._room.acquire()
        self.busy += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.busy -= 1
        self._room.release()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """
        Give the processor to one walk, after whatever only moves bytes.

        To look at a page takes milliseconds. Were all that have come looked at one after the other, answers would wait
        for that, and so would the requests for what comes behind them.
        """
        async with self._looking:
            for _ in range(STEPS):
                await asyncio.sleep(0)
            yield

    def worth(self, requests_per_s: float, latency_s: float) -> int:
        """
        Return into how many pieces one of the walks had better be cut; 1 for leaving it whole.

        More walks than answers take turns of the rate (0: no limit) would only wait for one another.
        """
        useful = math.ceil(requests_per_s * latency_s) if requests_per_s else self.size
        return max(min(useful, self.size) - self.busy + 1, 1)


def can_cut(kind: ResourceKind) -> bool:
    """Tell whether the pieces of a window can be asked for so that none loses or repeats a record."""
    window = kind.window
    if window is None or window.end is None or kind.buckets is not None:
        return False
    return (window.start.operator, window.end.operator) == ("ge", "lt")


def is_dense(window: Window, read: Window, pages: int, page_s: float) -> bool:
    """
    Tell whether much seems to be left of a window, after so many pages.

    *read* spans their records, and the latest page stood for so many seconds. It is a guess that costs
    requests where it is wrong, and never a record: in which order an endpoint answers need not be known.
    """
    return window.length_s - read.length_s >= WORTH * pages * page_s


def cut(window: Window, pieces: int) -> tuple[Window, ...]:
    """Return consecutive pieces of a window, the oldest first; only the window itself where it is too short."""
    step = (window.end - window.start) / pieces // _MILLISECOND * _MILLISECOND
    if not step:
        return (window,)
    starts = [window.start + step * number for number in range(pieces)]
    return tuple(Window(start, end) for start, end in zip(starts, [*starts[1:], window.end], strict=True))
