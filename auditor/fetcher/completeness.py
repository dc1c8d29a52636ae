"""Whether an answer is all of it: what is counted, compared and refused while pages come in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import orjson
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

from auditor.fetcher.failures import FetchError
from auditor.model.evidence import Assurance
from auditor.model.instant import Duration, Window, edges, format_instant, parse_instant
from auditor.model.plan import PlannedQuery
from auditor.model.resource import Buckets, ResourceKind, value_at
from auditor.model.value import JSON

_FORMATS: Final = FormatChecker(formats=())
_DRIFT: Final = "PingOne's answer has changed its shape: update the auditor, or report it."


@_FORMATS.checks("date-time", raises=ValueError)
def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_instant(value))


@dataclass(slots=True)
class Ledger:
    """
    The account of one query: which records were seen, and whether they can be all.

    `take` is given every page in order, `close` says whether the answer is complete. Records are known by
    identity and order key: PingOne repeats records at the seams of pages, and real logs hold identifiers
    that are not unique.
    """

    query: PlannedQuery
    kind: ResourceKind
    given: bool = False
    """Whether the records come from a file, so that nothing counts them."""
    validator: Draft202012Validator = field(init=False)
    seen: dict[tuple[JSON, ...], bytes] = field(default_factory=dict)
    starts: set[datetime] = field(default_factory=set)
    records: int = 0
    duplicates: int = 0
    count: int | None = None
    first: datetime | None = None
    last: datetime | None = None

    def __post_init__(self) -> None:
        self.validator = Draft202012Validator(self.kind.item, format_checker=_FORMATS)

    def take(self, records: list[dict[str, Any]], count: int | None = None) -> tuple[JSON, ...]:
        """
        Check the records of one page, and return those that were not seen before.

        Raises:
            FetchError: a record is not of the documented shape, or contradicts another.
        """
        if self.kind.page.count == "items" and count is not None:
            self.count = count
        return tuple(record for record in records if self._is_new(record))

    def _is_new(self, record: dict[str, Any]) -> bool:
        error = best_match(self.validator.iter_errors(record))
        if error is not None:
            raise FetchError("evidence.drift", f"A record is not as documented: {_describe(error)}.", _DRIFT)
        key = tuple(value_at(record, path) for path in (self.kind.order_key, *self.kind.identity))
        if None in key:
            raise FetchError("evidence.drift", f"A record lacks {' or '.join(self.kind.identity)}.", _DRIFT)
        digest = hashlib.blake2b(_canonical(record), digest_size=16).digest()
        known = self.seen.setdefault(key, digest)
        if known != digest:
            raise FetchError(
                "evidence.changed-record",
                f"Two different records came under one identity ({', '.join(map(str, key))}).",
                "Run again; an audit log that changes while it is read can not be relied on.",
            )
        if len(self.seen) == self.records:
            self.duplicates += 1
            return False
        self.records += 1
        self._note_instant(record)
        return True

    def _note_instant(self, record: dict[str, Any]) -> None:
        buckets = self.kind.buckets
        path = buckets.start if buckets else self.kind.instant
        if path is None:
            return
        instant = parse_instant(str(value_at(record, path)))
        self.first = min(self.first or instant, instant)
        self.last = max(self.last or instant, instant)
        if buckets is not None and self.query.window is not None and instant in self.query.window:
            self._check_length(record, instant, buckets, self.query.window)
            self.starts.add(instant)

    def _check_length(
        self, record: dict[str, Any], start: datetime, buckets: Buckets, window: Window
    ) -> None:
        """Refuse a period that is not as long as was asked for, unless it is the one that is still running."""
        length = self._length(buckets)
        end, whole_end = parse_instant(str(value_at(record, buckets.end))), length.after(start)
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

    def check_asked(self, records: tuple[JSON, ...], window: Window | None) -> None:
        """
        Refuse records that lie outside of the window that was asked for.

        Raises:
            FetchError: the endpoint answered one.
        """
        path = self.kind.buckets.start if self.kind.buckets else self.kind.instant
        if window is None or path is None:
            return
        until_now = self.kind.window is not None and self.kind.window.end is None
        for record in records:
            instant = parse_instant(str(value_at(record, path)))
            if instant < window.start or (instant >= window.end and not until_now):
                raise FetchError(
                    "evidence.outside-window",
                    f"A record of {format_instant(instant)} was answered, and {window} was asked for.",
                    "The endpoint does not filter as documented; its answer can not be relied on.",
                )

    def close(self) -> tuple[Assurance, tuple[str, ...]]:
        """
        Return why the answer is complete, with remarks.

        Raises:
            FetchError: it is not.
        """
        if self.kind.page.count == "items" and not self.given:
            if self.count is None:
                raise FetchError(
                    "evidence.incomplete", "The endpoint did not say how many records there are.", _AGAIN
                )
            if self.count != self.records:
                raise FetchError(
                    "evidence.wrong-count",
                    f"The endpoint counts {self.count} records and answered {self.records}.",
                    _AGAIN,
                )
        remarks = tuple(self._gaps())
        if self.given:
            return "given", remarks
        if self.kind.page.count == "items":
            return "counted", remarks
        return ("whole buckets" if self.kind.buckets else "end of links"), remarks

    def _gaps(self) -> Iterator[str]:
        """Yield remarks about buckets that can not be there; raise for one that should be."""
        window, buckets = self.query.window, self.kind.buckets
        if window is None or buckets is None:
            return
        length = self._length(buckets)
        expected = list(edges(window, length))
        if expected and self.starts and not self.starts & set(expected):
            yield from self._shifted(window, length)
            return
        missing = [start for start in expected if start not in self.starts]
        if missing:
            raise FetchError(
                "evidence.incomplete",
                f"{len(missing)} of {len(expected)} periods are missing, the first from {format_instant(missing[0])}.",
                _AGAIN,
            )

    def _shifted(self, window: Window, length: Duration) -> Iterator[str]:
        """
        Accept buckets on other edges than ours, if nothing between them is missing.

        On which day a week begins is not documented for user activities; only what is cut off at both ends
        of the window is then left out, and is named.
        """
        starts = sorted(self.starts)
        for earlier, later in pairwise(starts):
            if length.after(earlier) != later:
                raise FetchError(
                    "evidence.incomplete",
                    f"The period from {format_instant(length.after(earlier))} is missing.",
                    _AGAIN,
                )
        head, tail = Window(window.start, starts[0]), Window(length.after(starts[-1]), window.end)
        for part in (head, tail):
            if part.length_s >= (length.after(part.start) - part.start).total_seconds():
                raise FetchError("evidence.incomplete", f"Periods are missing in {part}.", _AGAIN)
            if part.length_s > 0:
                yield f"The endpoint's periods leave out {part}."


_AGAIN: Final = "Run again; if it stays so, report it to Ping Identity with the correlation ids."


def _canonical(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        # Lone surrogates, and integers beyond 64 bits.
        return repr(sorted(record.items(), key=lambda item: item[0])).encode("utf-8", "surrogatepass")


def _describe(error: ValidationError) -> str:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    shown = (
        f"{error.validator} {error.validator_value!r:.80}" if error.validator != "required" else error.message
    )
    return f"{where.removeprefix('.') or 'the record'}: {shown}"
