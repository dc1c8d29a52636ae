"""
Expectations as reducers: records go in one by one, a finding comes out.

`every` looks at each record on its own. The other forms need the whole list, which is kept up to a bound and
sorted by order key and identity, so that no order of arrival changes a verdict.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from auditor import jmes
from auditor.model.instant import parse_instant
from auditor.model.policy import OnMissing
from auditor.model.resource import ResourceKind, value_at
from auditor.model.value import JSON
from auditor.model.verdict import Status, Violation

MAX_ITEMS: Final = 100_000
"""Records that one expectation over the whole list may hold; beyond, it is refused rather than cut."""

SHOWN: Final = 20
"""Violations that a verdict shows; the rest is counted."""

SortKey = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What names a violation: the check with its environment, and how records are identified."""

    check: str
    kind: ResourceKind
    template: jmes.Template | None
    default_message: str

    def key(self, record: JSON) -> SortKey:
        """Return order key and identity of a record, as texts that sort."""
        return tuple(str(value_at(record, path)) for path in (self.kind.order_key, *self.kind.identity))

    def violation(self, item: JSON) -> Violation:
        """Return an item as a violation; what is no record is named by its own value."""
        identity = ", ".join(self.key(item)[1:]) if self._is_record(item) else _shown(item)
        at = self._instant(item)
        material = json.dumps([self.check, identity, str(at or "")], ensure_ascii=True)
        link = value_at(item, "_links.self.href") if isinstance(item, dict) else None
        return Violation(
            fingerprint=hashlib.sha256(material.encode()).hexdigest()[:32],
            identity=identity,
            at=at,
            message=self.template.render(item) if self.template else self.default_message,
            item=item,
            link=link if isinstance(link, str) else None,
        )

    def _is_record(self, item: JSON) -> bool:
        return isinstance(item, dict) and None not in [value_at(item, path) for path in self.kind.identity]

    def _instant(self, item: JSON) -> datetime | None:
        path = self.kind.buckets.start if self.kind.buckets else self.kind.instant
        text = value_at(item, path) if path and isinstance(item, dict) else None
        try:
            return parse_instant(text) if isinstance(text, str) else None
        except ValueError:
            return None


def _shown(item: JSON) -> str:
    text = (
        item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, sort_keys=True, default=str)
    )
    return text if len(text) <= 120 else f"{text[:119]}…"


@dataclass(slots=True)
class Violations:
    """The violations of one expectation: all counted, the first by order key and identity kept."""

    subject: Subject
    total: int = 0
    _kept: list[tuple[_Reversed, int, JSON]] = field(default_factory=list)

    def add(self, item: JSON) -> None:
        """Count one violation."""
        self.total += 1
        entry = (
            _Reversed(self.subject.key(item) if isinstance(item, dict) else (_shown(item),)),
            self.total,
            item,
        )
        if len(self._kept) < SHOWN:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def first(self) -> tuple[Violation, ...]:
        """Return the first violations in order."""
        ordered = sorted(self._kept, key=lambda entry: (entry[0].key, entry[1]))
        return tuple(self.subject.violation(item) for _, _, item in ordered)


@dataclass(slots=True)
class _Reversed:
    """A key that sorts the other way, so that the heap's smallest is the last in order."""

    key: SortKey

    def __lt__(self, other: _Reversed) -> bool:
        return self.key > other.key


@dataclass(slots=True)
class Undecided:
    """What could not be decided: how many records, and which parts of the expression were absent."""

    records: int = 0
    operands: dict[str, int] = field(default_factory=dict)

    def add(self, undecided: jmes.Undecided) -> None:
        """Count one record."""
        self.records += 1
        for operand in undecided.operands:
            self.operands[operand.text] = self.operands.get(operand.text, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What a reducer found in a non-empty population.

    `status` and `observed` leave undecided records and errors out: whoever makes the outcome adds them.
    `error` is the first expression error, with the record that it met.
    """

    status: Status
    observed: str
    violations: Violations
    undecided: Undecided
    skipped: int = 0
    error: str = ""


class Reducer(Protocol):
    """One expectation on its way over the records."""

    def step(self, record: JSON) -> None:
        """Take one record of the population."""

    def finish(self) -> Finding:
        """Return what was found."""


class TooMany(Exception):  # noqa: N818  # a finding about the policy
    """An expectation over the whole list has more records than may be held."""


@dataclass(slots=True)
class Every:
    """`every`: true of each record."""

    expression: jmes.Expression
    subject: Subject
    on_missing: OnMissing | None
    violations: Violations = field(init=False)
    undecided: Undecided = field(default_factory=Undecided)
    skipped: int = 0
    error: str = ""
    records: int = 0

    def __post_init__(self) -> None:
        self.violations = Violations(self.subject)

    def step(self, record: JSON) -> None:
        """Take one record."""
        self.records += 1
        try:
            result = self.expression.decide(record, jmes.Missing(select=False))
        except jmes.EvaluationError as error:
            self.error = self.error or f"{error} (record {self.subject.violation(record).identity})"
            return
        if isinstance(result, jmes.Undecided):
            self._missing(record, result)
        elif result is False:
            self.violations.add(record)
        elif result is not True:
            name = self.subject.violation(record).identity
            self.error = self.error or f"the expression is {_kind(result)}, not true or false (record {name})"

    def _missing(self, record: JSON, result: jmes.Undecided) -> None:
        match self.on_missing:
            case "fail":
                self.violations.add(record)
            case "skip":
                self.skipped += 1
            case None:
                self.undecided.add(result)

    def finish(self) -> Finding:
        """Return the finding."""
        count = self.violations.total
        return Finding(
            status=Status.FAIL if count else Status.PASS,
            observed=f"{'false' if count else 'true'} of {count or self.records} of {self.records} records",
            violations=self.violations,
            undecided=self.undecided,
            skipped=self.skipped,
            error=self.error,
        )


@dataclass(slots=True)
class Whole:
    """`none`, `some` and `that`: an expression on the whole list."""

    form: str
    expression: jmes.Expression
    subject: Subject
    on_missing: OnMissing | None
    records: list[JSON] = field(default_factory=list)

    def step(self, record: JSON) -> None:
        """
        Keep one record.

        Raises:
            TooMany: there are more than `MAX_ITEMS`.
        """
        if len(self.records) >= MAX_ITEMS:
            raise TooMany
        self.records.append(record)

    def finish(self) -> Finding:
        """Return the finding."""
        whole = sorted(self.records, key=self.subject.key)
        # An element that can not be decided counts for the worse or the better, as on_missing says.
        select = (self.form, self.on_missing) in {("none", "fail"), ("some", "pass")}
        missing = jmes.Missing(select=select)
        violations, undecided = Violations(self.subject), Undecided()
        try:
            result = self.expression.decide(whole, missing)
        except jmes.EvaluationError as error:
            return Finding(
                status=Status.PASS, observed="", violations=violations, undecided=undecided, error=str(error)
            )
        skipped = 0
        if self.on_missing is None:
            for _, found in missing.found:
                undecided.add(found)
            if isinstance(result, jmes.Undecided):
                undecided.add(result)
        elif self.on_missing == "skip":
            skipped = len(missing.found)
        if isinstance(result, jmes.Undecided) or (missing.found and self.form == "that"):
            status = self._as_told(violations, whole)
            if status is not None:
                return Finding(
                    status=status,
                    observed="not decided"
                    if self.on_missing is None
                    else f"not decided: counted as {self.on_missing}",
                    violations=violations,
                    undecided=undecided,
                    skipped=skipped,
                )
        return self._judge(result, whole, violations, undecided, skipped)

    def _as_told(self, violations: Violations, whole: list[JSON]) -> Status | None:
        """Return what an undecided list counts as; None where leaving its undecided elements out decides."""
        match self.on_missing:
            case "fail":
                violations.add(f"the list of {len(whole)} records")
                return Status.FAIL
            case "pass":
                return Status.PASS
            case "skip":
                return Status.SKIP
        return Status.PASS

    def _judge(
        self, result: Any, whole: list[JSON], violations: Violations, undecided: Undecided, skipped: int
    ) -> Finding:
        error = ""
        if self.form == "that":
            if result is False:
                violations.add(whole)
            elif result is not True:
                error = f"the expression is {_kind(result)}, not true or false"
            observed = "true" if result is True else "false"
            failed = result is False
        else:
            found = result if isinstance(result, list) else []
            if not isinstance(result, list):
                error = f"the expression is {_kind(result)}, not a list"
            if self.form == "none":
                _add_all(violations, found)
            observed = f"{len(found)} {'item' if len(found) == 1 else 'items'} of {len(whole)} records"
            failed = bool(found) if self.form == "none" else not found
        return Finding(
            status=Status.FAIL if failed else Status.PASS,
            observed=observed,
            violations=violations,
            undecided=undecided,
            skipped=skipped,
            error=error,
        )


def _add_all(violations: Violations, items: Iterable[JSON]) -> None:
    for item in items:
        violations.add(item)


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
