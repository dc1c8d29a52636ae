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
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

from auditor import jmes
from auditor.evaluator.violations import SHOWN, Key, Received, Violations, ViolationsState
from auditor.model.policy import Form, OnMissing
from auditor.model.value import JSON
from auditor.model.verdict import Status, Violation
from auditor.model.wording import quantity


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

    def state(self) -> Any:
        """Return what is known of the records so far, as a plain value; from now on it takes no more of them."""

    def merge(self, state: Any) -> None:
        """Take in what a reducer of the same expectation knows of other records; that state is used up."""

    def finish(self, records: int) -> Finding:
        """Return what was found in so many records."""


Error: TypeAlias = tuple[Key, str]
"""Why an expression could not be evaluated, with the key of the record: what is told is the first in order."""


def _first(*errors: Error | None) -> Error | None:
    return min((error for error in errors if error is not None), default=None)


@dataclass(slots=True)
class Undecided:
    """What could not be decided: how much of it, and which operands were absent how often."""

    total: int = 0
    operands: Counter[jmes.Operand] = field(default_factory=Counter)

    def add(self, undecided: jmes.Undecided) -> None:
        """Count one record, element or list."""
        self.total += 1
        self.operands.update(undecided.operands)

    def merge(self, other: Undecided) -> None:
        """Add what could not be decided elsewhere."""
        self.total += other.total
        self.operands.update(other.operands)

    def reason(self, what: str) -> str:
        """Return a sentence about *what* can not be decided."""
        counts: Counter[str] = Counter()
        for operand, count in self.operands.items():
            counts[operand.text] += count
        absent = ", ".join(f"`{text}` is absent in {count}" for text, count in sorted(counts.items()))
        return f"{what} can not be decided: {absent}."


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryState:
    """What `every` knows of some records."""

    violations: ViolationsState
    undecided: Undecided
    skipped: int
    errors: int
    error: Error | None


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
        self.error: Error | None = None

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
        self.error = _first(self.error, found)

    def state(self) -> EveryState:
        """Return what is known."""
        return EveryState(
            violations=self.violations.state(),
            undecided=self.undecided,
            skipped=self.skipped,
            errors=self.errors,
            error=self.error,
        )

    def merge(self, state: EveryState) -> None:
        """Take in what is known of other records."""
        self.violations.merge(state.violations)
        self.undecided.merge(state.undecided)
        self.skipped += state.skipped
        self.errors += state.errors
        self.error = _first(self.error, state.error)

    def finish(self, records: int) -> Finding:
        """Return the finding."""
        count = self.violations.total
        held = records - count - self.skipped - self.undecided.total - self.errors
        status = Status.FAIL if count else Status.SKIP if self.skipped == records else Status.PASS
        observed = f"{'false' if count else 'true'} of {count or held} of {quantity(records, 'record')}"
        return Finding(
            status=status,
            observed=f"{observed}, {self.skipped} skipped" if self.skipped else observed,
            violations=self.violations.first(),
            exceptions=count,
            waived=self.violations.waived,
            undecided=self.undecided.total,
            undecided_reason=self.undecided.reason(
                f"{self.undecided.total} of {quantity(records, 'record')}"
            ),
            skipped=self.skipped,
            error=self.error[1] if self.error else "",
        )


class Judged(NamedTuple):
    """How a list was judged: a finding that lists no violations yet, and what makes a list of them."""

    finding: Finding
    violations: Callable[[], Violations] | None = None


class _Apart:
    """A stream of records, some of which are set aside (`out`) and reduced apart from the rest."""

    def __init__(self, stream: Callable[[], jmes.AnyStream | jmes.TemplateStream]) -> None:
        self._make = stream
        self.states: list[Any] = [None, None]
        """Those of the rest and of what was set aside; None where there is nothing."""

    @cached_property
    def _stream(self) -> Any:
        return self._make()

    def step(self, key: Key, record: JSON, received: Received, of: str = "", *, out: bool) -> None:
        """Take one record."""
        if self.states[out] is None:
            self.states[out] = self._stream.initial()
        # Records of one key stand in the order in which they were received.
        self._stream.step(self.states[out], (key, received.page), record, of)

    def merge(self, states: Sequence[Any]) -> None:
        """Take in what is known of other records."""
        self.states = [self._merged(*both) for both in zip(self.states, states, strict=True)]

    def join(self) -> None:
        """Count what was set aside among the rest."""
        self.states = [self._merged(*self.states), None]

    def _merged(self, *states: Any) -> Any:
        there = [state for state in states if state is not None]
        return self._stream.merge(*there) if len(there) > 1 else next(iter(there), None)

    @property
    def is_untouched(self) -> bool:
        """Whether none of the rest has come here."""
        return self.states[0] is None

    def finish(self) -> Any:
        """Return what the stream gives for the rest."""
        return self._stream.finish(self._stream.initial() if self.is_untouched else self.states[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ListState:
    """What `none`, `some` or `that` knows of some records; of streams, what each knows of the rest and of `out`."""

    out: ViolationsState
    error: Error | None
    streams: Sequence[Sequence[Any]]
    yielded: ViolationsState
    left_open: Undecided
    records_left_open: int


@dataclass(kw_only=True, eq=False)
class _OfList:
    """
    `none`, `some` and `that`: an expression on the list of all records.

    What can not be decided counts for the worse or the better, as on_missing says. Of an element of an
    outermost filter that is to be selected or left out. Of a record on which the expression is undecided by
    itself, to be left out of the list and, for the worse, to be a violation; so such records are reduced
    apart (`out`) from the rest.

    *stream* makes the expression a stream, in which elements that are undecided are selected or left out.
    """

    form: Form
    expression: jmes.AnyExpression
    stream: Callable[[bool], jmes.AnyStream]
    violations: Callable[[], Violations]
    on_missing: OnMissing | None
    message: jmes.TemplateStream | None

    def __post_init__(self) -> None:
        self.out, self.yielded = self.violations(), self.violations()
        self.error: Error | None = None
        """The first of the errors that single records give by themselves."""
        self.left_open, self.records_left_open = Undecided(), 0
        """Elements that could not be decided, and how many records they are: an element of a record is none."""
        # Whether an element that is undecided speaks for or against a list of items is known, but not of `that`.
        self._selects = (self.form, self.on_missing) in {("none", "fail"), ("some", "pass")}
        both = self.form == "that" and self.on_missing in ("pass", "fail")
        self._streams = [
            _Apart(partial(self.stream, select)) for select in ((False, True) if both else (self._selects,))
        ]
        if self.form != "that" and self.on_missing != "fail":
            self.message = None
        message = self.message
        self._told = None if message is None else _Apart(lambda: message)
        self._key = self.out.subject.key

    @property
    def _decide(self) -> Callable[[JSON, jmes.Missing], JSON | jmes.Undecided]:
        return self.expression.decide

    def add_needs(self, need: jmes.Need) -> None:
        """Add what is read of each record."""
        jmes.add_needs(self.expression.node, need, of_list=True, result=not isinstance(self, Items))
        for part in self.message.parts if self.message else ():
            if not isinstance(part, str):
                jmes.add_needs(part.node, need, of_list=True)

    def _is_undecided(self, record: JSON, key: Key) -> bool:
        """Tell whether a record by itself keeps the expression from being decided."""
        try:
            result = self._decide([record], jmes.Missing(select=False))
        except jmes.EvaluationError as error:
            self.error = _first(self.error, (key, str(error)))
            return False
        return isinstance(result, jmes.Undecided)

    def _set_aside(self, key: Key, received: Received) -> None:
        """Count a record on which the expression is undecided by itself."""
        if (self.form, self.on_missing) == ("none", "fail"):
            self.out.add_record(key, received)
        else:
            self.out.total += 1

    def _pieces(self) -> tuple[str, ...]:
        """Return the message about the list of what was told so far, in pieces."""
        if self._told is None:
            return (self.out.subject.default_message,)
        pieces: tuple[str, ...] = self._told.finish()
        return pieces

    def state(self) -> ListState:
        """Return what is known."""
        return ListState(
            out=self.out.state(),
            error=self.error,
            streams=[each.states for each in self._all_streams()],
            yielded=self.yielded.state(),
            left_open=self.left_open,
            records_left_open=self.records_left_open,
        )

    def merge(self, state: ListState) -> None:
        """Take in what is known of other records."""
        self.out.merge(state.out)
        self.error = _first(self.error, state.error)
        for stream, states in zip(self._all_streams(), state.streams, strict=True):
            stream.merge(states)
        self.yielded.merge(state.yielded)
        self.left_open.merge(state.left_open)
        self.records_left_open += state.records_left_open

    def _all_streams(self) -> list[_Apart]:
        return self._streams if self._told is None else [*self._streams, self._told]

    def finish(self, records: int) -> Finding:
        """Return the finding."""
        try:
            rest = self._judged_apart(records)
            for stream in self._all_streams():
                stream.join()
            found = self._judged(records)
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
            return self._judged(records - self.out.total)
        except jmes.EvaluationError as error:
            return error

    def _judged(self, records: int) -> Judged | jmes.Undecided:
        """Judge the rest, of this number, unless the expression is undecided as a whole."""
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
        violations = self.violations()
        violations.add_list(message)
        return violations

    def _yielded(self, count: int, records: int, left_open: jmes.Reduced) -> Finding:
        """Return the finding about a list of items that is decided."""
        open_elements, skipped = self._open(left_open), self._skipped(left_open)
        return Finding(
            status=_status(bool(count) is (self.form == "some"), skipped, records),
            observed=f"{quantity(count, 'item')} of {quantity(records, 'record')}",
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

    def __post_init__(self) -> None:
        super().__post_init__()
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
        if self._told is not None:
            self._told.step(self._key(record), record, received, out=False)

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
        for _, undecided in found:
            self.left_open.add(undecided)
        self.records_left_open += any(element is record for element, _ in found)

    def _look_closer(self, record: JSON, received: Received) -> None:
        """Take a record on which the expression is undecided or an error."""
        key = self._key(record)
        out = self.on_missing is not None and self._is_undecided(record, key)
        if out:
            self._set_aside(key, received)
        self._streams[0].step(key, record, received, out=out)

    def _judged(self, records: int) -> Judged | jmes.Undecided:
        if not self._streams[0].is_untouched:
            result = self._streams[0].finish().result
            if isinstance(result, jmes.Undecided):
                return result
        left_open = jmes.Reduced(None, self.left_open.total, self.left_open.operands, self.records_left_open)
        return Judged(self._yielded(self.yielded.total, records, left_open), lambda: self.yielded)


class List(_OfList):
    """
    Any expression, as a stream of the records.

    For `that` with on_missing there are two of them: one leaves out what can not be decided, the other selects it.
    """

    def step(self, record: JSON, received: Received, of: str = "") -> None:
        """Take one record."""
        key = self._key(record)
        # Of an expression over several lists no single record decides anything.
        out = self.on_missing is not None and not of and self._is_undecided(record, key)
        if out:
            self._set_aside(key, received)
        for stream in self._all_streams():
            stream.step(key, record, received, of, out=out)

    def _judged(self, records: int) -> Judged | jmes.Undecided:
        if self.form == "that":
            return self._that(records)
        reduced = self._streams[0].finish()
        result = reduced.result
        if isinstance(result, jmes.Undecided):
            return result
        if not isinstance(result, list):
            return Judged(Finding(error=f"the expression is {_kind(result)}, not a list"))
        finding = self._yielded(len(result), records, reduced)
        return Judged(finding, lambda: self._items(result, reduced.keys))

    def _items(self, items: list[JSON], keys: Mapping[int, Any]) -> Violations:
        """Return the items that an expression made of the list; some are records of it."""
        violations = self.violations()
        for position, item in enumerate(items):
            key = keys.get(id(item))
            violations.add((position,), item, Received(key[1], item) if key else None)
        return violations

    def _that(self, records: int) -> Judged | jmes.Undecided:
        """
        Judge `that`.

        Whether an element that is undecided speaks for or against the list, only the expression knows. So it
        is evaluated with all of them and with none: with `on_missing: pass` one of the two must be true, with
        `fail` both. `skip` leaves them out.
        """
        without, *both = self._streams
        reduced = without.finish()
        results = [reduced.result]
        if reduced.undecided and both:
            results.append(both[0].finish().result)
        for result in results:
            if isinstance(result, jmes.Undecided):
                return result
            if not isinstance(result, bool):
                return Judged(Finding(error=f"the expression is {_kind(result)}, not true or false"))
        open_elements, skipped = self._open(reduced), self._skipped(reduced)
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
    return f"{quantity(undecided.total, 'element')} of the list"


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
