"""
Expectations as reducers: records go in one by one, a finding comes out.

`every` looks at each record on its own. The other forms are about the list of all records, in the order of (order
key, identity), which no order of arrival changes. It is kept only where nothing less will do: `Items` is for
expressions that make items of each record by itself, `List` for all others, as streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from auditor import jmes
from auditor.evaluator.violations import SHOWN, Key, Received, Violations, number
from auditor.model.policy import Form, OnMissing
from auditor.model.value import JSON
from auditor.model.verdict import Status, Violation


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
    waived: int = 0
    undecided: int = 0
    undecided_reason: str = ""
    skipped: int = 0
    error: str = ""
    code: str = "evaluation.error"


class Reducer(Protocol):
    """One expectation on its way over the records."""

    def add_needs(self, need: jmes.Need) -> None:
        """Add what is read of each record."""

    def step(self, record: JSON, received: Received, of: str = "") -> None:
        """
        Take one record of the population, or of one of several by its name.

        *record* holds at least what is read, order key and identity; *received* is the whole of it.
        """

    def finish(self, records: int) -> Finding:
        """Return what was found in so many records."""


@dataclass(slots=True)
class Undecided:
    """What could not be decided: how much of it, and which operands were absent how often."""

    total: int = 0
    operands: Counter[jmes.Operand] = field(default_factory=Counter)

    def add(self, undecided: jmes.Undecided) -> None:
        """Count one record, element or list."""
        self.total += 1
        self.operands.update(undecided.operands)

    def reason(self, what: str) -> str:
        """Return a sentence about *what* can not be decided."""
        counts: Counter[str] = Counter()
        for operand, count in self.operands.items():
            counts[operand.text] += count
        absent = ", ".join(f"`{text}` is absent in {count}" for text, count in sorted(counts.items()))
        return f"{what} can not be decided: {absent}."


class Every:
    """`every`: true of each record."""

    def __init__(
        self, expression: jmes.AnyExpression, violations: Violations, on_missing: OnMissing | None
    ) -> None:
        self.expression = expression
        self.is_compiled = isinstance(expression, jmes.Expression)
        self.on_missing = on_missing
        self.violations = violations
        self.undecided = Undecided()
        self.skipped = 0
        self.errors = 0
        self.error: tuple[Key, str] | None = None

    def add_needs(self, need: jmes.Need) -> None:
        """Add what is read of each record."""
        jmes.add_needs(self.expression.node, need)

    def step(self, record: JSON, received: Received, of: str = "") -> None:  # noqa: ARG002  # of the one that it is about
        """Take one record."""
        try:
            result = self.expression.decide(record, jmes.Missing(select=False))
        except jmes.EvaluationError as error:
            result = error
        if result is not True:
            self.take(result, record, received)

    def take(
        self, result: JSON | jmes.Undecided | jmes.EvaluationError, record: JSON, received: Received
    ) -> None:
        """Take what the expression gives on a record where that is not true."""
        if isinstance(result, jmes.Undecided):
            self._leave_open(record, received, result)
        elif result is False:
            self._violate(record, received)
        elif isinstance(result, jmes.EvaluationError):
            self._fail(received, str(result))
        else:
            self._fail(received, f"the expression is {_kind(result)}, not true or false")

    def _violate(self, record: JSON, received: Received) -> None:
        self.violations.add_record(self.violations.subject.key(record), received)

    def _leave_open(self, record: JSON, received: Received, result: jmes.Undecided) -> None:
        match self.on_missing:
            case "fail":
                self._violate(record, received)
            case "skip":
                self.skipped += 1
            case None:
                self.undecided.add(result)

    def _fail(self, received: Received, reason: str) -> None:
        """Count an error, and keep that of the record that is first in order."""
        self.errors += 1
        subject = self.violations.subject
        found = (subject.key(received.record), f"{reason} (record {subject.public_name(received.record)})")
        self.error = min(self.error or found, found)

    def finish(self, records: int) -> Finding:
        """Return the finding."""
        count = self.violations.total
        held = records - count - self.skipped - self.undecided.total - self.errors
        status = Status.FAIL if count else Status.SKIP if self.skipped == records else Status.PASS
        observed = f"{'false' if count else 'true'} of {count or held} of {number(records, 'record')}"
        return Finding(
            status=status,
            observed=f"{observed}, {self.skipped} skipped" if self.skipped else observed,
            violations=self.violations.first(),
            exceptions=count,
            waived=self.violations.waived,
            undecided=self.undecided.total,
            undecided_reason=self.undecided.reason(f"{self.undecided.total} of {number(records, 'record')}"),
            skipped=self.skipped,
            error=self.error[1] if self.error else "",
        )


class Judged(NamedTuple):
    """How a list was judged: a finding that lists no violations yet, and what makes a list of them."""

    finding: Finding
    violations: Callable[[], Violations] | None = None


class _OfList:
    """
    `none`, `some` and `that`: an expression on the list of all records.

    What can not be decided counts for the worse or the better, as on_missing says. Of an element of an
    outermost filter that is to be selected or left out. Of a record on which the expression is undecided by
    itself, to be left out of the list and, for the worse, to be a violation; so such records are reduced
    apart (`out`) from the rest.
    """

    def __init__(
        self,
        form: Form,
        expression: jmes.AnyExpression,
        violations: Callable[[], Violations],
        on_missing: OnMissing | None,
        message: jmes.TemplateStream | None,
    ) -> None:
        self.form = form
        self.on_missing = on_missing
        self.new_violations = violations
        self.out = violations()
        self.error: tuple[Key, str] | None = None
        """The first of the errors that single records give by themselves."""
        self._key = self.out.subject.key
        self._expression = expression
        self._message = message if form == "that" or on_missing == "fail" else None
        self._told = message.initial() if message else []
        self._told_of_out = message.initial() if message else []
        """What the message knows of the rest, and of what was set aside."""
        # Whether an element that is undecided speaks for or against a list of items is known.
        self._selects = (form, on_missing) in {("none", "fail"), ("some", "pass")}

    @property
    def _decide(self) -> Callable[[JSON, jmes.Missing], JSON | jmes.Undecided]:
        return self._expression.decide

    def add_needs(self, need: jmes.Need) -> None:
        """Add what is read of each record."""
        jmes.add_needs(self._expression.node, need, of_list=True, result=not isinstance(self, Items))
        for part in self._message.parts if self._message else ():
            if not isinstance(part, str):
                jmes.add_needs(part.node, need, of_list=True)

    def _is_undecided(self, record: JSON, key: Key) -> bool:
        """Tell whether a record by itself keeps the expression from being decided."""
        try:
            result = self._decide([record], jmes.Missing(select=False))
        except jmes.EvaluationError as error:
            found = (key, str(error))
            self.error = min(self.error or found, found)
            return False
        return isinstance(result, jmes.Undecided)

    def _set_aside(self, key: Key, received: Received) -> None:
        """Count a record on which the expression is undecided by itself."""
        if (self.form, self.on_missing) == ("none", "fail"):
            self.out.add_record(key, received)
        else:
            self.out.total += 1

    def _tell(self, key: Key, record: JSON, of: str = "", *, out: bool) -> None:
        """Take a record for the message about the list."""
        if self._message is not None:
            self._message.step(self._told_of_out if out else self._told, key, record, of)

    def _pieces(self) -> tuple[str, ...]:
        """Return the message about the list of what was told so far, in pieces."""
        return self._message.finish(self._told) if self._message else (self.out.subject.default_message,)

    def finish(self, records: int) -> Finding:
        """Return the finding."""
        try:
            rest = self._judged_apart(records)
            if self._message is not None:
                self._told = self._message.merge(self._told, self._told_of_out)
            found = self._whole(records)
            if isinstance(found, Judged):
                return _listed(found)
            if self.on_missing is None:
                undecided = Undecided()
                undecided.add(found)
                reason = undecided.reason("The expression")
                return Finding(observed="not decided", undecided=1, undecided_reason=reason)
            if self.error is not None:
                return Finding(error=self.error[1])
            if isinstance(rest, jmes.EvaluationError):
                raise rest
            return self._as_told(rest, self.on_missing)
        except jmes.EvaluationError as error:
            code = error.code if error.code == "evaluation.too-many" else "evaluation.error"
            return Finding(error=str(error), code=code)

    def _judged_apart(self, records: int) -> Judged | jmes.Undecided | jmes.EvaluationError | None:
        """Judge the rest, where something was set aside; an error of it matters only if the rest does."""
        if not self.out.total or self.out.total == records:
            return None
        try:
            return self._rest(records - self.out.total)
        except jmes.EvaluationError as error:
            return error

    def _rest(self, records: int) -> Judged | jmes.Undecided:
        """Judge the records that were not set aside, of this number."""
        raise NotImplementedError

    def _whole(self, records: int) -> Judged | jmes.Undecided:
        """Judge the list of all records, unless the expression is undecided as a whole."""
        raise NotImplementedError

    def _as_told(self, rest: Judged | jmes.Undecided | None, on_missing: OnMissing) -> Finding:
        """Judge a list on which the expression is undecided as a whole."""
        if not isinstance(rest, Judged):  # it rests on no single record
            return self._counted_as(on_missing, "not decided")
        out, found = self.out.total, rest.finding
        observed = f"{found.observed}, {out} undecided"
        rest = rest._replace(finding=replace(found, observed=observed))
        if found.error or (self.form, on_missing) in {("none", "pass"), ("that", "pass"), ("some", "fail")}:
            return _listed(rest)
        if on_missing == "skip":
            return _listed(rest._replace(finding=replace(rest.finding, skipped=found.skipped + out)))
        if self.form == "none":
            better = _listed(rest)
            return replace(
                better,
                status=Status.FAIL,
                violations=(*self.out.first(), *better.violations)[:SHOWN],
                exceptions=out + better.exceptions,
                waived=self.out.waived + better.waived,
            )
        return self._counted_as(on_missing, observed)

    def _counted_as(self, on_missing: OnMissing, observed: str) -> Finding:
        """Return a finding whose status is what the policy says that the list counts as."""
        failed = on_missing == "fail"
        found = Finding(
            status={"fail": Status.FAIL, "pass": Status.PASS, "skip": Status.SKIP}[on_missing],
            observed=f"{observed}: counted as {on_missing}",
            exceptions=int(failed),
        )
        return _listed(Judged(found, partial(self._the_list, self._pieces()) if failed else None))

    def _the_list(self, message: Sequence[str]) -> Violations:
        """Return the list itself as the only violation."""
        violations = self.new_violations()
        violations.add_list(message)
        return violations

    def _yielded(self, count: int, records: int, left_open: jmes.Reduced) -> Finding:
        """Return the finding about a list of items that is decided."""
        open_elements, skipped = self._open(left_open), self._skipped(left_open)
        return Finding(
            status=_status(bool(count) is (self.form == "some"), skipped, records),
            observed=f"{number(count, 'item')} of {number(records, 'record')}",
            exceptions=count if self.form == "none" else 0,
            undecided=open_elements.total,
            undecided_reason=open_elements.reason(_elements(open_elements)),
            skipped=skipped,
        )

    def _open(self, left_open: jmes.Reduced) -> Undecided:
        """Return the elements for which nobody said what they count as."""
        return (
            Undecided(left_open.undecided, Counter(left_open.operands))
            if self.on_missing is None
            else Undecided()
        )

    def _skipped(self, left_open: jmes.Reduced) -> int:
        """Return how many records are left out; what lies inside of a record is none itself."""
        return left_open.records if self.on_missing == "skip" else 0


def _listed(judged: Judged) -> Finding:
    """Return a finding with its violations."""
    if judged.violations is None or not judged.finding.exceptions:
        return judged.finding
    violations = judged.violations()
    return replace(judged.finding, violations=violations.first(), waived=violations.waived)


class Items(_OfList):
    """
    `none` and `some` with an expression that makes items of each record by itself, such as `[?p].x`.

    One function call a record says what it yields. Records on which the expression is undecided or an error, and
    no others, go through the stream, which knows what comes of them in the whole list.
    """

    def __init__(
        self,
        form: Form,
        expression: jmes.AnyExpression,
        stream: Callable[[bool], jmes.AnyStream],
        violations: Callable[[], Violations],
        on_missing: OnMissing | None,
        message: jmes.TemplateStream | None,
    ) -> None:
        super().__init__(form, expression, violations, on_missing, message)
        self.yielded = violations()
        self.left_open = jmes.Reduced(None)
        self._streams = stream
        self._trouble: Any = None
        self._trouble_of_out: Any = None
        self._missing = jmes.Missing(select=self._selects)

    def step(self, record: JSON, received: Received, of: str = "") -> None:  # noqa: ARG002  # of the one that it is about
        """Take one record."""
        missing = self._missing
        try:
            items = self._decide([record], missing)
        except jmes.EvaluationError:
            items = None
        if type(items) is list:
            if items:
                self._take(items, record, received)
            if missing.found:
                self._leave_open(missing, record)
        else:
            missing.found = []
            self._look_closer(record, received)
        if self._message is not None:
            self._tell(self._key(record), record, out=False)

    @property
    def _stream(self) -> jmes.AnyStream:
        return self._streams(self._selects)

    def _take(self, items: list[JSON], record: JSON, received: Received) -> None:
        if self.form == "some":
            self.yielded.total += len(items)
            return
        key = self._key(record)
        if not self.yielded.needs((key, 0)):
            self.yielded.total += len(items)
            return
        if record is not received.record:  # which holds more than was needed to count the items
            items = cast("list[JSON]", self._decide([received.record], jmes.Missing(select=self._selects)))
        for position, item in enumerate(items):
            self.yielded.add((key, position), item, received)

    def _leave_open(self, missing: jmes.Missing, record: JSON) -> None:
        """Count what could not be decided."""
        found, missing.found = missing.found, []
        operands = Counter(self.left_open.operands)
        for _, undecided in found:
            operands.update(undecided.operands)
        self.left_open = jmes.Reduced(
            None,
            self.left_open.undecided + len(found),
            operands,
            self.left_open.records + any(element is record for element, _ in found),
        )

    def _look_closer(self, record: JSON, received: Received) -> None:
        """Take a record on which the expression is undecided or an error."""
        key = self._key(record)
        if self.on_missing is not None and self._is_undecided(record, key):
            self._set_aside(key, received)
            self._trouble_of_out = self._trouble_of_out or self._stream.initial()
            self._stream.step(self._trouble_of_out, key, record)
        else:
            self._trouble = self._trouble or self._stream.initial()
            self._stream.step(self._trouble, key, record)

    def _rest(self, records: int) -> Judged | jmes.Undecided:
        return self._judged(self._trouble, records)

    def _whole(self, records: int) -> Judged | jmes.Undecided:
        trouble = self._trouble or self._trouble_of_out
        if self._trouble and self._trouble_of_out:
            trouble = self._stream.merge(self._trouble, self._trouble_of_out)
        return self._judged(trouble, records)

    def _judged(self, trouble: Any, records: int) -> Judged | jmes.Undecided:
        if trouble is not None:
            result = self._stream.finish(trouble).result
            if isinstance(result, jmes.Undecided):
                return result
        return Judged(self._yielded(self.yielded.total, records, self.left_open), lambda: self.yielded)


class List(_OfList):
    """
    Any expression, as a stream of the records.

    For `that` with on_missing there are two of them: one leaves out what can not be decided, the other selects it.
    """

    def __init__(
        self,
        form: Form,
        expression: jmes.AnyExpression,
        stream: Callable[[bool], jmes.AnyStream],
        violations: Callable[[], Violations],
        on_missing: OnMissing | None,
        message: jmes.TemplateStream | None,
    ) -> None:
        super().__init__(form, expression, violations, on_missing, message)
        selects = [self._selects]
        if form == "that" and on_missing in ("pass", "fail"):
            selects.append(True)
        self._streams = [stream(select) for select in selects]
        self._rest_states: list[Any] = [stream.initial() for stream in self._streams]
        self._out_states: list[Any] = [stream.initial() for stream in self._streams]

    def step(self, record: JSON, received: Received, of: str = "") -> None:
        """Take one record."""
        key = self._key(record)
        # Of an expression over several lists no single record decides anything.
        out = self.on_missing is not None and not of and self._is_undecided(record, key)
        states = self._out_states if out else self._rest_states
        if out:
            self._set_aside(key, received)
        for stream, state in zip(self._streams, states, strict=True):
            stream.step(state, (key, received.page), record, of)
        self._tell(key, record, of, out=out)

    def _rest(self, records: int) -> Judged | jmes.Undecided:
        return self._judged(self._rest_states, records)

    def _whole(self, records: int) -> Judged | jmes.Undecided:
        states = self._rest_states
        if self.out.total:
            pairs = zip(self._streams, states, self._out_states, strict=True)
            states = [stream.merge(rest, out) for stream, rest, out in pairs]
        return self._judged(states, records)

    def _judged(self, states: Sequence[Any], records: int) -> Judged | jmes.Undecided:
        if self.form == "that":
            return self._that(states, records)
        reduced = self._streams[0].finish(states[0])
        result = reduced.result
        if isinstance(result, jmes.Undecided):
            return result
        if not isinstance(result, list):
            return Judged(Finding(error=f"the expression is {_kind(result)}, not a list"))
        finding = self._yielded(len(result), records, reduced)
        return Judged(finding, lambda: self._items(result, reduced.keys))

    def _items(self, items: list[JSON], keys: Mapping[int, Any]) -> Violations:
        """Return the items that an expression made of the list; some are records of it."""
        violations = self.new_violations()
        for position, item in enumerate(items):
            key = keys.get(id(item))
            violations.add((position,), item, Received(key[1], item) if key else None)
        return violations

    def _that(self, states: Sequence[Any], records: int) -> Judged | jmes.Undecided:
        """
        Judge `that`.

        Whether an element that is undecided speaks for or against the list, only the expression knows. So it
        is evaluated with all of them and with none: with `on_missing: pass` one of the two must be true, with
        `fail` both. `skip` leaves them out.
        """
        without = self._streams[0].finish(states[0])
        results = [without.result]
        if without.undecided and len(states) > 1:
            results.append(self._streams[1].finish(states[1]).result)
        for result in results:
            if isinstance(result, jmes.Undecided):
                return result
            if not isinstance(result, bool):
                return Judged(Finding(error=f"the expression is {_kind(result)}, not true or false"))
        open_elements, skipped = self._open(without), self._skipped(without)
        holds = any(results) if self.on_missing == "pass" else all(results)
        violated = not holds and not open_elements.total
        finding = Finding(
            status=_status(holds, skipped, records),
            observed="not decided" if open_elements.total else str(holds).lower(),
            exceptions=int(violated),
            undecided=open_elements.total,
            undecided_reason=open_elements.reason(_elements(open_elements)),
            skipped=skipped,
        )
        return Judged(finding, partial(self._the_list, self._pieces()))


def _elements(undecided: Undecided) -> str:
    return f"{number(undecided.total, 'element')} of the list"


def _status(holds: bool, skipped: int, records: int) -> Status:  # noqa: FBT001  # its verdict
    """Return the status of a decided list, which is no pass where every record was left out of it."""
    if not holds:
        return Status.FAIL
    return Status.SKIP if records and skipped == records else Status.PASS


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
