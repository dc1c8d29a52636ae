"""
How the simulated endpoints answer: one function for each way in which a descriptor asks for a window.

`between` reads events between two instants, `since` counts active identities by period from an instant to
now, `exact` counts sign-ons in the whole buckets between two instants, `daily` identities of each day between
them, and `listing` shows what is there now. No endpoint is known by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from auditor.model.instant import Duration
from auditor.model.resource import Option, ResourceKind
from auditor.simulator import script
from auditor.simulator.filters import (
    Compare,
    Filter,
    checked,
    comparisons,
    conjuncts,
    instant_of,
    parse_filter,
    possible_values,
    predicate,
)
from auditor.simulator.refusal import invalid_filter, invalid_value, out_of_range, required_value
from auditor.simulator.reply import Page, Position
from auditor.simulator.rhythm import to_ms
from auditor.simulator.settings import Settings
from auditor.simulator.world import Environment

_DEFAULT_PAGE: Final = 100  # "limit … default 100" (Read Audit Activities, POST)
# The page of the endpoint allows 730 days or 24 months, newer text 1 to 100: what both allow.
_MOST_PERIODS: Final = {"DAY": 100, "MONTH": 24}
# The page says samplingPeriod in its example and its table, samplePeriod in its text and its answer.
_SPELLINGS: Final = {"samplePeriod": ("samplePeriod", "samplingPeriod")}
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")
_DEFAULT_DAYS: Final = 30
_HONOURED: Final = (
    200  # "requested limits are not always honored": the example of the page on paging gets 200
)
# "If the date range is less than or equal to 5 days, HOUR is used", up to 60 DAY, above WEEK.
_DEFAULT_SAMPLES: Final = ((timedelta(days=5), "HOUR"), (timedelta(days=60), "DAY"))
# An event is created after it is recorded, in captured logs within half a second.
_CREATION_LAG_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """
    One request to an endpoint, already authorized.

    `parameters` are those of the first page, also where a cursor leads on from there; `position` is where.
    `most` caps the records of a page without telling the client.
    """

    kind: ResourceKind
    environment: Environment
    organization_id: str
    settings: Settings
    now: datetime
    api_url: str
    parameters: Mapping[str, str]
    position: Position | None = None
    most: int | None = None
    records: Sequence[Mapping[str, Any]] = ()
    """What a listing lists."""

    def filter(self) -> Filter | None:
        """
        Return the checked filter; None where none is given.

        Raises:
            Refusal: it can not be read, or has something that the endpoint does not support.
        """
        if self.kind.filter is None or self.kind.filter.parameter not in self.parameters:
            return None
        return checked(parse_filter(self.parameters[self.kind.filter.parameter]), self.kind)

    def limit(self, default: int, maximum: int) -> int:
        """
        Return the page size that is asked for.

        Raises:
            Refusal: it is no number, or out of bounds.
        """
        rule = self.kind.page.limit
        if rule is None:
            return default
        text = self.parameters.get(rule.parameter)
        if text is None:
            asked = min(default, maximum)
        elif _WHOLE.fullmatch(text):
            asked = int(text)
        else:
            raise invalid_value(rule.parameter, f"{text!r} is no whole number.")
        if not rule.minimum <= asked <= maximum:
            message = f"{rule.parameter} must be from {rule.minimum} to {maximum}."
            raise out_of_range(rule.parameter, message, rule.minimum, maximum)
        return min(asked, self.most or asked)


Behaviour: TypeAlias = Callable[[Read], Page]


def behaviour(kind: ResourceKind) -> Behaviour | None:
    """Return how an endpoint answers, by the form of its window; None where it can not answer."""
    if kind.window is None:
        return listing
    if kind.window.end is not None and kind.instant is not None:
        return between
    if kind.buckets is None:
        return None
    if kind.window.end is None:
        return since
    return exact if kind.buckets.end else daily


def known_parameters(kind: ResourceKind) -> frozenset[str]:
    """Return the query parameters that an endpoint knows; a real one ignores all others."""
    names = {"cursor"} if kind.page.next else set()
    if kind.filter:
        names.add(kind.filter.parameter)
    if kind.page.limit:
        names.add(kind.page.limit.parameter)
    if behaviour(kind) is since:
        names.add("order")
    for option in kind.options.values():
        names.update(_spellings(option))
    return frozenset(names)


def _spellings(option: Option) -> Sequence[str]:
    return _SPELLINGS.get(option.parameter, (option.parameter,)) if option.parameter else ()


# --- between --------------------------------------------------------------------------------------------


def between(read: Read) -> Page:
    """
    Return events between two instants, newest first.

    The filter must hold a range, with both ends, on an attribute that is an instant; no longer than the
    longest span. What is older than the hot span is not there any more. Positions are that of the last
    event shown.

    Raises:
        Refusal: the filter or the page size is not accepted.
    """
    kind = read.kind
    limit = read.limit(_DEFAULT_PAGE, _smallest(kind, read.settings.page_size))
    tree = read.filter()
    if tree is None:
        raise required_value("filter", "A filter with a range of time is required.")
    low_ms, high_ms = _range(tree, read)
    if kind.retention:
        low_ms = max(low_ms, to_ms(read.now - read.settings.hot_span))
    after = read.position["after"] if read.position else None
    if after:
        high_ms = min(high_ms, after[0])
    known = {"environment.id": read.environment.id, "org.id": read.organization_id}
    matches = predicate(tree, kind, known)
    found = (
        entry
        for entry in read.environment.events(low_ms, high_ms, possible_values(tree, "action.type"))
        if (after is None or (-entry.ms, entry.serial) > (-after[0], after[1])) and matches(entry.record)
    )
    entries = list(islice(found, limit + 1))
    shown = entries[:limit]
    more = len(entries) > limit
    return Page(
        items=[dict(entry.record) for entry in shown],
        next={"after": [shown[-1].ms, shown[-1].serial]} if more else None,
    )


def _smallest(kind: ResourceKind, *others: int | None) -> int:
    """Return the largest page: the smallest of all maxima that apply."""
    maxima = [kind.page.limit.maximum if kind.page.limit else None, *others]
    return min(maximum for maximum in maxima if maximum is not None)


def _range(tree: Filter, read: Read) -> tuple[int, int]:
    """Return milliseconds between which everything that matches was recorded, both included."""
    bounds: dict[str, dict[str, list[datetime]]] = {}
    attributes = read.kind.filter.attributes if read.kind.filter else {}
    for part in conjuncts(tree):
        if isinstance(part, Compare) and attributes[part.attribute].type == "instant":
            end = "low" if part.operator in {"gt", "ge"} else "high"
            bounds.setdefault(part.attribute, {}).setdefault(end, []).append(instant_of(part))
    ranges = {name: (max(ends["low"]), min(ends["high"])) for name, ends in bounds.items() if len(ends) == 2}
    if not ranges:
        name = read.kind.instant
        raise required_value(
            "filter", f"A range of time with both ends is required: {name} gt and {name} lt."
        )
    # The attribute by which records belong to a window is the first choice, whatever order they stand in.
    name, (low, high) = min(ranges.items(), key=lambda item: item[0] != read.kind.instant)
    if high < low:
        raise invalid_filter(f"The range of {name} ends before it starts.")
    longest = read.settings.longest_span
    if read.kind.window and read.kind.window.longest and high - low > longest:
        message = f"The range of {name} must not span more than {longest.days} days."
        raise out_of_range("filter", message, 0, longest.days)
    lag_ms = 0 if name == read.kind.instant else _CREATION_LAG_MS
    return to_ms(low) - lag_ms, to_ms(high) + lag_ms


# --- since ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Periods:
    """Periods of one length, side by side from a first instant to the one that holds `end`."""

    first: datetime
    length: Duration
    end: datetime

    def start(self, number: int) -> datetime:
        return Duration(self.length.months * number, self.length.seconds * number).after(self.first)

    @property
    def count(self) -> int:
        if self.end <= self.first:
            return 0
        if self.length.months:
            months = (self.end.year - self.first.year) * 12 + self.end.month - self.first.month
            whole = months // self.length.months
        else:
            whole = int((self.end - self.first) / timedelta(seconds=self.length.seconds))
        return whole + (self.start(whole) < self.end)


def since(read: Read) -> Page:
    """
    Return active identities by period, from the filter's start to now.

    The last period is still running. Asked for `-startDate`, an endpoint shows the earliest periods first,
    latest of them on top, with `previous` leading to the later ones: so does the documented sample.
    Positions are a page number and the instant at which the walk began, so that its count stays the same.

    Raises:
        Refusal: the filter, an option, the order or the page size is not accepted.
    """
    kind, buckets, window = read.kind, read.kind.buckets, read.kind.window
    if buckets is None or window is None:
        raise TypeError(f"{kind.kind} counts no periods")
    option = kind.options[buckets.period.option]
    given = _once(read.filter(), window.start.attribute, option.attribute)
    value = _number(given[option.attribute], option) if option.attribute else _choice(read, option)
    if value is None:
        raise required_value(_spellings(option)[0], "The length of a period is required.")
    limit = read.limit(
        read.settings.page_size, _smallest(kind, read.settings.page_size, _MOST_PERIODS.get(str(value)))
    )
    order = read.parameters.get("order", "startDate")
    if order not in {"startDate", "-startDate"}:
        raise invalid_value("order", f"The order {order!r} is not supported.", ["startDate", "-startDate"])

    length = buckets.period.length(value)
    first = instant_of(given[window.start.attribute]).astimezone(UTC).replace(microsecond=0)
    by_calendar = buckets.edges == "calendar"
    if by_calendar:
        first = first.replace(hour=0, minute=0, second=0)
        first = first.replace(day=1) if length.months else first
    position = read.position or {"page": 0, "end": read.now.isoformat()}
    page, end = int(position["page"]), datetime.fromisoformat(position["end"])
    periods = _Periods(first, length, end)
    count = periods.count
    numbers = range(page * limit, min((page + 1) * limit, count))
    items = [_count(read, periods, number, by_calendar=by_calendar) for number in numbers]
    later = {"page": page + 1, "end": position["end"]} if (page + 1) * limit < count else None
    earlier = {"page": page - 1, "end": position["end"]} if page else None
    totals = {"count": count, "size": len(items)}
    if order == "-startDate":
        return Page(items=items[::-1], next=earlier, previous=later, totals=totals)
    return Page(items=items, next=later, previous=earlier, totals=totals)


def _once(tree: Filter | None, *names: str | None) -> dict[str, Compare]:
    """Return the comparisons of a filter by attribute: each of these must be there, and none twice."""
    given: dict[str, Compare] = {}
    for comparison in comparisons(tree) if tree else ():
        if comparison.attribute in given:
            raise invalid_filter(f"{comparison.attribute} is given more than once.")
        given[comparison.attribute] = comparison
    for name in names:
        if name and name not in given:
            raise required_value("filter", f"The filter must have {name}.")
    return given


def _number(comparison: Compare, option: Option) -> int:
    number, low, high = int(str(comparison.value)), option.minimum or 1, option.maximum or 8784
    if not low <= number <= high:
        raise out_of_range("filter", f"{option.attribute} must be from {low} to {high}.", low, high)
    return number


def _choice(read: Read, option: Option) -> str | None:
    """Return the value of an option that is a query parameter; None where it is not given."""
    for name in _spellings(option):
        if name in read.parameters:
            value = read.parameters[name]
            if value not in option.values:
                raise invalid_value(name, f"{value!r} is not supported.", option.values)
            return value
    return None


def _count(read: Read, periods: _Periods, number: int, *, by_calendar: bool) -> dict[str, Any]:
    start, end = periods.start(number), periods.start(number + 1)
    environment_url = f"{read.api_url}/environments/{read.environment.id}"
    item: dict[str, Any] = {
        "_links": {"environment": {"href": environment_url}},
        "value": read.environment.active_identities(start, end),
    }
    first, last = _text(start), _text(end - timedelta(seconds=1))
    if by_calendar:
        return {**item, "startDate": first, "endDate": f"{last[:-1]}.999Z"}
    # As in the sample, gt and lt: an event at the first instant or in the last second is in no period's link.
    kinds = " OR ".join(f'action.type eq "{action}"' for action in sorted(script.ACTIVE, reverse=True))
    text = f'recordedat gt "{first}" AND recordedat lt "{last}" AND ({kinds})'
    item["_links"]["activities"] = {"href": f"{environment_url}/activities?filter={quote(text, safe='')}"}
    cumulative = read.environment.active_identities(periods.first, end)
    return {**item, "cumulative": cumulative, "startDate": first, "endDate": last}


# --- exact ----------------------------------------------------------------------------------------------


def exact(read: Read) -> Page:
    """
    Return sign-ons and password resets of every whole bucket between two instants.

    Buckets start on the hour, at midnight or on Monday in the offset in which the range starts; the
    documentation does not say where a week starts. Buckets cut by the range, or not over yet, are left out.
    Without a filter, the last 30 days.

    Raises:
        Refusal: the filter or the size of a bucket is not accepted.
    """
    kind, window, buckets = read.kind, read.kind.window, read.kind.buckets
    if window is None or window.end is None or buckets is None:
        raise TypeError(f"{kind.kind} counts no buckets between two instants")
    tree = read.filter()
    low, high = read.now - timedelta(days=_DEFAULT_DAYS), read.now
    if tree is not None:
        start_name, end_name = window.start.attribute, window.end.attribute
        given = _once(tree, start_name, end_name)
        low, high = instant_of(given[start_name]), instant_of(given[end_name])
        if high < low:
            raise invalid_filter(f"{end_name} is before {start_name}.")
    option = kind.options[buckets.period.option]
    size = _choice(read, option) or next(
        (sample for longest, sample in _DEFAULT_SAMPLES if high - low <= longest), "WEEK"
    )
    length = timedelta(seconds=buckets.period.length(size).seconds)
    start = low.replace(minute=0, second=0, microsecond=0)
    if size != "HOUR":
        start = start.replace(hour=0)
    if size == "WEEK":
        start -= timedelta(days=start.weekday())
    if start < low:
        start += length
    items: list[dict[str, Any]] = []
    while start + length <= min(high, read.now):
        counted = read.environment.sign_ons(start, start + length)
        items.append(
            {
                "startDate": _text(start),
                "endDate": _text(start + length),
                "userSignOns": {"successes": counted.successes, "failures": counted.failures},
                "passwordResets": counted.resets,
            }
        )
        start += length
    return Page(items=items)


# --- daily ----------------------------------------------------------------------------------------------


def daily(read: Read) -> Page:
    """
    Return how many identities there were on each day between two instants, both included.

    "from 2019-03-01 through 2019-04-01 (sample size of 32 days)": the day of the end is shown as well. `count`
    is the number of identities now.

    Raises:
        Refusal: the filter is not accepted.
    """
    kind, window, buckets = read.kind, read.kind.window, read.kind.buckets
    if window is None or window.end is None or buckets is None:
        raise TypeError(f"{kind.kind} counts no days between two instants")
    given = _once(read.filter(), window.start.attribute, window.end.attribute)
    low, high = (instant_of(given[bound.attribute]).astimezone(UTC) for bound in (window.start, window.end))
    if high < low:
        raise invalid_filter(f"{window.end.attribute} is before {window.start.attribute}.")
    day, items = low.replace(hour=0, minute=0, second=0, microsecond=0), []
    while day <= min(high, read.now):
        until = min(day + timedelta(days=1), read.now)
        items.append(
            {buckets.start: _text(day), "totalIdentities": read.environment.identities(to_ms(until))}
        )
        day += timedelta(days=1)
    return Page(
        items=items, totals={"count": read.environment.identities(to_ms(read.now)), "size": len(items)}
    )


# --- listing --------------------------------------------------------------------------------------------


def listing(read: Read) -> Page:
    """
    Return what is there now and matches the filter, in pages where the endpoint takes a page size.

    A page may be smaller than was asked for: "requested limits are not always honored" (Paging and ordering
    collections). Positions are the number of the next record.

    Raises:
        Refusal: the filter, an option or the page size is not accepted.
    """
    kind = read.kind
    tree = read.filter()
    holds = predicate(tree, kind, {}) if tree else None
    found = [record for record in read.records if holds is None or holds(record)]
    rule = kind.page.limit
    if rule is None:
        return Page(items=list(map(dict, found)), totals=_totals(kind, found, found))
    limit = min(_HONOURED, read.limit(_HONOURED, rule.maximum or read.settings.page_size))
    start = int(read.position["from"]) if read.position else 0
    shown = [dict(record) for record in found[start : start + limit]]
    more = start + limit < len(found)
    return Page(
        items=shown, next={"from": start + limit} if more else None, totals=_totals(kind, found, shown)
    )


def _totals(kind: ResourceKind, found: Sequence[Any], shown: Sequence[Any]) -> dict[str, int]:
    if kind.page.items is None:
        return {}
    return {"count": len(found), "size": len(shown)} if kind.page.count == "items" else {"size": len(shown)}


def _text(instant: datetime) -> str:
    return instant.isoformat("T", "seconds").replace("+00:00", "Z")
