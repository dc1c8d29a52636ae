"""How much there is to read: counts of earlier answers, or of first pages, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from auditor.model.instant import Window
from auditor.model.plan import Count, PlannedQuery


class Counts:
    """Counts by what was asked; of equal questions the last count is known."""

    def __init__(self, counts: Iterable[Count] = ()) -> None:
        self._known = {(count.environment, count.resource, count.filter): count for count in counts}

    def __bool__(self) -> bool:
        return bool(self._known)

    def requests(self, query: PlannedQuery) -> int | None:
        """Return how many requests a query is likely to take; None where nothing is known of one of its filters."""
        if query.requests_exact or query.page_size is None or query.each is not None:
            return query.requests_at_least if query.requests_exact else None
        expected = 0
        for text in (query.filter, *query.further_filters):
            count = self._known.get((query.environment, query.resource, text))
            if count is None:
                return None
            pages = math.ceil(count.records * _share(query.window, count.window) / query.page_size)
            expected += max(pages, len(query.slices), 1)
        return expected


def _share(window: Window | None, counted: Window | None) -> float:
    """Return how many times as long a window is as the one that was counted."""
    if window is None or counted is None or counted.end <= counted.start:
        return 1
    return (window.end - window.start) / (counted.end - counted.start)
