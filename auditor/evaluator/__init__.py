"""
From records to verdicts.

`Audit(program, plan, catalogue)`, then `add` for every page, then `finish` with the ends of the queries. No
verdict is a pass unless everything that it rests on was read completely, decoded and decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from auditor import jmes, scim
from auditor.evaluator.reducers import Every, Finding, Reducer, Subject, Whole, number
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan, PlannedQuery, belongs
from auditor.model.policy import SEVERITIES, Form, OnEmpty
from auditor.model.query import CompiledCheck, CompiledExpectation, Program
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.verdict import Outcome, Status, Verdict

__all__ = ["Audit"]


class Audit:
    """All checks of a program on their way over the records of a plan."""

    def __init__(self, program: Program, plan: Plan, catalogue: Catalogue) -> None:
        checks = {check.name: check for check in program.checks}
        self._queries = {query.id: (query, catalogue[query.resource]) for query in plan.queries}
        self._runs = {
            query.id: [_Run(checks[use.check], query, kind, plan) for use in query.uses]
            for query, kind in self._queries.values()
        }
        self._checks = program.checks

    def add(self, page: Page) -> None:
        """Offer the records of one page that its query's window counts to every check that it serves."""
        query, kind = self._queries[page.query]
        runs = self._runs[page.query]
        for record in page.records:
            try:
                inside = belongs(record, query, kind)
            except ValueError as error:
                for run in runs:
                    run.refuse(error)
                continue
            if inside:
                for run in runs:
                    run.add(record)

    def finish(self, ends: Iterable[QueryEnd]) -> tuple[Verdict, ...]:
        """Return the verdict of every check, in the order of the program."""
        by_query = {end.query: end for end in ends}
        verdicts = {check.name: _excluded(check) for check in self._checks if check.excluded is not None}
        for query_id, runs in self._runs.items():
            for run in runs:
                verdicts[run.check.name] = run.finish(by_query.get(query_id))
        return tuple(verdicts[check.name] for check in self._checks)


class _Judgement(NamedTuple):
    """What decided an expectation."""

    status: Status
    code: str
    reason: str
    help: str = ""


class _Run:
    """One check on its way over the records of its query."""

    def __init__(self, check: CompiledCheck, query: PlannedQuery, kind: ResourceKind, plan: Plan) -> None:
        self.check = check
        self.query = query
        self.kind = kind
        self.population = 0
        self.unselectable = 0
        self.unselectable_reason = ""
        where = check.query.where
        self.selects = (
            scim.predicate(scim.parse(where, check.values), scim.rules(kind)) if where else _everything
        )
        self.reducers = [self._reducer(expectation, plan) for expectation in check.expectations]

    def _reducer(self, expectation: CompiledExpectation, plan: Plan) -> Reducer:
        values, as_of = self.check.values, plan.as_of
        expression = jmes.compile(jmes.parse(expectation.expression, values), as_of=as_of)
        message = expectation.message
        template = jmes.Template.parse(message, values, as_of=as_of) if message else None
        default = _DEFAULT_MESSAGES[expectation.form].format(expectation.expression)
        subject = Subject(self.check.name, self.kind, template, default)
        if expectation.form == "every":
            return Every(expression, subject, expectation.on_missing)
        return Whole(expectation.form, expression, subject, expectation.on_missing)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take a record of the window, if the check is about it."""
        try:
            selected = self.selects(record)
        except scim.NotComparable as error:
            self.refuse(error)
            return
        if selected:
            self.population += 1
            for reducer in self.reducers:
                reducer.step(record)

    def refuse(self, error: ValueError) -> None:
        """Count a record of which it can not be told whether the check is about it."""
        self.unselectable_reason = min(self.unselectable_reason or str(error), str(error))
        self.unselectable += 1

    def finish(self, end: QueryEnd | None) -> Verdict:
        outcomes = tuple(
            self._outcome(expectation, reducer, end)
            for expectation, reducer in zip(self.check.expectations, self.reducers, strict=True)
        )
        status = max(outcome.status for outcome in outcomes)
        # Of those that decided, the gravest speaks for the check; of equals, the first.
        deciding = max(
            (outcome for outcome in outcomes if outcome.status is status),
            key=lambda outcome: SEVERITIES.index(outcome.severity),
        )
        return Verdict(
            **_identity(self.check),
            severity=deciding.severity if status >= Status.FAIL else self.check.severity,
            status=status,
            code=deciding.code,
            reason=deciding.reason,
            help=deciding.help,
            population=self.population,
            exceptions=sum(outcome.exceptions for outcome in outcomes),
            undecided=max(outcome.undecided for outcome in outcomes),
            outcomes=outcomes,
            window=str(self.query.window) if self.query.window else "",
            queries=(self.query.id,),
            caveats=(*self.query.caveats, *(end.warnings if end else ())),
            elapsed_s=end.elapsed_s if end else 0,
        )

    def _outcome(self, expectation: CompiledExpectation, reducer: Reducer, end: QueryEnd | None) -> Outcome:
        unread = self._unread(end)
        decided_by_emptiness = not self.population and (unread or expectation.on_empty)
        finding = None if decided_by_emptiness else reducer.finish()
        judgement = unread or self._judge(expectation, finding)
        finding = finding or Finding(observed="no records")
        return Outcome(
            form=expectation.form,
            expression=expectation.expression,
            severity=expectation.severity,
            status=judgement.status,
            code=judgement.code,
            reason=judgement.reason,
            expected=_EXPECTED[expectation.form].format(expectation.expression),
            observed=finding.observed,
            population=self.population - finding.skipped,
            exceptions=finding.exceptions,
            undecided=finding.undecided,
            violations=finding.violations,
            help=judgement.help,
        )

    def _unread(self, end: QueryEnd | None) -> _Judgement | None:
        """Return what keeps every expectation from being judged, whatever was found."""
        if end is None:
            return _Judgement(
                Status.ERROR, "evidence.incomplete", "The query was not carried out.", "Run again."
            )
        if end.failure is not None:
            return _Judgement(Status.ERROR, end.failure.code, end.failure.reason, end.failure.help)
        if self.unselectable:
            return _Judgement(
                Status.ERROR,
                "evaluation.not-comparable",
                f"Of {number(self.unselectable, 'record')} it can not be told whether the check is about them: "
                f"{self.unselectable_reason}.",
                "The record is not as documented; report it, or exclude it in `where`.",
            )
        return None

    def _judge(self, expectation: CompiledExpectation, finding: Finding | None) -> _Judgement:
        """Judge one expectation on records that are all there; what could not be told comes first."""
        if finding is None:
            return self._empty(expectation.on_empty)
        if finding.error:
            return _Judgement(
                Status.ERROR,
                finding.code,
                f"The expression can not be evaluated: {finding.error}.",
                _ERROR_HELP[finding.code],
            )
        if finding.undecided:
            return _Judgement(Status.ERROR, "policy.undecided", finding.undecided_reason, _DECIDE)
        if finding.status is Status.SKIP:
            reason = "Nothing could be decided, and on_missing says skip."
            return _Judgement(Status.SKIP, "policy.undecided", reason)
        code = "policy.violation" if finding.status is Status.FAIL else "policy.holds"
        return _Judgement(finding.status, code, f"{_capital(finding.observed)}.")

    def _empty(self, on_empty: OnEmpty | None) -> _Judgement:
        """Return what an empty population counts as."""
        match on_empty:
            case "pass":
                reason = "No occurrences: there was nothing to examine."
                return _Judgement(Status.PASS, "policy.no-occurrences", reason)
            case "skip":
                reason = "No occurrences, and on_empty says skip."
                return _Judgement(Status.SKIP, "policy.no-occurrences", reason)
            case "fail":
                reason = "Nothing was found, and something must be there."
                return _Judgement(Status.FAIL, "policy.empty", reason)
        return _Judgement(
            Status.ERROR,
            "evidence.empty",
            f"There are no {self.kind.kind} to examine, which can not be right.",
            "Check the window and the filter; if nothing is an answer, say on_empty: pass | fail | skip.",
        )


_EXPECTED: Final[Mapping[Form, str]] = {
    "every": "true of every record: {}",
    "none": "nothing is yielded by: {}",
    "some": "something is yielded by: {}",
    "that": "true of the whole list: {}",
}

_DEFAULT_MESSAGES: Final[Mapping[Form, str]] = {
    "every": "not true: {}",
    "none": "found by: {}",
    "some": "nothing found by: {}",
    "that": "not true: {}",
}

_DECIDE: Final = (
    "Say what such a record counts as, with on_missing: fail | pass | skip, or let the expression decide: "
    "test the field first (field && …), or give a value for an absent one (field || 'none')."
)

_ERROR_HELP: Final = {
    "evaluation.error": "Mend the expression, or narrow `where`.",
    "evaluation.too-many": "Narrow `where` or the window, or write the expectation as `every`.",
}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _everything(_: Mapping[str, Any]) -> bool:
    return True


def _identity(check: CompiledCheck) -> dict[str, Any]:
    """Return what a verdict repeats of its check."""
    return {
        "environment": check.environment,
        "pack": check.pack,
        "pack_title": check.pack_title,
        "check": check.id,
        "title": check.title,
        "description": check.description,
        "resource": check.query.resource,
        "where": check.query.where,
        "controls": check.controls,
        "tags": check.tags,
        "remediation": check.remediation,
        "references": check.references,
        "address": check.address,
    }


def _excluded(check: CompiledCheck) -> Verdict:
    return Verdict(
        **_identity(check),
        severity=check.severity,
        status=Status.SKIP,
        code="policy.excluded",
        reason=f"Excluded by the project: {check.excluded}",
    )
