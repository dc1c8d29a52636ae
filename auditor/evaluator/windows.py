"""Whether records lie in a window, quickly."""

from __future__ import annotations

from typing import Any

from auditor.model.instant import Window, format_instant, parse_instant
from auditor.model.resource import value_at
from auditor.model.timeline import KNOWN


class InWindow:
    """The test of whether the instant at a path of a record lies in a window."""

    def __init__(self, path: str, window: Window) -> None:
        self._path = path
        self._window = window
        self._start, self._end = map(format_instant, (window.start, window.end))
        # Windows may begin at microseconds, which the usual form has not.
        self._is_usual = [parse_instant(text) for text in (self._start, self._end)] == [
            window.start,
            window.end,
        ]

    def holds(self, span: tuple[str, str]) -> bool | None:
        """Tell whether the window holds all instants from one to another, as `span` gives them; None if just some."""
        if not self._is_usual:
            return None
        first, last = span
        if self._start <= first and last < self._end:
            return True
        return False if last < self._start or self._end <= first else None

    def __call__(self, record: Any) -> bool:
        """
        Tell whether a record lies in the window.

        Raises:
            ValueError: what stands at the path is no instant.
        """
        text = str(value_at(record, self._path))
        if self._is_usual and text in KNOWN:
            return self._start <= text < self._end
        inside = parse_instant(text) in self._window
        KNOWN.add(text)
        return inside
