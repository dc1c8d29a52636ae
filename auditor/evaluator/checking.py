"""One check on its way over the records of its queries, to its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Any, Final

from auditor import jmes
from auditor.evaluator.counting import thresholds
from auditor.evaluator.judging import (
    DEFAULT_MESSAGES,
    ERROR_HELP,
    Judgement,
    expected,
    gravest,
    of_emptiness,
    of_finding,
    unread,
)
from auditor.evaluator.populations import Population, PopulationState
from auditor.evaluator.privacy import Personal, Redaction
from auditor.evaluator.reducers import Every, Finding, Items, List, Reducer, Undecided
from auditor.evaluator.violations import Hook, Subject, Violations
from auditor.jmes.tree import Literal
from auditor.model.evidence import QueryEnd
from auditor.model.instant import Duration, format_instant
from auditor.model.plan import Plan
from auditor.model.policy import SEVERITIES
from auditor.model.query import WHOLE_WINDOW, CompiledCheck, CompiledExpectation, Engine
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON, Value, Values
from auditor.model.verdict import Examined, Outcome, Status, Verdict
from auditor.model.wording import quantity

ARCHIVE_GRACE: Final = timedelta(days=1)
"""How much later than a window given records may begin, and how much earlier end: a quiet day is no gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckState:
    """What one check knows of some records: its populations by name, its expectations by position."""

    populations: Mapping[str, PopulationState]
    reducers: Mapping[int, Any]


class CheckAudit:
    """One check on its way over the records of its queries."""

    def __init__(
        self,
        check: CompiledCheck,
        populations: Mapping[str, Population],
        types: Mapping[str, jmes.Type],
        plan: Plan,
        *,
        hook: Hook | None,
        max_items: int,
        engine: Engine,
    ) -> None:
        self.check = check
        self.engine = engine
        self.populations = populations
        self.plan = plan
        self.hook = hook
        self.max_items = max_items
        self.bound: dict[str, Value] = {}
        self.bound_personal: tuple[str, ...] = ()
        self.types = {name: types[population.kind.kind] for name, population in populations.items()}
        # What is bound is known only when all records are there; everything else takes them as they come.
        self.reducers: dict[int, Reducer] = {}
        if not check.bind:
            for position, expectation in enumerate(check.expectations):
                reducer = self.reducers[position] = self._reducer(expectation, check.values)
                for population, of in self._populations_of(expectation):
                    population.hand_to(reducer, of)

    def _populations_of(self, expectation: CompiledExpectation) -> Iterable[tuple[Population, str]]:
        """Yield the populations that an expectation is about, each with the name under which it is seen."""
        if expectation.over is not None:
            yield self.populations[expectation.over], ""
        else:
            for name, population in self.populations.items():
                population.need.whole = True
                yield population, name

    # Expressions

    def _reducer(self, expectation: CompiledExpectation, values: Values) -> Reducer:
        lists = tuple(self.populations) if expectation.over is None else ()
        record = jmes.ANY if expectation.over is None else self.types[expectation.over]
        if expectation.over is None:
            given = self._joined_type()
        else:
            given = record if expectation.form == "every" else jmes.list_of(record)
        expression = self._compiled(expectation.expression, values, given)
        template = self._template(
            expectation, values, given if expectation.form in ("every", "that") else record
        )
        subject = self._subject(expectation, expression.node, template)
        if expectation.form == "every":
            return Every(expression, Violations(subject, self.hook), expectation.on_missing)

        def stream(select: bool) -> jmes.AnyStream:  # noqa: FBT001  # as of `Missing`
            most = self.max_items
            if isinstance(expression, jmes.ReferenceExpression):
                return jmes.ReferenceStream(expression, lists, max_items=most)
            return jmes.stream(
                expression.node, as_of=self.plan.as_of, select=select, lists=lists, max_items=most
            )

        message = template.stream(lists, max_items=self.max_items) if template else None
        itemwise = expectation.form != "that" and jmes.is_itemwise(expression.node)
        kind = Items if itemwise and self.engine == "compiled" else List
        return kind(
            form=expectation.form,
            expression=expression,
            stream=stream,
            violations=partial(Violations, subject, self.hook),
            on_missing=expectation.on_missing,
            message=message,
        )

    def _compiled(self, text: str, values: Values, given: jmes.Type) -> jmes.AnyExpression:
        """Return an expression as it is evaluated on values of a type, which tells instants from other texts."""
        node = jmes.check(jmes.parse(text, values), given, warns_of_missing=False).node
        if self.engine == "reference":
            return jmes.ReferenceExpression(node, self.plan.as_of)
        return jmes.compile(node, as_of=self.plan.as_of, generated=True)

    def _template(
        self, expectation: CompiledExpectation, values: Values, item: jmes.Type
    ) -> jmes.Template | None:
        if expectation.message is None:
            return None
        return jmes.Template.parse(
            expectation.message,
            values,
            as_of=self.plan.as_of,
            see=lambda node, _: jmes.check(node, item, warns_of_missing=False).node,
        )

    def _subject(
        self, expectation: CompiledExpectation, node: jmes.Node, template: jmes.Template | None
    ) -> Subject:
        default = DEFAULT_MESSAGES[expectation.form].format(expectation.expression)
        kind = self._kind(expectation)
        paths = self._joined_personal() if expectation.over is None else kind.personal
        made = node if expectation.form in ("none", "some") else None
        kinds = [population.kind for population in self.populations.values()]
        redaction = Redaction(Personal(tuple(paths), self.bound_personal), made, kinds)
        # What is compared with a sensitive value could tell it.
        reads = () if expectation.over is None or _is_sensitive(node) else jmes.fields_read(node)
        query = "" if expectation.over is None else self.populations[expectation.over].query.id
        # A record that was known to be over the warning is not known to be over the cap.
        position = self.check.expectations.index(expectation)
        name = f"{self.check.name}#{position + 1}" if position else self.check.name
        return Subject(name, kind, template, default, redaction, reads, query)

    def _joined_personal(self) -> tuple[str, ...]:
        """Return the personal fields of all records, as expressions over all queries see them."""
        return tuple(
            f"{name}.{path}"
            for name, population in self.populations.items()
            for path in population.kind.personal
        )

    def _kind(self, expectation: CompiledExpectation) -> ResourceKind:
        """Return the kind of the records that an expectation is about; of several, of the first."""
        return self.populations[expectation.over or next(iter(self.populations))].kind

    def _joined_type(self) -> jmes.Type:
        return jmes.object_of({name: jmes.list_of(record) for name, record in self.types.items()})

    def _lists(self) -> dict[str, list[JSON]]:
        """Return the records of each query in order, as joins see them."""
        return {
            name: sorted(
                (received.record for received in sorted(population.records, key=_PAGE)),
                key=Subject(self.check.name, population.kind, None, "", Redaction(Personal())).key,
            )
            for name, population in self.populations.items()
        }

    def _bound(self) -> Values | Judgement:
        """Return the values with what `bind` finds, or why there is none."""
        values = dict(self.check.values)
        lists, given = self._lists(), self._joined_type()
        for name, text in self.check.bind.items():
            expression = self._compiled(text, self.check.values, given)
            missing = jmes.Missing(select=False)
            try:
                found = expression.decide(lists, missing)
            except jmes.EvaluationError as error:
                reason = f"bind.{name} can not be evaluated: {error}."
                return Judgement(Status.ERROR, "evaluation.error", reason, ERROR_HELP["evaluation.error"])
            undecided = Undecided()
            for operands in (
                *(each for _, each in missing.found),
                *((found,) if isinstance(found, jmes.Undecided) else ()),
            ):
                undecided.add(operands)
            if undecided.total:
                return Judgement(
                    Status.ERROR, "policy.undecided", undecided.reason(f"bind.{name}"), _DECIDE_BIND
                )
            if found is None:
                reason = f"bind.{name} gives null, and nothing can be compared with that."
                return Judgement(Status.ERROR, "policy.undecided", reason, _DECIDE_BIND)
            values[f"bind.{name}"] = Value(found, _is_sensitive(expression.node), "bind")
            if Personal(self._joined_personal()).touches(expression.node):
                self.bound_personal += (f"bind.{name}",)
        self.bound = {name: values[f"bind.{name}"] for name in self.check.bind}
        return values

    # Parts

    def state(self) -> CheckState:
        """Return what is known of the records so far, as a plain value; from now on it takes no more of them."""
        return CheckState(
            populations={name: population.state() for name, population in self.populations.items()},
            reducers={position: reducer.state() for position, reducer in self.reducers.items()},
        )

    def merge(self, state: CheckState) -> None:
        """Take in what is known of other records."""
        for name, population in self.populations.items():
            population.merge(state.populations[name])
        for position, reducer in self.reducers.items():
            reducer.merge(state.reducers[position])

    # Verdicts

    def finish(self, ends: Mapping[str, QueryEnd], probes: Mapping[tuple[str, str], QueryEnd]) -> Verdict:
        """Return the verdict, from the ends of its queries, and of probes by environment and resource kind."""
        if self.check.archive is not None and (reason := self._too_short(self.check.archive, ends)):
            return skipped(self.check, reason)
        obstacle = gravest(
            filter(
                None,
                (
                    unread(
                        population,
                        ends.get(population.query.id),
                        probes.get((population.query.environment, population.query.resource)),
                    )
                    for population in self.populations.values()
                ),
            )
        )
        outcomes = self._outcomes(obstacle)
        status = max(outcome.status for outcome in outcomes)
        # Of those that decided, the gravest speaks for the check; of equals, the first.
        deciding = max((outcome for outcome in outcomes if outcome.status is status), key=_gravity)
        # What failed stays as grave as it is where something else could not be decided.
        amiss = [outcome for outcome in outcomes if outcome.status >= Status.FAIL]
        over = {expectation.over for expectation in self.check.expectations}
        own_ends = {query: ends[query] for query in self._queries() if query in ends}
        return Verdict(
            **_identity(self.check),
            severity=max(amiss, key=_gravity).severity if amiss else self.check.severity,
            status=status,
            code=deciding.code,
            reason=deciding.reason,
            help=deciding.help,
            population=sum(
                population.count for name, population in self.populations.items() if {None, name} & over
            ),
            exceptions=sum(outcome.exceptions for outcome in outcomes),
            waived=sum(outcome.waived for outcome in outcomes),
            undecided=max(outcome.undecided for outcome in outcomes),
            outcomes=outcomes,
            bound={name: value.json for name, value in self.bound.items() if not value.sensitive},
            bound_personal=tuple(name.removeprefix("bind.") for name in self.bound_personal),
            examined=tuple(population.examined for population in self.populations.values()),
            caveats=tuple(dict.fromkeys(self._caveats(own_ends))),
            elapsed_s=sum(end.elapsed_s for end in own_ends.values()),
        )

    def _too_short(self, archive: str, ends: Mapping[str, QueryEnd]) -> str | None:
        """Return that the given records do not reach over what the check needs, if they do not."""
        for population in self.populations.values():
            window, end = population.window, ends.get(population.query.id)
            if window is None or end is None or population.kind.retention is None:
                continue
            is_whole = archive == WHOLE_WINDOW
            start = window.start if is_whole else Duration.parse(archive).before(self.plan.as_of)
            needed = f"the check needs them from {format_instant(start)}"
            if end.failure is not None and end.failure.code == "evidence.not-given":
                return end.failure.reason
            if end.complete and (end.first is None or end.first > start + ARCHIVE_GRACE):
                begin = f"begin at {format_instant(end.first)}" if end.first else "are none"
                return f"The given records {begin}, and {needed}."
            if is_whole and end.last is not None and end.last < window.end - ARCHIVE_GRACE:
                last = format_instant(end.last)
                needed = f"the check needs them up to {format_instant(window.end)}"
                return f"The given records end at {last}, and {needed}."
        return None

    def _queries(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(population.query.id for population in self.populations.values()))

    def _caveats(self, ends: Mapping[str, QueryEnd]) -> Iterable[str]:
        for population in self.populations.values():
            yield from population.caveats
        for end in ends.values():
            yield from end.warnings
        for population in self.populations.values():
            given = ends.get(population.query.id)
            if given is None or given.assurance != "given":
                continue
            yield "The records were given as a file: whether they are all of the window can not be told."
            if population.outside:
                lie = "lies" if population.outside == 1 else "lie"
                outside = quantity(population.outside, "given record")
                yield f"{outside} {lie} outside the window, {population.examined.window}."

    def _outcomes(self, obstacle: Judgement | None) -> tuple[Outcome, ...]:
        reducers = dict(self.reducers)
        if obstacle is None and len(reducers) < len(self.check.expectations):
            values = self._bound() if self._must_bind() else self.check.values
            if isinstance(values, Judgement):
                obstacle = values
            else:
                reducers = self._deferred(values)
        return tuple(
            self._outcome(expectation, reducers.get(position), obstacle)
            for position, expectation in enumerate(self.check.expectations)
        )

    def _must_bind(self) -> bool:
        """Tell whether what is bound is needed: where emptiness decides everything, nothing is evaluated."""
        return any(self._emptiness(expectation) is None for expectation in self.check.expectations)

    def _deferred(self, values: Values) -> dict[int, Reducer]:
        """Return the reducers of all expectations, with the records of those that had to wait for the rest."""
        reducers = dict(self.reducers)
        for position, expectation in enumerate(self.check.expectations):
            if position not in reducers and self._emptiness(expectation) is None:
                reducer = reducers[position] = self._reducer(expectation, values)
                for population, of in self._populations_of(expectation):
                    for received in population.records:
                        reducer.step(received.record, received, of)
        return reducers

    def _emptiness(self, expectation: CompiledExpectation) -> Judgement | None:
        """Return what decides an expectation because there is nothing to look at."""
        return gravest(
            of_emptiness(on_empty, self.populations[name])
            for name, on_empty in expectation.on_empty.items()
            if not self.populations[name].count
        )

    def _outcome(
        self, expectation: CompiledExpectation, reducer: Reducer | None, obstacle: Judgement | None
    ) -> Outcome:
        emptiness = None if obstacle else self._emptiness(expectation)
        population = (
            sum(each.count for each in self.populations.values())
            if expectation.over is None
            else self.populations[expectation.over].count
        )
        # What was found in an answer that is not complete is shown, and decides nothing.
        finding = None
        if reducer is not None and emptiness is None and (population or obstacle is None):
            finding = reducer.finish(population)
        judgement = obstacle or emptiness or of_finding(finding or Finding())
        finding = finding or Finding(observed="no records")
        return Outcome(
            form=expectation.form,
            expression=expectation.expression,
            severity=expectation.severity,
            status=judgement.status,
            code=judgement.code,
            reason=judgement.reason,
            expected=expected(expectation.form, expectation.expression),
            observed=finding.observed,
            population=population - finding.skipped,
            exceptions=finding.exceptions,
            undecided=finding.undecided,
            waived=finding.waived,
            violations=finding.violations,
            help=judgement.help,
            thresholds=thresholds(self.check, expectation, self._kind(expectation), self.plan.as_of),
        )


_PAGE: Final = attrgetter("page")

_DECIDE_BIND = (
    "Let the expression decide: test the field first (field && …), or give a value for an absent one "
    "(field || 'none')."
)


def _gravity(outcome: Outcome) -> int:
    return SEVERITIES.index(outcome.severity)


def _is_sensitive(node: jmes.Node) -> bool:
    return any(isinstance(inner, Literal) and inner.sensitive for inner in jmes.walk(node))


def _identity(check: CompiledCheck) -> dict[str, Any]:
    """Return what a verdict repeats of its check."""
    return {
        "environment": check.environment,
        "pack": check.pack,
        "pack_title": check.pack_title,
        "check": check.id,
        "title": check.title,
        "description": check.description,
        "controls": check.controls,
        "tags": check.tags,
        "blind_spots": check.blind_spots,
        "remediation": check.remediation,
        "references": check.references,
        "address": check.address,
    }


def _skip_code(check: CompiledCheck) -> str:
    if not check.selected:
        return "policy.not-selected"
    return "evidence.no-archive" if check.excluded is None else "policy.excluded"


def skipped(check: CompiledCheck, reason: str) -> Verdict:
    """Return the verdict of a check that is not judged."""
    return Verdict(
        **_identity(check),
        severity=check.severity,
        status=Status.SKIP,
        code=_skip_code(check),
        reason=reason,
        examined=tuple(
            Examined(name=name, resource=query.resource, where=query.where)
            for name, query in check.queries.items()
        ),
    )
