"""Audit logs: one that is made while it is read, and one of given records. Both are read newest first."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple, Protocol

from auditor.model.instant import parse_instant
from auditor.simulator import script
from auditor.simulator.cast import Cast, digest, rng
from auditor.simulator.rhythm import Rhythm, to_ms

BLOCK: Final = 1024
SPAN_DAYS: Final = 30
# About 13 bytes an event are kept of a block; together these are the newest million events.
_BLOCKS_KEPT: Final = 1024
_NUMBERS: Final = range(256)


class Entry(NamedTuple):
    """One event at its place: newest first by `ms`, and by `serial` among events of one millisecond."""

    ms: int
    serial: int
    record: Mapping[str, Any]


class Moment(NamedTuple):
    """What counting needs of an event; `user` is a number that stands for the user concerned, or -1."""

    ms: int
    action: str
    user: int


class Log(Protocol):
    """Events that can be read from any instant backwards."""

    @property
    def events(self) -> int:
        """Number of events."""

    def newest_first(self, low_ms: int, high_ms: int, actions: frozenset[str] | None) -> Iterator[Entry]:
        """Yield the events with `low_ms <= ms <= high_ms`, but only of these types unless `actions` is None."""

    def moments(self) -> Iterator[Moment]:
        """Yield a summary of every event, newest first."""


class GeneratedLog:
    """
    A log of any size that is made where it is read.

    Identifier, type and details of event number k depend on the key and on k alone, whom it concerns also on
    how many users there are. The instants spread the events over the last thirty days in the rhythm of the
    tenant, so that number 0 is the newest and numbers rise into the past.
    Memory: a summary of the newest million events, about 13 bytes each, as far as they were read.
    """

    def __init__(self, key: object, cast: Cast, rhythm: Rhythm, events: int) -> None:
        self.events = events
        self.start_ms = rhythm.now_ms - SPAN_DAYS * 86_400_000
        self._key = key
        self._cast = cast
        self._rhythm = rhythm
        self._end = rhythm.mass(rhythm.now_ms)
        self.mass_per_event = (self._end - rhythm.mass(self.start_ms)) / max(events, 1)
        self._weights = list(accumulate(deed.weight for deed in script.DEEDS))
        self._block = lru_cache(maxsize=_BLOCKS_KEPT)(self._draw)

    def _draw(self, number: int) -> tuple[bytes, array[int], array[int]]:
        """Return the deed, the user and the instant of each event of a block."""
        random = rng(self._key, "block", number)
        deeds = bytes(random.choices(_NUMBERS[: len(self._weights)], cum_weights=self._weights, k=BLOCK))
        users = array("I", (int(self._cast.users * (r := random.random()) * r * r) for _ in range(BLOCK)))
        instant, end, step = self._rhythm.instant, self._end, self.mass_per_event
        first = number * BLOCK
        size = min(BLOCK, self.events - first)
        # Each event has a cell of its own, so that the order is known without sorting.
        instants = array("q", (instant(end - step * (first + k + random.random())) for k in range(size)))
        return deeds, users, instants

    def newest_first(self, low_ms: int, high_ms: int, actions: frozenset[str] | None) -> Iterator[Entry]:
        """As `Log.newest_first`; what lies before `high_ms` is not made."""
        wanted = bytes(actions is None or deed.action in actions for deed in script.DEEDS)
        first = max(0, int((self._end - self._rhythm.mass(high_ms + 1)) / self.mass_per_event) - 1)
        for number in range(first // BLOCK, -(-self.events // BLOCK)):
            deeds, users, instants = self._block(number)
            if instants[-1] > high_ms:
                continue
            for k, ms in enumerate(instants):
                if ms < low_ms:
                    return
                if ms <= high_ms and wanted[deeds[k]]:
                    serial = number * BLOCK + k
                    happening = self._cast.happening(
                        ms, script.DEEDS[deeds[k]], users[k], digest(self._key, serial)
                    )
                    yield Entry(ms, serial, self._cast.event(happening))

    def moments(self) -> Iterator[Moment]:
        """As `Log.moments`, without making the events."""
        for number in range(-(-self.events // BLOCK)):
            for deed, user, ms in zip(*self._block(number), strict=False):
                yield Moment(ms, script.DEEDS[deed].action, user)


class ListedLog:
    """
    A log of records that are served as they are, with whatever is wrong with them.

    `first_serial` places the records among those of other logs at the same millisecond.

    Raises:
        ValueError: a record has no `recordedAt` that is an instant, so that no range could hold it.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], first_serial: int = 0) -> None:
        entries = [Entry(_recorded(n, record), first_serial + n, record) for n, record in enumerate(records)]
        self._entries = sorted(entries, key=lambda entry: (-entry.ms, entry.serial))
        self.events = len(entries)

    def newest_first(self, low_ms: int, high_ms: int, actions: frozenset[str] | None) -> Iterator[Entry]:
        """As `Log.newest_first`."""
        start = bisect_left(self._entries, -high_ms, key=lambda entry: -entry.ms)
        end = bisect_right(self._entries, -low_ms, key=lambda entry: -entry.ms)
        for entry in self._entries[start:end]:
            if actions is None or _action(entry.record) in actions:
                yield entry

    def moments(self) -> Iterator[Moment]:
        """As `Log.moments`; users are numbered as they are met."""
        numbers: dict[str, int] = {}
        for ms, _, record in self._entries:
            user = _user(record)
            yield Moment(ms, _action(record), -1 if user is None else numbers.setdefault(user, len(numbers)))


def _recorded(number: int, record: Mapping[str, Any]) -> int:
    try:
        return to_ms(parse_instant(record["recordedAt"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"record {number} has no instant in recordedAt: {error}") from None


def _action(record: Mapping[str, Any]) -> str:
    return str(_get(record.get("action"), "type") or "")


def _user(record: Mapping[str, Any]) -> str | None:
    """Return the user whom an event concerns: its actor, or else the first resource that is a user."""
    actors, resources = record.get("actors"), record.get("resources")
    users = [r for r in resources if _get(r, "type") == "USER"] if isinstance(resources, list) else []
    found = (_get(user, "id") for user in (_get(actors, "user"), *users))
    return next((str(user) for user in found if user is not None), None)


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
