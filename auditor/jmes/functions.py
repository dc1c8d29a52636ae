"""
The functions of the dialect, as one table: what they take and give, and what null means to them.

The first 26 are those of JMESPath, with the results of jmespath.py 1.1; but `merge` refuses what is no object
in every place, as the specification says, and not in the first alone. The others are what audits need and the
standard lacks. Documentation, type checks and evaluation all read this table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise, repeat
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from auditor.jmes.exact import ExactSum
from auditor.jmes.kinds import (
    ADDRESS,
    ANY,
    ARRAY,
    ARRAY_OR_STRING,
    BOOLEAN_NUMBER_OR_STRING,
    FINITE,
    INSTANT,
    LENGTH,
    NETWORK,
    NUMBER,
    NUMBER_OR_STRING,
    NUMBERS,
    NUMBERS_OR_STRINGS,
    OBJECT,
    PATTERN,
    SIZED,
    STRING,
    STRINGS,
    UNIT,
    ZONE,
    Kind,
    Refused,
)
from auditor.jmes.value import type_name
from auditor.model.instant import format_instant
from auditor.model.value import JSON


class NullRule(StrEnum):
    """What it means for a decision that an argument, or what a reference gives for an element, is null."""

    UNDECIDED = "undecided"
    """The call is undecided. A literal `null` is passed on, which is a type error where JMESPath has one."""

    VALUE = "value"
    """Null is a value like any other."""

    DEFAULT = "default"
    """Null makes way for the next argument; one that is undecided matters only after nulls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """
    One parameter.

    A `reference` takes `&expression`, which is evaluated on each element of the function's list; the function
    then receives the list of the results, and `kind` is said of each of them.
    """

    name: str
    kind: Kind
    reference: bool = False
    optional: bool = False
    variadic: bool = False
    null: NullRule = NullRule.UNDECIDED

    def __str__(self) -> str:
        name = f"&{self.name}" if self.reference else self.name
        return f"{name}, …" if self.variadic else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An expression with a value that it is evaluated on and the result; the clock stands at `AS_OF`."""

    expression: str
    given: JSON = None
    result: JSON = None


AS_OF: Final = datetime(2026, 11, 21, 9, tzinfo=UTC)
"""The clock of the examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """
    One function.

    `result` names the JSON types that it can give; one that can be null makes a comparison undecided. `run`
    takes the arguments as their kinds read them and raises `Refused`; with `clock` it takes the instant of
    the audit before them. `standard` functions are those of JMESPath itself. `exact` stands for `run` in
    decisions, which rest on no order of the elements: floats are summed exactly and rounded once.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: tuple[str, ...]
    summary: str
    example: Example
    run: Callable[..., JSON]
    clock: bool = False
    standard: bool = False
    exact: Callable[..., JSON] | None = None

    @property
    def fewest(self) -> int:
        """The smallest number of arguments."""
        return sum(not p.optional for p in self.parameters)

    @property
    def most(self) -> int | None:
        """The largest number of arguments; None where there is no bound."""
        return None if self.parameters[-1].variadic else len(self.parameters)

    @property
    def column_of(self) -> int:
        """The index of the list that references are evaluated on."""
        return next(i for i, p in enumerate(self.parameters) if p.kind is ARRAY and not p.reference)

    def parameters_for(self, count: int) -> tuple[Parameter, ...]:
        """Return the parameters of a call with so many arguments, the variadic one repeated."""
        return (*self.parameters, *repeat(self.parameters[-1], max(0, count - len(self.parameters))))[:count]

    def __str__(self) -> str:
        required = ", ".join(str(p) for p in self.parameters if not p.optional)
        optional = "".join(f"[, {p}]" for p in self.parameters if p.optional)
        return f"{self.name}({required}{optional})"


def _avg(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _exact_sum(numbers: list[float]) -> float:
    return ExactSum(numbers).sum()


def _exact_mean(numbers: list[float]) -> float | None:
    return ExactSum(numbers).mean()


def _rounded(number: JSON, rounding: Callable[[float], int]) -> int:
    if isinstance(number, float) and not math.isfinite(number):
        raise Refused("it must be a finite number", code="jmes.bad-value", position=0)
    return rounding(number)


def _contains(subject: list[JSON] | str, search: JSON) -> bool:
    if isinstance(subject, str) and not isinstance(search, str):
        raise Refused("only a string can be part of a string", position=1)
    return search in subject


def _merge(*objects: dict[str, JSON]) -> dict[str, JSON]:
    merged: dict[str, JSON] = {}
    for each in objects:
        merged.update(each)
    return merged


def _not_null(*values: JSON) -> JSON:
    return next((value for value in values if value is not None), None)


def _to_number(value: JSON) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return None


def _to_string(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _by_key(choose: Callable[..., int], items: list[JSON], keys: list[JSON]) -> JSON:
    return items[choose(range(len(items)), key=keys.__getitem__)] if items else None


def _sort_by(items: list[JSON], keys: list[JSON]) -> list[JSON]:
    return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]


def _grouped(keys: list[JSON], values: list[Any]) -> dict[JSON, list[Any]]:
    """Return the values of each key, in their order."""
    groups: dict[JSON, list[Any]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def _count_by(_: list[JSON], keys: list[JSON]) -> JSON:
    return table({key: {"count": len(group)} for key, group in _grouped(keys, keys).items()})


def _group_by(items: list[JSON], keys: list[JSON]) -> JSON:
    return table({key: {"items": group} for key, group in _grouped(keys, items).items()})


def table(groups: Mapping[JSON, dict[str, JSON]]) -> list[JSON]:
    """Return `[{key, …}]`, one for each key, sorted by key."""
    return [{"key": key, **groups[key]} for key in sorted(groups)]


def identity_of(value: JSON) -> object:
    """Return something hashable that is equal for equal JSON values only; 1 is 1.0 but not true."""
    match value:
        case dict():
            return frozenset((key, identity_of(item)) for key, item in value.items())
        case list():
            return tuple(identity_of(item) for item in value)
        case bool():
            return bool, value
        case _:
            return value


def _unique(items: list[JSON]) -> list[JSON]:
    first: dict[object, JSON] = {}
    for item in items:
        first.setdefault(identity_of(item), item)
    return list(first.values())


def _densest(instants: list[datetime], length: timedelta) -> tuple[int, datetime, datetime]:
    """Return the size, first and last of the earliest largest group inside a half-open span of a length."""
    instants = sorted(instants)
    most, at, start = 0, 0, 0
    for end, instant in enumerate(instants):
        while instant - instants[start] >= length:
            start += 1
        if end - start >= most:
            most, at = end - start + 1, start
    return most, instants[at], instants[at + most - 1]


def densest_span(instants: list[datetime], length: timedelta) -> dict[str, JSON]:
    """Return what `rate_max` says of one key."""
    count, first, last = _densest(instants, length)
    return {"count": count, "from": format_instant(first), "to": format_instant(last)}


def _rate_max(_: list[JSON], keys: list[JSON], instants: list[datetime], length: timedelta) -> JSON:
    return table({key: densest_span(group, length) for key, group in _grouped(keys, instants).items()})


def longest_gap(instants: list[datetime]) -> JSON:
    """Return what `max_gap` says of instants in any order."""
    gaps = list(pairwise(sorted(instants)))
    if not gaps:
        return None
    first, last = max(gaps, key=lambda gap: gap[1] - gap[0])
    return {
        "seconds": _whole((last - first).total_seconds()),
        "from": format_instant(first),
        "to": format_instant(last),
    }


def _whole(number: float) -> float:
    """Return a whole number as an integer, so that it prints as one."""
    return int(number) if number.is_integer() else number


def _bounded(number: float) -> float:
    # Integers are exact, but bounded: a pipe of squares would otherwise grow for ever.
    if not math.isfinite(float(number)):
        raise OverflowError
    return number


def _add(a: float, b: float) -> float:
    return _bounded(a + b)


def _sub(a: float, b: float) -> float:
    return _bounded(a - b)


def _mul(a: float, b: float) -> float:
    return _bounded(a * b)


def _div(a: float, b: float) -> float | None:
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    return _bounded(a / b)


def _age_days(as_of: datetime, instant: datetime) -> float:
    return _whole((as_of - instant) / timedelta(days=1))


def _seconds_between(start: datetime, end: datetime) -> float:
    return _whole((end - start).total_seconds())


def _local(instant: datetime, zone: ZoneInfo | None) -> datetime:
    try:
        return instant.astimezone(zone or UTC)
    except OverflowError:
        raise _outside_calendar() from None


def _truncate(instant: datetime, unit: str, zone: ZoneInfo | None = None) -> str:
    local = _local(instant, zone)
    start = local.replace(minute=0, second=0, microsecond=0)
    if unit != "hour":
        # A midnight that the clocks pass twice is the first of the two, so `fold` is 0 from here on.
        start = start.replace(hour=0, fold=0)
    if unit == "month":
        start = start.replace(day=1)
    try:
        if unit == "week":
            start -= timedelta(days=start.weekday())
        return format_instant(start)
    except OverflowError:
        raise _outside_calendar() from None


def _hour_of(instant: datetime, zone: ZoneInfo | None = None) -> int:
    return _local(instant, zone).hour


def _weekday_of(instant: datetime, zone: ZoneInfo | None = None) -> int:
    return _local(instant, zone).isoweekday()


def _outside_calendar() -> Refused:
    return Refused("it lies at the edge of the calendar", code="jmes.bad-value", position=0)


def _cidr_contains(network: IPv4Network | IPv6Network, address: IPv4Address | IPv6Address) -> bool:
    # Dual-stack servers log IPv4 clients as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2).
    if isinstance(network, IPv4Network) and isinstance(address, IPv6Address):
        return address.ipv4_mapped is not None and address.ipv4_mapped in network
    return address in network


def _matches(text: str, pattern: Any) -> bool:
    try:
        return pattern.search(text) is not None
    except UnicodeEncodeError:
        raise Refused("it must be valid Unicode", code="jmes.bad-value", position=0) from None


def _plain(name: str, kind: Kind, null: NullRule = NullRule.UNDECIDED) -> Parameter:
    return Parameter(name=name, kind=kind, null=null)


def _key(kind: Kind = NUMBER_OR_STRING, name: str = "key") -> Parameter:
    return Parameter(name=name, kind=kind, reference=True)


_LIST: Final = _plain("list", ARRAY)
_VALUE: Final = _plain("value", ANY, NullRule.VALUE)
_NUMBER: Final = _plain("number", NUMBER)
_NUMBERS: Final = _plain("numbers", NUMBERS)
_SORTABLE: Final = _plain("list", NUMBERS_OR_STRINGS)
_OBJECT: Final = _plain("object", OBJECT)
_TEXT: Final = _plain("text", STRING)
_A: Final = _plain("a", FINITE)
_B: Final = _plain("b", FINITE)
_INSTANT: Final = _plain("instant", INSTANT)
_ZONE: Final = Parameter(name="zone", kind=ZONE, optional=True)
_ANY_RESULT: Final = ("null", "boolean", "number", "string", "array", "object")

_STANDARD: Final = (
    Function(
        name="abs",
        parameters=(_NUMBER,),
        result=("number",),
        summary="The number without its sign.",
        example=Example(expression="abs(@)", given=-3, result=3),
        run=abs,
        standard=True,
    ),
    Function(
        name="avg",
        parameters=(_NUMBERS,),
        result=("number", "null"),
        summary="The mean; null for an empty list.",
        example=Example(expression="avg(@)", given=[1, 2], result=1.5),
        run=_avg,
        standard=True,
        exact=_exact_mean,
    ),
    Function(
        name="ceil",
        parameters=(_NUMBER,),
        result=("number",),
        summary="The nearest integer that is not less.",
        example=Example(expression="ceil(@)", given=1.2, result=2),
        run=lambda number: _rounded(number, math.ceil),
        standard=True,
    ),
    Function(
        name="contains",
        parameters=(_plain("subject", ARRAY_OR_STRING), _plain("search", ANY)),
        result=("boolean",),
        summary="Whether a list holds a value, or a text holds a text.",
        example=Example(expression="contains(@, 'b')", given=["a", "b"], result=True),
        run=_contains,
        standard=True,
    ),
    Function(
        name="ends_with",
        parameters=(_TEXT, _plain("suffix", STRING)),
        result=("boolean",),
        summary="Whether a text ends with another.",
        example=Example(expression="ends_with(@, '.org')", given="example.org", result=True),
        run=str.endswith,
        standard=True,
    ),
    Function(
        name="floor",
        parameters=(_NUMBER,),
        result=("number",),
        summary="The nearest integer that is not greater.",
        example=Example(expression="floor(@)", given=1.8, result=1),
        run=lambda number: _rounded(number, math.floor),
        standard=True,
    ),
    Function(
        name="join",
        parameters=(_plain("glue", STRING), _plain("list", STRINGS)),
        result=("string",),
        summary="The texts of a list as one, with the glue between them.",
        example=Example(expression="join(', ', @)", given=["a", "b"], result="a, b"),
        run=str.join,
        standard=True,
    ),
    Function(
        name="keys",
        parameters=(_OBJECT,),
        result=("array",),
        summary="The keys of an object.",
        example=Example(expression="keys(@)", given={"a": 1}, result=["a"]),
        run=list,
        standard=True,
    ),
    Function(
        name="length",
        parameters=(_plain("value", SIZED),),
        result=("number",),
        summary="The number of characters, elements or keys.",
        example=Example(expression="length(@)", given=["a", "b"], result=2),
        run=len,
        standard=True,
    ),
    Function(
        name="map",
        parameters=(
            Parameter(name="expression", kind=ANY, reference=True, null=NullRule.VALUE),
            _LIST,
        ),
        result=("array",),
        summary="The results of an expression on each element; unlike a projection it keeps null.",
        example=Example(expression="map(&a, @)", given=[{"a": 1}, {}], result=[1, None]),
        run=lambda results, _: results,
        standard=True,
    ),
    Function(
        name="max",
        parameters=(_SORTABLE,),
        result=("number", "string", "null"),
        summary="The greatest; null for an empty list.",
        example=Example(expression="max(@)", given=[1, 3, 2], result=3),
        run=lambda values: max(values, default=None),
        standard=True,
    ),
    Function(
        name="max_by",
        parameters=(_LIST, _key()),
        result=_ANY_RESULT,
        summary="The element with the greatest key; null for an empty list.",
        example=Example(expression="max_by(@, &n)", given=[{"n": 1}, {"n": 2}], result={"n": 2}),
        run=lambda items, keys: _by_key(max, items, keys),
        standard=True,
    ),
    Function(
        name="merge",
        parameters=(Parameter(name="object", kind=OBJECT, variadic=True),),
        result=("object",),
        summary="One object of all keys; the last value of a key wins.",
        example=Example(
            expression="merge(a, b)", given={"a": {"x": 1}, "b": {"y": 2}}, result={"x": 1, "y": 2}
        ),
        run=_merge,
        standard=True,
    ),
    Function(
        name="min",
        parameters=(_SORTABLE,),
        result=("number", "string", "null"),
        summary="The least; null for an empty list.",
        example=Example(expression="min(@)", given=["b", "a"], result="a"),
        run=lambda values: min(values, default=None),
        standard=True,
    ),
    Function(
        name="min_by",
        parameters=(_LIST, _key()),
        result=_ANY_RESULT,
        summary="The element with the least key; null for an empty list.",
        example=Example(expression="min_by(@, &n)", given=[{"n": 1}, {"n": 2}], result={"n": 1}),
        run=lambda items, keys: _by_key(min, items, keys),
        standard=True,
    ),
    Function(
        name="not_null",
        parameters=(Parameter(name="value", kind=ANY, variadic=True, null=NullRule.DEFAULT),),
        result=_ANY_RESULT,
        summary="The first value that is not null: how a field that may be absent gets a default.",
        example=Example(expression="not_null(name, 'unknown')", given={}, result="unknown"),
        run=_not_null,
        standard=True,
    ),
    Function(
        name="reverse",
        parameters=(_plain("value", ARRAY_OR_STRING),),
        result=("array", "string"),
        summary="A list or a text from its end to its beginning.",
        example=Example(expression="reverse(@)", given=[1, 2], result=[2, 1]),
        run=lambda value: value[::-1],
        standard=True,
    ),
    Function(
        name="sort",
        parameters=(_SORTABLE,),
        result=("array",),
        summary="The list in ascending order.",
        example=Example(expression="sort(@)", given=[2, 1], result=[1, 2]),
        run=sorted,
        standard=True,
    ),
    Function(
        name="sort_by",
        parameters=(_LIST, _key()),
        result=("array",),
        summary="The list in ascending order of a key; equal keys keep their order.",
        example=Example(expression="sort_by(@, &n)", given=[{"n": 2}, {"n": 1}], result=[{"n": 1}, {"n": 2}]),
        run=_sort_by,
        standard=True,
    ),
    Function(
        name="starts_with",
        parameters=(_TEXT, _plain("prefix", STRING)),
        result=("boolean",),
        summary="Whether a text starts with another.",
        example=Example(expression="starts_with(@, 'USER.')", given="USER.CREATED", result=True),
        run=str.startswith,
        standard=True,
    ),
    Function(
        name="sum",
        parameters=(_NUMBERS,),
        result=("number",),
        summary="The sum; 0 for an empty list.",
        example=Example(expression="sum(@)", given=[1, 2], result=3),
        run=sum,
        standard=True,
        exact=_exact_sum,
    ),
    Function(
        name="to_array",
        parameters=(_VALUE,),
        result=("array",),
        summary="A list as it is, anything else as a list of one.",
        example=Example(expression="to_array(@)", given="a", result=["a"]),
        run=lambda value: value if isinstance(value, list) else [value],
        standard=True,
    ),
    Function(
        name="to_number",
        parameters=(_VALUE,),
        result=("number", "null"),
        summary="A number, also from its text; null for what is neither.",
        example=Example(expression="to_number(@)", given="12", result=12),
        run=_to_number,
        standard=True,
    ),
    Function(
        name="to_string",
        parameters=(_VALUE,),
        result=("string",),
        summary="A text as it is, anything else as JSON.",
        example=Example(expression="to_string(@)", given=[1, True], result="[1,true]"),
        run=_to_string,
        standard=True,
    ),
    Function(
        name="type",
        parameters=(_VALUE,),
        result=("string",),
        summary="The name of the type of a value.",
        example=Example(expression="type(@)", given=1, result="number"),
        run=type_name,
        standard=True,
    ),
    Function(
        name="values",
        parameters=(_OBJECT,),
        result=("array",),
        summary="The values of an object.",
        example=Example(expression="values(@)", given={"a": 1}, result=[1]),
        run=lambda each: list(each.values()),
        standard=True,
    ),
)

_OWN: Final = (
    Function(
        name="add",
        parameters=(_A, _B),
        result=("number",),
        summary="a + b. Integers are exact.",
        example=Example(expression="add(@, `1`)", given=2, result=3),
        run=_add,
    ),
    Function(
        name="age_days",
        parameters=(_INSTANT,),
        result=("number",),
        summary="Days from an instant to that of the audit, with their fraction; negative for a later one.",
        example=Example(expression="age_days(@)", given="2026-11-19T21:00:00Z", result=1.5),
        run=_age_days,
        clock=True,
    ),
    Function(
        name="cidr_contains",
        parameters=(_plain("network", NETWORK), _plain("address", ADDRESS)),
        result=("boolean",),
        summary="Whether an IPv4 or IPv6 address lies in a network; ::ffff:a.b.c.d is also a.b.c.d.",
        example=Example(expression="cidr_contains('10.0.0.0/8', @)", given="10.1.2.3", result=True),
        run=_cidr_contains,
    ),
    Function(
        name="count_by",
        parameters=(_LIST, _key(BOOLEAN_NUMBER_OR_STRING)),
        result=("array",),
        summary="[{key, count}] for each key, sorted by key.",
        example=Example(
            expression="count_by(@, &t)",
            given=[{"t": "b"}, {"t": "a"}, {"t": "b"}],
            result=[{"key": "a", "count": 1}, {"key": "b", "count": 2}],
        ),
        run=_count_by,
    ),
    Function(
        name="div",
        parameters=(_A, _B),
        result=("number", "null"),
        summary="a / b, an integer where that is exact; null where b is 0.",
        example=Example(expression="div(@, `4`)", given=10, result=2.5),
        run=_div,
    ),
    Function(
        name="group_by",
        parameters=(_LIST, _key(BOOLEAN_NUMBER_OR_STRING)),
        result=("array",),
        summary="[{key, items}] for each key, sorted by key; items keep their order.",
        example=Example(
            expression="group_by(@, &t)",
            given=[{"t": "b"}, {"t": "a"}],
            result=[{"key": "a", "items": [{"t": "a"}]}, {"key": "b", "items": [{"t": "b"}]}],
        ),
        run=_group_by,
    ),
    Function(
        name="hour_of",
        parameters=(_INSTANT, _ZONE),
        result=("number",),
        summary="The hour of the day, 0 to 23, in a time zone (UTC if none is given).",
        example=Example(expression="hour_of(@, 'Europe/Berlin')", given="2026-11-21T09:30:00Z", result=10),
        run=_hour_of,
    ),
    Function(
        name="lower",
        parameters=(_TEXT,),
        result=("string",),
        summary="The text in lower case.",
        example=Example(expression="lower(@)", given="User", result="user"),
        run=str.lower,
    ),
    Function(
        name="matches",
        parameters=(_TEXT, _plain("pattern", PATTERN)),
        result=("boolean",),
        summary="Whether a pattern of RE2 is found anywhere in a text, in linear time; anchor with ^ and $.",
        example=Example(expression="matches(@, '^svc-[0-9]+$')", given="svc-12", result=True),
        run=_matches,
    ),
    Function(
        name="max_gap",
        parameters=(_LIST, _key(INSTANT, "instant")),
        result=("object", "null"),
        summary="{seconds, from, to} of the longest time between neighbours; null for fewer than two.",
        example=Example(
            expression="max_gap(@, &at)",
            given=[{"at": "2026-11-21T08:00:00Z"}, {"at": "2026-11-21T09:00:00Z"}],
            result={"seconds": 3600, "from": "2026-11-21T08:00:00.000Z", "to": "2026-11-21T09:00:00.000Z"},
        ),
        run=lambda _, instants: longest_gap(instants),
    ),
    Function(
        name="mul",
        parameters=(_A, _B),
        result=("number",),
        summary="a · b. Integers are exact.",
        example=Example(expression="mul(@, `3`)", given=2, result=6),
        run=_mul,
    ),
    Function(
        name="rate_max",
        parameters=(
            _LIST,
            _key(BOOLEAN_NUMBER_OR_STRING),
            _key(INSTANT, "instant"),
            _plain("duration", LENGTH),
        ),
        result=("array",),
        summary=(
            "[{key, count, from, to}], sorted by key: the most elements of a key in any half-open span of "
            "the duration, with the instants of the first and the last."
        ),
        example=Example(
            expression="rate_max(@, &who, &at, '10m')",
            given=[
                {"who": "a", "at": "2026-11-21T08:00:00Z"},
                {"who": "a", "at": "2026-11-21T08:09:59Z"},
                {"who": "a", "at": "2026-11-21T08:10:00Z"},
            ],
            result=[
                {"key": "a", "count": 2, "from": "2026-11-21T08:00:00.000Z", "to": "2026-11-21T08:09:59.000Z"}
            ],
        ),
        run=_rate_max,
    ),
    Function(
        name="seconds_between",
        parameters=(_plain("start", INSTANT), _plain("end", INSTANT)),
        result=("number",),
        summary="Seconds from one instant to another; negative where the second is the earlier.",
        example=Example(
            expression="seconds_between(@, '2026-11-21T09:00:00Z')", given="2026-11-21T08:59:00Z", result=60
        ),
        run=_seconds_between,
    ),
    Function(
        name="sub",
        parameters=(_A, _B),
        result=("number",),
        summary="a - b. Integers are exact.",
        example=Example(expression="sub(@, `1`)", given=2, result=1),
        run=_sub,
    ),
    Function(
        name="truncate",
        parameters=(_INSTANT, _plain("unit", UNIT), _ZONE),
        result=("string",),
        summary=(
            "The start of the hour, day, week (from Monday) or month that an instant lies in, in a time zone "
            "(UTC if none is given), as an instant in UTC."
        ),
        example=Example(
            expression="truncate(@, 'day', 'Europe/Berlin')",
            given="2026-11-21T09:30:00Z",
            result="2026-11-20T23:00:00.000Z",
        ),
        run=_truncate,
    ),
    Function(
        name="unique",
        parameters=(_LIST,),
        result=("array",),
        summary="The list without repeated values, the first of each kept; 1 is 1.0 but not true.",
        example=Example(expression="unique(@)", given=["b", "a", "b"], result=["b", "a"]),
        run=_unique,
    ),
    Function(
        name="upper",
        parameters=(_TEXT,),
        result=("string",),
        summary="The text in upper case.",
        example=Example(expression="upper(@)", given="user", result="USER"),
        run=str.upper,
    ),
    Function(
        name="weekday_of",
        parameters=(_INSTANT, _ZONE),
        result=("number",),
        summary="The day of the week, 1 (Monday) to 7, in a time zone (UTC if none is given).",
        example=Example(expression="weekday_of(@)", given="2026-11-21T09:30:00Z", result=6),
        run=_weekday_of,
    ),
)

FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType({f.name: f for f in _STANDARD + _OWN})
"""All functions by name."""
