"""Windows of policies: the forms that people write, checked before a clock makes instants of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.instant import Duration, ceil_to, format_instant, parse_instant
from auditor.model.policy import Between, Last, Query
from auditor.model.query import WindowRequest
from auditor.model.resource import ResourceKind
from auditor.model.source import Address

LONGEST_YEARS: Final = 100
"""The longest duration that is no slip."""

_YEAR_S: Final = 31_557_600
_UNITS: Final = {
    "hour": Duration(seconds=3_600),
    "day": Duration(seconds=86_400),
    "week": Duration(seconds=604_800),
    "month": Duration(months=1),
}


def compile_window(
    query: Query, kind: ResourceKind, options: Mapping[str, str | int] | None, address: Address
) -> Checked[WindowRequest]:
    """
    Check the window of a query at *address*.

    Result: the request; None where the kind has no windows, or there is a mistake. *options* are those of the
    query, None where they are not known; only with them it can be told how long a period is.
    """
    here = address.at("window")
    if kind.window is None:
        if query.window is None:
            return Checked(None)
        return _bad(f'"{kind.kind}" shows what is there now.', "Remove the window.", here.key())
    if query.window is None:
        hot = "hot, " if kind.retention else ""
        missing = Diagnostic(
            code="policy.window-missing",
            summary="Window missing",
            detail=f'"{kind.kind}" is read for a window of time, and none is given.',
            help=f"Add window: {hot}a duration such as 14d, or {{from: …, to: …}}.",
            address=address.key(),
        )
        return Checked(None, (missing,))
    request = _request(query.window, here)
    if request.value is None:
        return request
    problem = None
    if request.value.hot and kind.retention is None:
        problem = _bad(
            f'"{kind.kind}" has no hot span: no limit of age is known.',
            "Give a duration, such as window: 30d.",
            here,
        )
    elif query.include_partial and request.value.align:
        problem = _bad(
            "An aligned window ends before the period that is still running, which include_partial asks for.",
            "Remove align, or include_partial.",
            here.at("align"),
        )
    elif kind.buckets is not None and options is not None:
        length = kind.buckets.period.length(options[kind.buckets.period.option])
        where = here.at("last") if isinstance(query.window, Last) else here
        problem = _too_short(request.value, length, anchored=kind.buckets.edges == "query", here=where)
    return problem or request


def _request(window: str | Last | Between, here: Address) -> Checked[WindowRequest]:
    match window:
        case "hot":
            return Checked(WindowRequest(hot=True))
        case str():
            return _last(Last.model_construct(last=window), here, here)
        case Last():
            return _last(window, here.at("last"), here.at("timezone"))
    return _between(window, here)


def _last(last: Last, here: Address, zone: Address) -> Checked[WindowRequest]:
    try:
        length = Duration.parse(last.last)
    except ValueError as error:
        return _bad(f"{error}.", "Write hot, 24h, 14d, 12mo, or {from: …, to: …}.", here)
    if length.months / 12 + length.seconds / _YEAR_S > LONGEST_YEARS:
        return _bad(f'"{last.last}" is longer than a century.', "Write a shorter one.", here)
    if last.align is None and "timezone" in last.model_fields_set:
        detail = (
            "A time zone says where whole days and hours begin, and this window is not cut to whole ones."
        )
        return _bad(detail, "Add align: day (or hour, week, month), or remove timezone.", zone.key())
    try:
        ZoneInfo(last.timezone)
    except (KeyError, ValueError, OSError):
        detail = f'There is no time zone "{last.timezone}".'
        return _bad(detail, "Use an IANA name such as Europe/Berlin or UTC.", zone)
    return Checked(WindowRequest(last=last.last, align=last.align, timezone=last.timezone))


def _between(between: Between, here: Address) -> Checked[WindowRequest]:
    problems: list[Diagnostic] = []
    instants: list[str] = []
    for step, text in (("from", between.start), ("to", between.end)):
        try:
            instants.append(format_instant(parse_instant(text)))
        except ValueError as error:
            help = "Write it as 2026-11-21T09:00:00Z or 2026-11-21."
            problems += _bad(f"{error}.", help, here.at(step)).diagnostics
    if problems:
        return Checked(None, tuple(problems))
    start, end = instants
    if start >= end:
        return _bad(
            "The window is empty: its end is not after its start (the end is not part of a window).",
            'To include a whole last day, write the next day as "to".',
            here,
        )
    return Checked(WindowRequest(start=start, end=end))


def _too_short(
    request: WindowRequest, length: Duration, *, anchored: bool, here: Address
) -> Checked[WindowRequest] | None:
    """Return the mistake of a window that may hold no whole period; of `hot` only the plan can tell."""
    if request.last is not None:
        spans = [Duration.parse(request.last), *(_UNITS[unit] for unit in (request.align,) if unit)]
        if any(_holds(span, length) for span in spans):
            return None
        return _bad(
            f"The window can be shorter than one period of {length}, and only whole periods are counted.",
            f"Ask for at least {length}, or for shorter periods.",
            here,
        )
    if request.start is not None and request.end is not None:
        start, end = parse_instant(request.start), parse_instant(request.end)
        try:
            first = start if anchored else ceil_to(start, length)
            if length.after(first) <= end:
                return None
        except ValueError:  # such a period leads out of the calendar
            pass
        return _bad(
            f"Between these instants lies no whole period of {length}, and only whole periods are counted.",
            "Begin and end where periods do, or ask for shorter periods.",
            here,
        )
    return None


def _holds(span: Duration, length: Duration) -> bool:
    """Tell whether a span is never shorter than a period; months are of 28 to 31 days."""
    if span.months and length.months:
        return span.months >= length.months
    return min(_lengths_s(span)) >= max(_lengths_s(length))


def _lengths_s(duration: Duration) -> list[float]:
    """Return how many seconds a duration is from the first of each month of four years."""
    firsts = (datetime(2000 + year, month, 1, tzinfo=UTC) for year in range(4) for month in range(1, 13))
    return [(duration.after(first) - first).total_seconds() for first in firsts]


def _bad(detail: str, help: str, address: Address) -> Checked[WindowRequest]:
    problem = Diagnostic(
        code="policy.bad-window", summary="Bad window", detail=detail, help=help, address=address
    )
    return Checked(None, (problem,))
