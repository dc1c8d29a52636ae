"""Windows as instants: what a policy asks for, at the instant as of which the plan is made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from auditor.model.instant import Duration, Window, ceil_to, edges, floor_to, parse_instant
from auditor.model.query import CompiledQuery, WindowRequest
from auditor.model.resource import ResourceKind

HOT_MARGIN: Final = Duration(seconds=3600)
"""How far `window: hot` stays away from the old edge: a plan is valid that long, and a run may take as long."""


def bucket_length(query: CompiledQuery, kind: ResourceKind) -> Duration | None:
    """Return how long one bucket of the query's answer is; None where records are no buckets."""
    if kind.buckets is None:
        return None
    period = kind.buckets.period
    return period.length(query.options[period.option])


def resolve(query: CompiledQuery, kind: ResourceKind, as_of: datetime) -> Window | None:
    """
    Return the window of a query in instants; None where the resource has no windows.

    Buckets are counted whole: both ends fall on edges, a duration is counted back from the last edge, and
    `include_partial` adds the period that is still running.
    """
    request = query.window
    if request is None or kind.window is None:
        return None
    length = bucket_length(query, kind)
    if length is not None and kind.buckets is not None:
        anchored = kind.buckets.edges == "query"
        return _whole_buckets(
            request, length, as_of, include_partial=query.include_partial, anchored=anchored
        )
    if request.hot and kind.retention is not None:
        oldest = HOT_MARGIN.after(Duration.parse(kind.retention.hot).before(as_of))
        settled = _before(kind.settling, as_of)
        return Window(oldest, settled)
    return _plain(request, as_of)


def _before(text: str, instant: datetime) -> datetime:
    return instant if text == "0s" else Duration.parse(text).before(instant)


def _plain(request: WindowRequest, as_of: datetime) -> Window:
    if request.last is None:
        return Window(parse_instant(str(request.start)), parse_instant(str(request.end)))
    length = Duration.parse(request.last)
    if request.align is None:
        return Window(length.before(as_of), as_of)
    zone = ZoneInfo(request.timezone)
    local_end = _floor_local(as_of.astimezone(zone), request.align)
    # Counted in local time, so that 30 days are 30 midnights also where the clocks change.
    local_start = _floor_local(length.before(local_end), request.align)
    return Window(local_start.astimezone(as_of.tzinfo), local_end.astimezone(as_of.tzinfo))


def _floor_local(instant: datetime, align: str) -> datetime:
    hour = instant.replace(minute=0, second=0, microsecond=0)
    if align == "hour":
        return hour
    day = hour.replace(hour=0)
    match align:
        case "week":
            return day - _DAY * day.weekday()
        case "month":
            return day.replace(day=1)
    return day


_DAY: Final = timedelta(days=1)


def _whole_buckets(
    request: WindowRequest, length: Duration, as_of: datetime, *, include_partial: bool, anchored: bool
) -> Window:
    plain = _plain(request, as_of)
    if request.last is not None:
        closed_end = floor_to(as_of, length)
        start = ceil_to(Duration.parse(request.last).before(closed_end), length)
    elif anchored:
        start = plain.start
        starts = [edge for edge in edges(plain, length) if length.after(edge) <= min(plain.end, as_of)]
        closed_end = length.after(starts[-1]) if starts else start
    else:
        start = ceil_to(plain.start, length)
        closed_end = floor_to(min(plain.end, as_of), length)
    if include_partial and plain.end >= as_of:
        return Window(start, max(as_of, start))
    return Window(start, max(closed_end, start))
