"""What the functions take: JSON types, and texts that are read further, such as instants and networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final
from zoneinfo import ZoneInfo

from auditor.jmes.value import TYPES, a_type, type_name, with_article
from auditor.model.instant import Duration, parse_instant
from auditor.model.value import JSON


class Refused(Exception):  # noqa: N818  # on its way to an EvaluationError, which knows the place
    """
    A value that a function cannot work with, in words that hold no value.

    `position` is the index of the argument to blame, where it is not the call as a whole.
    """

    def __init__(self, detail: str, *, code: str = "jmes.type-error", position: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    What one argument must be.

    `types` are JMESPath's names of the JSON types that it may have, none meaning any. `elements` restricts an
    array to elements of one of those types, all of the same. `read` turns the value into what the function
    works with and raises `Refused`; arguments that are literals are read once, when the text is parsed.
    `literal` demands a literal or placeholder.
    """

    name: str
    types: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    read: Callable[[JSON], Any] | None = None
    literal: bool = False
    accepted: frozenset[type] = field(init=False, repr=False)
    """Python's types for `types`."""
    accepted_elements: frozenset[type] = field(init=False, repr=False)
    """Python's types for `elements`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accepted", _types_named(self.types))
        object.__setattr__(self, "accepted_elements", _types_named(self.elements))

    def accept(self, value: JSON) -> Any:
        """
        Return a value as the function wants it.

        Raises:
            Refused: it is of another kind.
        """
        if type(value) not in self.accepted:
            raise Refused(f"it must be {_either(self.types)}, and is {a_type(value)}")
        if self.elements and not is_plain(value, self.accepted_elements):
            check_uniform(map(type_name, value), self.elements)
        return self.read(value) if self.read else value

    def accept_column(self, values: list[JSON]) -> list[Any]:
        """
        Return what an expression reference gave for the elements of a list, all of one and the same type.

        Raises:
            Refused: one is of another kind, or of another type than the first.
        """
        if self.types:
            check_uniform(map(type_name, values), self.types)
        return [self.read(value) for value in values] if self.read else values


def _types_named(names: tuple[str, ...]) -> frozenset[type]:
    """Return Python's types for JMESPath's names of types; all for none."""
    return frozenset(t for t, name in TYPES.items() if name in names or not names)


def is_plain(values: list[Any], accepted: frozenset[type]) -> bool:
    """Return whether all values are of one of some types, at a glance; if not, a closer look may say otherwise."""
    seen = set(map(type, values))
    return len(seen) <= 1 and seen <= accepted


def check_uniform(names: Iterable[str], types: tuple[str, ...]) -> None:
    """
    Make sure that elements, given by the names of their types, are all of one and the same of some types.

    Raises:
        Refused: one is not.
    """
    expected = types
    for name in names:
        if name not in expected:
            raise Refused(f"each element must be {_either(expected)}, and one is {with_article(name)}")
        expected = (name,)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(with_article(name) for name in names)


def _unreadable(detail: str) -> Refused:
    return Refused(detail, code="jmes.bad-value")


def _finite(number: JSON) -> JSON:
    if isinstance(number, float) and not math.isfinite(number):
        raise _unreadable("it must be a finite number")
    return number


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        raise _unreadable("it must be an ISO 8601 instant such as 2026-11-21T09:00:00Z") from None


def _length(value: float | str) -> timedelta:
    try:
        duration = Duration.parse(value) if isinstance(value, str) else Duration(seconds=_finite(value))
        length = timedelta(seconds=duration.seconds)
    except (ValueError, OverflowError):
        raise _unreadable("it must be a number of seconds or a length such as 90s, 10m, 24h or 7d") from None
    if duration.months or length <= timedelta():
        raise _unreadable("it must be a fixed length above zero; write months as days: 30d")
    return length


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no relative path; a folder such as Europe
        raise _unreadable("it must be a time zone such as Europe/Berlin") from None


UNITS: Final = ("hour", "day", "week", "month")


def _unit(name: str) -> str:
    if name not in UNITS:
        raise _unreadable(f"it must be one of {', '.join(UNITS)}")
    return name


@lru_cache(maxsize=1024)
def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        detail = "it must be a network such as 10.0.0.0/8 or 2001:db8::/32, without host bits"
        raise _unreadable(detail) from None


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise _unreadable("it must be an IPv4 or IPv6 address") from None


def _pattern(text: str) -> Any:
    import re2  # type: ignore[import-untyped]  # 10 ms that only `matches` is worth

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except UnicodeEncodeError:
        raise _unreadable("the pattern is no valid Unicode") from None
    except re2.error as error:
        # RE2 says what is wrong, a colon, and then a piece of the pattern, which may be sensitive.
        reason = error.args[0].decode(errors="replace").partition(":")[0]
        raise _unreadable(f"it must be a pattern of RE2, which has no look-around: {reason}") from None


ANY: Final = Kind(name="any")
BOOLEAN_NUMBER_OR_STRING: Final = Kind(
    name="boolean, number or string", types=("string", "number", "boolean")
)
NUMBER_OR_STRING: Final = Kind(name="number or string", types=("number", "string"))
NUMBER: Final = Kind(name="number", types=("number",))
STRING: Final = Kind(name="string", types=("string",))
ARRAY: Final = Kind(name="array", types=("array",))
OBJECT: Final = Kind(name="object", types=("object",))
ARRAY_OR_STRING: Final = Kind(name="array or string", types=("array", "string"))
SIZED: Final = Kind(name="string, array or object", types=("string", "array", "object"))
NUMBERS: Final = Kind(name="array of numbers", types=("array",), elements=("number",))
STRINGS: Final = Kind(name="array of strings", types=("array",), elements=("string",))
NUMBERS_OR_STRINGS: Final = Kind(
    name="array of numbers or of strings", types=("array",), elements=("number", "string")
)
FINITE: Final = Kind(name="number", types=("number",), read=_finite)
INSTANT: Final = Kind(name="instant", types=("string",), read=_instant)
LENGTH: Final = Kind(name="duration", types=("number", "string"), read=_length)
UNIT: Final = Kind(name="hour, day, week or month", types=("string",), read=_unit)
ZONE: Final = Kind(name="time zone", types=("string",), read=_zone)
NETWORK: Final = Kind(name="network", types=("string",), read=_network)
ADDRESS: Final = Kind(name="address", types=("string",), read=_address)
PATTERN: Final = Kind(name="pattern", types=("string",), read=_pattern, literal=True)
