"""Drawings as numbers: where the bars and lines of the page stand, in a box of 1000 by 100."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from auditor.model.instant import Window
from auditor.model.policy import SEVERITIES, Severity
from auditor.model.verdict import Outcome, Series, Violation

WIDTH: Final = 1000
HEIGHT: Final = 100

_BINS: Final = 60
_STEPS: Final = tuple(
    timedelta(hours=hours) for hours in (1, 3, 6, 12, 24, 7 * 24, 30 * 24, 90 * 24, 365 * 24)
)
_GAP: Final = 0.15
"""Part of a bar's room that is left empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle, and the word that says how it looks."""

    x: float
    y: float
    width: float
    height: float
    look: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A threshold: its height, and what it stands for."""

    y: float
    text: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A span of time with the violations in it, by severity, the gravest first."""

    start: datetime
    counts: tuple[tuple[Severity, int], ...]

    @property
    def total(self) -> int:
        """The violations of all severities."""
        return sum(count for _, count in self.counts)

    def count(self, severity: Severity) -> int:
        """The violations of one severity."""
        return dict(self.counts).get(severity, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Violations over time."""

    bins: tuple[Bin, ...]
    step: timedelta
    bars: tuple[Bar, ...]
    top: int
    shown: int

    @property
    def severities(self) -> tuple[Severity, ...]:
        """The severities that there are, the gravest first."""
        found = {severity for each in self.bins for severity, _ in each.counts}
        return tuple(severity for severity in reversed(SEVERITIES) if severity in found)

    @property
    def unit(self) -> str:
        """How long a bar is: `day`, `3 hours`."""
        hours = round(self.step / timedelta(hours=1))
        if hours == 1:
            return "hour"
        if hours < 24:
            return f"{hours} hours"
        return "day" if hours == 24 else f"{hours // 24} days"


def timeline(found: Sequence[tuple[Severity, Violation]], windows: Iterable[Window]) -> Timeline | None:
    """
    Return violations over the time that was observed; None where none of them has an instant.

    The bars are hours, days or longer, at most sixty of them, and begin at midnight UTC.
    """
    instants = [(severity, violation.at) for severity, violation in found if violation.at]
    if not instants:
        return None
    observed = tuple(windows)
    first = min(*(at for _, at in instants), *(each.start for each in observed), instants[0][1])
    last = max(*(at for _, at in instants), *(each.end for each in observed), instants[0][1])
    start = first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    step = next((step for step in _STEPS if (last - start) / step <= _BINS), (last - start) / _BINS)
    counts: dict[int, Counter[Severity]] = {
        number: Counter() for number in range(int((last - start) / step) + 1)
    }
    for severity, at in instants:
        counts[int((at - start) / step)][severity] += 1
    bins = tuple(
        Bin(
            start=start + number * step,
            counts=tuple((severity, own[severity]) for severity in reversed(SEVERITIES) if own[severity]),
        )
        for number, own in counts.items()
    )
    top = max(each.total for each in bins)
    return Timeline(bins=bins, step=step, bars=tuple(_stacked(bins, top)), top=top, shown=len(instants))


def _stacked(bins: Sequence[Bin], top: int) -> Iterable[Bar]:
    room = WIDTH / len(bins)
    for number, each in enumerate(bins):
        y = float(HEIGHT)
        for severity, count in each.counts:
            height = HEIGHT * count / top
            y -= height
            yield Bar(
                x=round(room * (number + _GAP / 2), 2),
                y=round(y, 2),
                width=round(room * (1 - _GAP), 2),
                height=round(height, 2),
                look=severity,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The numbers of a count over time, with what they are held against."""

    series: Series
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    top: float


def graph(series: Series, outcomes: Iterable[Outcome]) -> Graph:
    """
    Return a series with the thresholds of its field.

    A bar ends where the next one begins; those of violations look `broken`. What is below zero is drawn as zero.
    """
    outcomes = tuple(outcomes)
    limits = [
        (limit, outcome) for outcome in outcomes for limit in outcome.thresholds if limit.path == series.path
    ]
    broken = {violation.at for outcome in outcomes for violation in outcome.violations}
    top = max(*(value for _, value in series.points), *(limit.value for limit, _ in limits), 0) or 1
    starts = [at.timestamp() for at, _ in series.points]
    length = min((after - before for before, after in pairwise(starts) if after > before), default=1.0)
    span = starts[-1] - starts[0] + length
    bars = tuple(
        Bar(
            x=round(WIDTH * (start - starts[0] + length * _GAP / 2) / span, 2),
            y=round(HEIGHT * (1 - max(value, 0) / top), 2),
            width=round(WIDTH * length * (1 - _GAP) / span, 2),
            height=round(HEIGHT * max(value, 0) / top, 2),
            look="broken" if at in broken else "kept",
        )
        for start, (at, value) in zip(starts, series.points, strict=True)
    )
    lines = tuple(
        Line(
            y=round(HEIGHT * (1 - max(limit.value, 0) / top), 2),
            text=f"{outcome.form}: {limit.path} {limit.operator} {number(limit.value)}",
            severity=outcome.severity,
        )
        for limit, outcome in limits
    )
    return Graph(series=series, bars=bars, lines=lines, top=top)


def number(value: float) -> str:
    """Return a number for people: `10,000`, `0.25`."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.15g}"


def coverage(window: Window, read: Iterable[Window], uncovered: Window | None) -> tuple[Bar, ...]:
    """Return a window as a line: what was read of it, and what the endpoint no longer held."""
    length = (window.end - window.start).total_seconds()
    parts = [("read", part) for part in read] + [("uncovered", part) for part in (uncovered,) if part]
    bars = []
    for look, part in parts:
        start, end = max(part.start, window.start), min(part.end, window.end)
        if length > 0 and start < end:
            bars.append(
                Bar(
                    x=round(WIDTH * (start - window.start).total_seconds() / length, 2),
                    y=0,
                    width=round(WIDTH * (end - start).total_seconds() / length, 2),
                    height=HEIGHT,
                    look=look,
                )
            )
    return tuple(bars)
