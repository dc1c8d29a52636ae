"""Windows as instants: what a policy asks for, at the instant as of which the plan is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from auditor import scim
from auditor.model.instant import Duration, Window, ceil_to, edges, floor_to, parse_instant
from auditor.model.query import CompiledQuery, WindowRequest
from auditor.model.resource import ResourceKind

HOT_MARGIN: Final = Duration(seconds=3_600)
"""How far `window: hot` stays away from the old edge: a plan is valid that long, and a run may take as long."""


def bucket_length(query: CompiledQuery, kind: ResourceKind) -> Duration | None:
    """Return how long one bucket of the query's answer is; None where records are no buckets."""
    if kind.buckets is None:
        return None
    period = kind.buckets.period
    return period.length(query.options[period.option])


def resolve(
    query: CompiledQuery, kind: ResourceKind, as_of: datetime, *, settles: bool = True
) -> Window | None:
    """
    Return the window of a query in instants; None where the resource has no windows.

    Records that are given as a file are all there; without *settles*, `hot` goes up to *as_of*.

    Of a resource that answers with buckets it holds whole ones only, none of them beyond *as_of*: an
    unaligned duration counts back from the last edge, any other window loses what is cut at its ends.
    `include_partial` lets a window that reaches *as_of* end there, in the period that is still running.
    Where no whole bucket is left, the window has no length.

    Raises:
        ValueError: a duration leads out of the calendar, or a kind without a hot span is asked for it.
    """
    request = query.window
    if request is None:
        return None
    length = bucket_length(query, kind)
    if length is None:
        return _asked(request, kind, as_of, settles=settles)
    counted_from = floor_to(as_of, length) if request.last and not request.align else as_of
    asked = _asked(request, kind, counted_from, settles=settles)
    # Where the query's start makes the edges, a start that is written out is one already.
    is_edge = kind.buckets is not None and kind.buckets.edges == "query" and request.start is not None
    start = asked.start if is_edge else ceil_to(asked.start, length)
    if query.include_partial and (request.end is None or asked.end >= as_of):
        return Window(start, max(start, as_of))
    limit = min(asked.end, as_of)
    ends = (length.after(edge) for edge in edges(Window(start, limit), length))
    return Window(start, max((end for end in ends if end <= limit), default=start))


def narrowed(window: Window | None, where: scim.Filter, kind: ResourceKind) -> Window | None:
    """
    Return the part of a window in which the records of a filter can lie, in whole milliseconds.

    Read are comparisons of the kind's own instant with a literal that every record has to satisfy. Where nothing
    of the window would be left, it stays as it is.
    """
    instant, rule = kind.instant, kind.window
    if window is None or kind.buckets is not None or instant is None or rule is None or rule.end is None:
        return window
    start, end = window.start, window.end
    for term in where.terms if isinstance(where, scim.And) else (where,):
        if not isinstance(term, scim.Compare) or scim.rules(kind)(term.attribute.name).path != (instant,):
            continue
        if (
            not isinstance(term.value, scim.Literal)
            or term.value.sensitive
            or not isinstance(term.value.value, str)
        ):
            continue
        at = parse_instant(term.value.value)
        if term.operator in (scim.Operator.GE, scim.Operator.GT, scim.Operator.EQ):
            start = max(start, at.replace(microsecond=at.microsecond // 1_000 * 1_000))
        if term.operator in (scim.Operator.LT, scim.Operator.LE, scim.Operator.EQ):
            end = min(
                end, at.replace(microsecond=at.microsecond // 1_000 * 1_000) + timedelta(milliseconds=1)
            )
    return Window(start, end) if start < end else window


def _asked(request: WindowRequest, kind: ResourceKind, as_of: datetime, *, settles: bool) -> Window:
    """Return a window as it was asked for, before buckets cut it."""
    if request.last is not None:
        length = Duration.parse(request.last)
        return _aligned(request, length, as_of) if request.align else Window(length.before(as_of), as_of)
    if request.start is not None and request.end is not None:
        return Window(parse_instant(request.start), parse_instant(request.end))
    if kind.retention is None:
        raise ValueError(f"{kind.kind} has no hot span")
    start = HOT_MARGIN.after(Duration.parse(kind.retention.hot).before(as_of))
    return Window(start, kind.settled(as_of) if settles else as_of)


def _aligned(request: WindowRequest, length: Duration, as_of: datetime) -> Window:
    """
    Return a window of whole hours, days, weeks or months of a time zone, at least as long as its duration.

    Days and longer units are counted by the zone's own calendar, so that 30 days are 30 midnights also where
    the clocks change; hours pass as they do everywhere.
    """
    zone = ZoneInfo(request.timezone)
    end = _floor(as_of.astimezone(zone), request.align)
    if request.align == "hour" and not length.months:
        start = _floor(length.before(end.astimezone(UTC)).astimezone(zone), "hour")
    else:
        start = _floor(length.before(end), request.align)
    return Window(start.astimezone(UTC), end.astimezone(UTC))


def _floor(local: datetime, align: str | None) -> datetime:
    """Return the first moment of the hour, day, ISO week or month of a time zone that an instant lies in."""
    if align == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    # Where clocks go back at midnight a day begins with the first of its two midnights.
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if align == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if align == "month" else day
