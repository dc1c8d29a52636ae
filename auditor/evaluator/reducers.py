"""
Expectations as reducers: records go in one by one, a finding comes out.

`every` looks at each record on its own. The other forms need the whole list, which is kept up to a bound and
sorted by order key and identity, so that no order of arrival changes a finding.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from auditor import jmes, scim
from auditor.evaluator.privacy import Personal, Redaction
from auditor.model.instant import parse_instant
from auditor.model.policy import Form, OnMissing
from auditor.model.resource import ResourceKind, value_at
from auditor.model.value import JSON
from auditor.model.verdict import PERSONAL, Redacted, Status, Violation

MAX_ITEMS: Final = 100_000
"""Records that one expectation over the whole list, or a join of one query, may hold; beyond, it is refused."""

SHOWN: Final = 20
"""Violations that a verdict shows; the rest is counted."""

THE_LIST: Final = "the whole list"
"""What names a violation that is no single record's."""

_SHOWN_LENGTH: Final = 120


class Subject:
    """What a check is about: how its records are ordered and named, and how a violation is told."""

    def __init__(
        self,
        check: str,
        kind: ResourceKind,
        template: jmes.Template | None,
        default_message: str,
        redaction: Redaction,
    ) -> None:
        self.check = check
        self.kind = kind
        self.template = template
        self.default_message = default_message
        self.redaction = redaction
        # Of what is bound, a record without names knows nothing.
        self._from_bound = self._personal_pieces(Personal(bound=redaction.personal.bound))
        self._instant_path = kind.buckets.start if kind.buckets else kind.instant
        paths = (kind.order_key, *kind.identity)
        self._paths = [(path, scim.rules(kind)(path).type == "instant") for path in paths]

    def key(self, record: JSON) -> tuple[Any, ...]:
        """
        Return order key and identity of a record, in a form that sorts.

        Instants sort as instants: PingOne may write the same one with and without milliseconds.
        """
        return tuple(_sortable(value_at(record, path), instant) for path, instant in self._paths)

    def name(self, item: JSON) -> str:
        """Return what names an item: a record's identity, else its own value, cut short."""
        if self._is_record(item):
            return ", ".join(str(value_at(item, path)) for path in self.kind.identity)
        text = item if isinstance(item, str) else _canonical(item, ascii_only=False)
        return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 1]}…"

    def public_name(self, item: JSON) -> str:
        """Return what names an item in a reason, which all may read."""
        return self.name(self.redaction.item(item))

    def violation(self, item: JSON) -> Violation:
        """Return a record, or an item that an expression made of records, as a violation."""
        known = [self.key(item)] if self._is_record(item) else [None, item]
        link = value_at(item, "_links.self.href") if isinstance(item, dict) else None
        return Violation(
            fingerprint=self._fingerprint(*known),
            identity=self.name(item),
            at=self._instant(item),
            message=self._message(item),
            item=item,
            link=link if isinstance(link, str) else None,
            redacted=self._redacted(item),
        )

    def violation_of_list(self, records: JSON) -> Violation:
        """Return the whole list as one violation; of its records only the message tells."""
        return Violation(
            fingerprint=self._fingerprint(),
            identity=THE_LIST,
            at=None,
            message=self._message(records),
            item=None,
            redacted=self._redacted_list(records),
        )

    def _redacted(self, item: JSON) -> Redacted | None:
        """Return an item as it is told without personal data; None where that is no other."""
        told = self.redaction.item(item)
        if told is item and not any(self._from_bound):
            return None
        pairs = self._pairs(item, told, self._from_bound)
        return Redacted(identity=self.name(told), message=pairs, item=told)

    def _redacted_list(self, records: JSON) -> Redacted | None:
        """Return the message about a list with nothing personal in it; None where that is no other."""
        personal = self._personal_pieces(self.redaction.personal)
        if not any(personal):
            return None
        return Redacted(identity=THE_LIST, message=self._pairs(records, records, personal), item=None)

    def _pairs(self, item: JSON, told: JSON, personal: tuple[bool, ...]) -> tuple[tuple[str, str], ...]:
        """Return the pieces of the message of an item, and of that which is told instead."""
        if self.template is None:
            return ((self.default_message, self.default_message),)
        without = [
            PERSONAL if hidden else piece
            for hidden, piece in zip(personal, self.template.pieces(told), strict=True)
        ]
        return tuple(zip(self.template.pieces(item), without, strict=True))

    def _personal_pieces(self, personal: Personal) -> tuple[bool, ...]:
        """Tell for each part of the message whether it can hold something personal."""
        parts = self.template.parts if self.template else ()
        return tuple(not isinstance(part, str) and personal.touches(part.node) for part in parts)

    def _message(self, item: JSON) -> str:
        return self.template.render(item) if self.template else self.default_message

    def _fingerprint(self, *known: JSON) -> str:
        return hashlib.sha256(_canonical([self.check, *known]).encode("ascii")).hexdigest()[:32]

    def _is_record(self, item: JSON) -> bool:
        return isinstance(item, dict) and all(value_at(item, path) is not None for path in self.kind.identity)

    def _instant(self, item: JSON) -> datetime | None:
        text = value_at(item, self._instant_path) if self._instant_path and isinstance(item, dict) else None
        try:
            return parse_instant(text) if isinstance(text, str) else None
        except ValueError:
            return None


def _sortable(value: JSON, instant: bool) -> tuple[int, Any]:  # noqa: FBT001  # called in one line
    """Return a value of a record with the rank of its type, since values of two types have no order."""
    if value is None:
        return (0, 0)
    if isinstance(value, int | float):
        return (1, value)
    if instant and isinstance(value, str):
        try:
            return (2, parse_instant(value))
        except ValueError:
            pass
    return (3, value if isinstance(value, str) else _canonical(value))


def _canonical(value: JSON, *, ascii_only: bool = True) -> str:
    try:
        return json.dumps(value, ensure_ascii=ascii_only, sort_keys=True, default=str)
    except (RecursionError, ValueError):  # deeper, or a number of more digits, than Python writes
        return "(too large)"


@dataclass(slots=True)
class Violations:
    """The violations of one expectation on each record: all counted, the first in order kept."""

    subject: Subject
    total: int = 0
    _kept: list[tuple[tuple[Any, ...], JSON]] = field(default_factory=list)

    def add(self, record: JSON) -> None:
        """Count a record that violates."""
        self.total += 1
        self._kept.append((self.subject.key(record), record))
        if len(self._kept) > 10 * SHOWN:
            self._kept = self._first()

    def _first(self) -> list[tuple[tuple[Any, ...], JSON]]:
        return heapq.nsmallest(SHOWN, self._kept, key=lambda entry: entry[0])

    def first(self) -> tuple[Violation, ...]:
        """Return the first violations by order key and identity."""
        return tuple(self.subject.violation(record) for _, record in self._first())


@dataclass(slots=True)
class Undecided:
    """What could not be decided: how much of it, and which operands were absent how often."""

    total: int = 0
    operands: dict[str, int] = field(default_factory=dict)

    def add(self, undecided: jmes.Undecided) -> None:
        """Count one record, element or list."""
        self.total += 1
        for operand in undecided.operands:
            self.operands[operand.text] = self.operands.get(operand.text, 0) + 1

    def reason(self, what: str) -> str:
        """Return a sentence about *what* can not be decided."""
        absent = ", ".join(f"`{text}` is absent in {count}" for text, count in sorted(self.operands.items()))
        return f"{what} can not be decided: {absent}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What a reducer found.

    `status` leaves out what was undecided and errors: whoever makes the outcome lets them win. `undecided`
    counts records, or elements of the list, and `undecided_reason` tells of them; `error` says why the
    expression could not be evaluated, with its `code`. `skipped` records have left the population.
    """

    status: Status = Status.PASS
    observed: str = ""
    violations: tuple[Violation, ...] = ()
    exceptions: int = 0
    undecided: int = 0
    undecided_reason: str = ""
    skipped: int = 0
    error: str = ""
    code: str = "evaluation.error"


class Reducer(Protocol):
    """One expectation on its way over the records."""

    def step(self, record: JSON) -> None:
        """Take one record of the population."""

    def finish(self) -> Finding:
        """Return what was found."""


class Every:
    """`every`: true of each record."""

    def __init__(self, expression: jmes.Expression, subject: Subject, on_missing: OnMissing | None) -> None:
        self.expression = expression
        self.subject = subject
        self.on_missing = on_missing
        self.violations = Violations(subject)
        self.undecided = Undecided()
        self.records = 0
        self.skipped = 0
        self.held = 0
        self.error: tuple[tuple[Any, ...], str] | None = None

    def step(self, record: JSON) -> None:
        """Take one record."""
        self.records += 1
        try:
            result = self.expression.decide(record, jmes.Missing(select=False))
        except jmes.EvaluationError as error:
            self._fail(record, str(error))
            return
        if isinstance(result, jmes.Undecided):
            self._missing(record, result)
        elif result is True:
            self.held += 1
        elif result is False:
            self.violations.add(record)
        else:
            self._fail(record, f"the expression is {_kind(result)}, not true or false")

    def _missing(self, record: JSON, result: jmes.Undecided) -> None:
        match self.on_missing:
            case "fail":
                self.violations.add(record)
            case "pass":
                self.held += 1
            case "skip":
                self.skipped += 1
            case _:
                self.undecided.add(result)

    def _fail(self, record: JSON, reason: str) -> None:
        """Keep the error of the record that is first in order."""
        found = (self.subject.key(record), f"{reason} (record {self.subject.public_name(record)})")
        self.error = min(self.error or found, found)

    def finish(self) -> Finding:
        """Return the finding."""
        count = self.violations.total
        status = Status.FAIL if count else Status.SKIP if self.skipped == self.records else Status.PASS
        observed = (
            f"{'false' if count else 'true'} of {count or self.held} of {number(self.records, 'record')}"
        )
        return Finding(
            status=status,
            observed=f"{observed}, {self.skipped} skipped" if self.skipped else observed,
            violations=self.violations.first(),
            exceptions=count,
            undecided=self.undecided.total,
            undecided_reason=self.undecided.reason(
                f"{self.undecided.total} of {number(self.records, 'record')}"
            ),
            skipped=self.skipped,
            error=self.error[1] if self.error else "",
        )


class Whole:
    """`none`, `some` and `that`: an expression on the whole list."""

    def __init__(
        self, form: Form, expression: jmes.Expression, subject: Subject, on_missing: OnMissing | None
    ) -> None:
        self.form = form
        self.expression = expression
        self.subject = subject
        self.on_missing = on_missing
        self.records: list[JSON] = []
        self.too_many = False

    def step(self, record: JSON) -> None:
        """Keep one record; beyond `MAX_ITEMS` none is kept, and the finding is an error."""
        if self.too_many or len(self.records) >= MAX_ITEMS:
            self.too_many = True
            self.records.clear()
        else:
            self.records.append(record)

    def finish(self) -> Finding:
        """Return the finding."""
        if self.too_many:
            return Finding(
                error=f"it needs the whole list, which has more than {MAX_ITEMS:,} records",
                code="evaluation.too-many",
            )
        whole = self._whole()
        try:
            found = self._judge(whole)
            if isinstance(found, Finding):
                return found
            if self.on_missing is None:
                undecided = Undecided()
                undecided.add(found)
                reason = undecided.reason("The expression")
                return Finding(observed="not decided", undecided=1, undecided_reason=reason)
            return self._as_told(whole, self.on_missing)
        except jmes.EvaluationError as error:
            return Finding(error=str(error))

    def _whole(self) -> list[JSON]:
        """Return the records in order."""
        return sorted(self.records, key=self.subject.key)

    def _value(self, records: list[JSON]) -> JSON:
        """Return what the expression is evaluated on."""
        return records

    def _judge(self, records: list[JSON]) -> Finding | jmes.Undecided:
        """Judge some records, unless the expression is undecided as a whole."""
        return self._that(records) if self.form == "that" else self._items(records)

    # What can not be decided counts for the worse or the better, as on_missing says. Of an element of an
    # outermost filter that is to be selected or left out; of a record on which the expression is undecided
    # by itself, to be left out and, for the worse, to be a violation.

    def _items(self, records: list[JSON]) -> Finding | jmes.Undecided:
        """Judge what `none` and `some` yield."""
        missing = jmes.Missing(select=(self.form, self.on_missing) in {("none", "fail"), ("some", "pass")})
        result = self.expression.decide(self._value(records), missing)
        if isinstance(result, jmes.Undecided):
            return result
        if not isinstance(result, list):
            return Finding(error=f"the expression is {_kind(result)}, not a list")
        unwanted = result if self.form == "none" else []
        open_elements, skipped = self._open(missing), self._skipped(missing, records)
        return Finding(
            status=_status(bool(result) is (self.form == "some"), skipped, records),
            observed=f"{number(len(result), 'item')} of {number(len(records), 'record')}",
            violations=tuple(self.subject.violation(item) for item in unwanted[:SHOWN]),
            exceptions=len(unwanted),
            undecided=open_elements.total,
            undecided_reason=open_elements.reason(_elements(open_elements)),
            skipped=skipped,
        )

    def _that(self, records: list[JSON]) -> Finding | jmes.Undecided:
        """
        Judge `that`.

        Whether an element that is undecided speaks for or against the list, only the expression knows. So it
        is evaluated with all of them and with none: with `on_missing: pass` one of the two must be true, with
        `fail` both. `skip` leaves them out.
        """
        without, with_all = jmes.Missing(select=False), jmes.Missing(select=True)
        results = [self.expression.decide(self._value(records), without)]
        if without.found and self.on_missing in ("pass", "fail"):
            results.append(self.expression.decide(self._value(records), with_all))
        for result in results:
            if isinstance(result, jmes.Undecided):
                return result
            if not isinstance(result, bool):
                return Finding(error=f"the expression is {_kind(result)}, not true or false")
        open_elements, skipped = self._open(without), self._skipped(without, records)
        holds = any(results) if self.on_missing == "pass" else all(results)
        violated = not holds and not open_elements.total
        return Finding(
            status=_status(holds, skipped, records),
            observed="not decided" if open_elements.total else str(holds).lower(),
            violations=(self.subject.violation_of_list(self._value(records)),) if violated else (),
            exceptions=int(violated),
            undecided=open_elements.total,
            undecided_reason=open_elements.reason(_elements(open_elements)),
            skipped=skipped,
        )

    def _as_told(self, whole: list[JSON], on_missing: OnMissing) -> Finding:
        """Judge a list on which the expression is undecided as a whole."""
        out: list[JSON] = []
        rest: list[JSON] = []
        for record in whole:
            (out if self._is_undecided(record) else rest).append(record)
        found = self._judge(rest) if rest else None
        if not isinstance(found, Finding):  # it rests on no single record
            return self._counted_as(on_missing, whole, Finding(observed="not decided"))
        found = replace(found, observed=f"{found.observed}, {len(out)} undecided")
        if found.error or (self.form, on_missing) in {("none", "pass"), ("that", "pass"), ("some", "fail")}:
            return found
        if on_missing == "skip":
            return replace(found, skipped=found.skipped + len(out))
        if self.form == "none":
            worse = tuple(self.subject.violation(record) for record in out[:SHOWN])
            return replace(
                found,
                status=Status.FAIL,
                violations=(*worse, *found.violations)[:SHOWN],
                exceptions=len(out) + found.exceptions,
            )
        return self._counted_as(on_missing, whole, found)

    def _counted_as(self, on_missing: OnMissing, whole: list[JSON], found: Finding) -> Finding:
        """Return a finding whose status is what the policy says that the list counts as."""
        failed = on_missing == "fail"
        return replace(
            found,
            status={"fail": Status.FAIL, "pass": Status.PASS, "skip": Status.SKIP}[on_missing],
            observed=f"{found.observed}: counted as {on_missing}",
            violations=(self.subject.violation_of_list(self._value(whole)),) if failed else (),
            exceptions=int(failed),
        )

    def _is_undecided(self, record: JSON) -> bool:
        """Tell whether a record by itself keeps the expression from being decided."""
        return isinstance(self.expression.decide([record], jmes.Missing(select=False)), jmes.Undecided)

    def _open(self, missing: jmes.Missing) -> Undecided:
        """Return the elements for which nobody said what they count as."""
        undecided = Undecided()
        for _, found in missing.found if self.on_missing is None else ():
            undecided.add(found)
        return undecided

    def _skipped(self, missing: jmes.Missing, records: list[JSON]) -> int:
        """Return how many records are left out; what lies inside of a record is none itself."""
        left_out = {id(element) for element, _ in missing.found} if self.on_missing == "skip" else set()
        return sum(id(record) in left_out for record in records)


class Together(Whole):
    """`that` on the records of several queries, as `{name: [...]}`; no single record decides anything there."""

    def __init__(
        self,
        expression: jmes.Expression,
        subject: Subject,
        on_missing: OnMissing | None,
        lists: Mapping[str, list[JSON]],
    ) -> None:
        super().__init__("that", expression, subject, on_missing)
        self.lists = dict(lists)

    def _whole(self) -> list[JSON]:
        return [record for records in self.lists.values() for record in records]

    def _value(self, records: list[JSON]) -> JSON:  # noqa: ARG002  # one list is as good as another
        return self.lists

    def _is_undecided(self, record: JSON) -> bool:  # noqa: ARG002  # an expression over several lists has no single record
        return False


def _elements(undecided: Undecided) -> str:
    return f"{number(undecided.total, 'element')} of the list"


def _status(holds: bool, skipped: int, records: list[JSON]) -> Status:  # noqa: FBT001  # its verdict
    """Return the status of a decided list, which is no pass where every record was left out of it."""
    if not holds:
        return Status.FAIL
    return Status.SKIP if records and skipped == len(records) else Status.PASS


def number(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _kind(value: JSON) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
    return "an object"
