"""Whether an answer is all of it: what is counted, compared and refused while pages come in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

import orjson

from auditor.fetcher.answers import Found
from auditor.fetcher.answers import record as record_of
from auditor.fetcher.failures import AGAIN, FetchError, drift
from auditor.fetcher.seen import Seen
from auditor.model.drift import Documented
from auditor.model.evidence import Assurance
from auditor.model.instant import Duration, Window, edges, format_instant, parse_instant
from auditor.model.plan import PlannedQuery
from auditor.model.resource import Buckets, ResourceKind, value_at
from auditor.model.value import JSON

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Known(NamedTuple):
    """A record, its instant, what it is known by, and a digest of all that it says."""

    record: dict[str, Any]
    instant: datetime | None
    key: bytes
    digest: bytes


@dataclass(slots=True)
class Part:
    """
    The account of one walk over pages: one filter over one slice of one collection.

    `depth` is how often the slice was cut to get it. `count` is the largest number of records that the
    endpoint said there are, where that can be checked.
    """

    filter: str = ""
    window: Window | None = None
    holder: Mapping[str, JSON] | None = None
    """The record of another kind whose collection it is, where each has one."""
    depth: int = 0
    pages: int = 0
    new: int = 0
    """Records so far that no page before had brought."""
    recalled: bool = False
    """Whether its latest answer is one that was kept from before."""
    again: bool = False
    """Whether it is read from its beginning a second time."""
    read: Window | None = None
    """From the earliest instant so far to the latest."""
    page_s: float = 0
    """How many seconds of the window the latest page stands for."""
    count: int | None = None
    records: set[bytes] = field(default_factory=set)
    """What its records are known by, where a count has to be met."""

    @property
    def name(self) -> str:
        """What the part is known by among those of its query, in this run and when it goes on."""
        named = [self.filter, str(self.window), self.holder, self.depth]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32]

    def note(self, instants: Collection[datetime]) -> None:
        """Take in the instants of the records of one more page."""
        self.pages += 1
        if instants:
            page = Window(min(instants), max(instants))
            before = self.read or page
            self.read = Window(min(before.start, page.start), max(before.end, page.end))
            # From where the page before ended, or, where records come in no order, from its first to its last.
            self.page_s = max(page.length_s, self.read.length_s - before.length_s)


@dataclass(slots=True)
class Ledger:
    """
    The account of one query: which records were seen, and whether they can be all.

    `take` is given every page of every part, `close` says whether the answer is complete. Records are known by
    identity and order key: PingOne repeats records at the seams of pages, and real logs hold identifiers
    that are not unique.
    """

    query: PlannedQuery
    kind: ResourceKind
    given: bool = False
    """Whether the records come from a file: nothing counts them, and no window was asked for."""
    records: int = 0
    duplicates: int = 0
    first: datetime | None = None
    last: datetime | None = None
    _seen: Seen = field(init=False, default_factory=Seen)
    _starts: set[datetime] = field(init=False, default_factory=set)
    _documented: Documented = field(init=False)
    _instant_path: str | None = field(init=False)

    def __post_init__(self) -> None:
        self._documented = Documented(self.kind.item)
        self._instant_path = self.kind.buckets.start if self.kind.buckets else self.kind.instant

    @property
    def _counted(self) -> bool:
        return self.kind.page.count == "items" and not self.given

    def take(self, records: Sequence[Found], part: Part, count: int | None = None) -> tuple[JSON, ...]:
        """
        Check the records of one page of a part, and return those that were not seen before.

        *count* is what the page says of the part's whole answer; the largest that was said is believed.

        Raises:
            FetchError: a record is not of the documented shape, contradicts another, or lies outside of the
                window that was asked for.
        """
        if self._counted and count is not None:
            part.count = max(part.count or 0, count)
        known = [self._looked_at(record_of(found, number), number) for number, found in enumerate(records, 1)]
        part.note([each.instant for each in known if each.instant is not None])
        new = tuple(self._new(known, part))
        part.new += len(new)
        self.records += len(new)
        self.duplicates += len(records) - len(new)
        return new

    def _looked_at(self, record: dict[str, Any], number: int) -> _Known:
        """
        Return what a record that is as documented is known by.

        All that has to be looked at of one record comes before the next one: a page of them does not fit into
        the processor's cache.
        """
        if flaw := self._documented.flaw(record):
            raise drift(number, flaw)
        instant = _instant(record, self._instant_path, number) if self._instant_path else None
        key = _key(instant, self._name(record, instant, number))
        digest = hashlib.blake2b(_canonical(record, number), digest_size=16).digest()
        return _Known(record, instant, key, digest)

    def _new(self, known: list[_Known], part: Part) -> Iterator[dict[str, Any]]:
        """Yield the records of a page that were not seen before, and take them in."""
        keys = [each.key for each in known]
        seen = self._seen.among(keys)
        new: dict[bytes, bytes] = {}
        if self._counted:
            part.records.update(keys)
        for number, (record, instant, key, digest) in enumerate(known, 1):
            before = seen.get(key) or new.get(key)
            if before is None:
                new[key] = digest
                if instant is not None:
                    self._note(record, instant, number, part.window)
                yield record
            elif before != digest:
                shown = ", ".join(map(_shown, self._name(record, instant, number)))
                raise FetchError(
                    "evidence.changed-record",
                    f"Two different records came under one identity ({shown}).",
                    "Run again; an audit log that changes while it is read can not be relied on.",
                )
        self._seen.add(new)

    def _name(self, record: dict[str, Any], instant: datetime | None, number: int) -> tuple[JSON, ...]:
        """Return what a record is known by; its instant in whatever spelling is the same one."""
        name = []
        for path in (self.kind.order_key, *self.kind.identity):
            value = instant if path == self._instant_path else value_at(record, path)
            if value is None or isinstance(value, dict | list):
                raise drift(number, f"{path}: there is no value to know the record by")
            name.append(value)
        return tuple(name)

    def _note(self, record: dict[str, Any], instant: datetime, number: int, asked: Window | None) -> None:
        until_now = self.kind.window is not None and self.kind.window.end is None
        at_the_end = self.kind.window is not None and self.kind.window.end_included
        beyond = asked is not None and (instant > asked.end or (instant == asked.end and not at_the_end))
        if asked is not None and (instant < asked.start or (beyond and not until_now)):
            raise FetchError(
                "evidence.outside-window",
                f"A record of {format_instant(instant)} was answered, and {asked} was asked for.",
                "The endpoint does not filter as documented; its answer can not be relied on.",
            )
        self.first = min(self.first or instant, instant)
        self.last = max(self.last or instant, instant)
        buckets, window = self.kind.buckets, self.query.window
        if buckets is not None and window is not None and instant in window:
            if buckets.end is not None:
                self._check_length(instant, _instant(record, buckets.end, number), buckets, window)
            self._starts.add(instant)

    def _check_length(self, start: datetime, end: datetime, buckets: Buckets, window: Window) -> None:
        """Refuse a period that is not as long as was asked for, unless it is the one that is still running."""
        length = self._length(buckets)
        whole_end = length.after(start)
        # 23:59:59 and 23:59:59.999 are both seen as last moments of a period.
        inclusive = timedelta(seconds=1) if buckets.end_inclusive else timedelta()
        still_running = buckets.open_ended and whole_end > window.end and end < whole_end
        if not still_running and not end <= whole_end <= end + inclusive:
            raise FetchError(
                "evidence.drift",
                f"A period from {format_instant(start)} to {format_instant(end)} was answered, and periods of "
                f"{length} were asked for.",
                "The endpoint does not sample as documented; its answer can not be relied on.",
            )

    def _length(self, buckets: Buckets) -> Duration:
        return buckets.period.length(self.query.options[buckets.period.option])

    def close(self, parts: Iterable[Part] = ()) -> tuple[Assurance, tuple[str, ...]]:
        """
        Return why the answer is complete, with remarks; *parts* are those that make it up.

        Raises:
            FetchError: it is not.
        """
        if self._counted:
            for part in parts:
                _check_count(part)
        remarks = tuple(self._left_out())
        if self.given:
            return "given", remarks
        if self._counted:
            return "counted", remarks
        return ("whole buckets" if self.kind.buckets else "end of links"), remarks

    def _left_out(self) -> Iterator[str]:
        """Yield what of the window no period covers; raise where a period is missing or does not belong."""
        window, buckets = self.query.window, self.kind.buckets
        if window is None or buckets is None:
            return
        length = self._length(buckets)
        expected = list(edges(window, length))
        if self._starts and self._starts.isdisjoint(expected):
            yield from self._shifted(window, length)
            return
        strange = self._starts.difference(expected)
        if strange:
            raise FetchError(
                "evidence.drift",
                f"A period from {format_instant(min(strange))} overlaps others of {length}.",
                "The endpoint does not sample as documented; its answer can not be relied on.",
            )
        missing = [start for start in expected if start not in self._starts]
        if missing:
            raise FetchError(
                "evidence.incomplete",
                f"{len(missing)} of {len(expected)} periods are missing, the first from {format_instant(missing[0])}.",
                AGAIN,
            )

    def _shifted(self, window: Window, length: Duration) -> Iterator[str]:
        """
        Accept periods on other edges than ours, if nothing between them is missing.

        On which day a week begins is not documented for user activities, nor in whose time zone a day does;
        only what is cut off at both ends of the window is then left out, and is named.
        """
        starts = sorted(self._starts)
        for earlier, later in pairwise(starts):
            if length.after(earlier) != later:
                raise FetchError(
                    "evidence.incomplete",
                    f"The period from {format_instant(length.after(earlier))} is missing, or overlaps another.",
                    AGAIN,
                )
        counted = [s for s in starts if self.query.include_partial or length.after(s) <= window.end]
        covered = Window(starts[0], length.after(counted[-1]) if counted else starts[0])
        for part in (Window(window.start, covered.start), Window(covered.end, window.end)):
            if length.after(part.start) <= part.end:
                raise FetchError("evidence.incomplete", f"Periods are missing in {part}.", AGAIN)
            if part.length_s > 0:
                yield f"The endpoint's periods leave out {part}."


def _check_count(part: Part) -> None:
    if part.count is None:
        raise FetchError("evidence.incomplete", "The endpoint did not say how many records there are.", AGAIN)
    if part.count != len(part.records):
        raise FetchError(
            "evidence.wrong-count",
            f"The endpoint counts {part.count} records and answered {len(part.records)}.",
            AGAIN,
        )


def _key(instant: datetime | None, name: tuple[JSON, ...]) -> bytes:
    """Return a name as 24 bytes: its instant first, so that neighbours in time are neighbours in the order."""
    first = (instant - _EPOCH) // _MICROSECOND if instant is not None and instant in name else 0
    values = [first if value is instant else value for value in name]
    digest = hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return first.to_bytes(8, "big", signed=True) + digest


def _instant(record: dict[str, Any], path: str, number: int) -> datetime:
    try:
        return parse_instant(str(value_at(record, path)))
    except ValueError as error:
        raise drift(number, f"{path}: {error}") from None


def _canonical(record: dict[str, Any], number: int) -> bytes:
    """Return the same bytes for the same record, whatever the order of its fields."""
    try:
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # lone surrogates, integers beyond 64 bits, more than 254 levels
        pass
    try:
        return json.dumps(record, sort_keys=True).encode()
    except RecursionError:
        raise drift(number, "its depth") from None


def _shown(value: JSON) -> str:
    return format_instant(value) if isinstance(value, datetime) else str(value)
