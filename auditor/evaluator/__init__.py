"""
From records to verdicts.

`Audit(program, plan, catalogue)`, then `add` for every page, then `finish` with the ends of the queries. No
verdict is a pass unless everything that it rests on was read completely, decoded and decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from auditor import jmes, scim
from auditor.evaluator.reducers import MAX_ITEMS, Every, Finding, Reducer, Subject, TooMany, Whole
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan, PlannedQuery, belongs
from auditor.model.query import CompiledCheck, CompiledExpectation, Program
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.verdict import Outcome, Status, Verdict

__all__ = ["Audit"]


class Audit:
    """All checks of a program on their way over the records of a plan."""

    def __init__(self, program: Program, plan: Plan, catalogue: Catalogue) -> None:
        self._plan = plan
        self._queries = {query.id: query for query in plan.queries}
        checks = {check.name: check for check in program.checks}
        self._runs: dict[str, list[_Run]] = {
            query.id: [
                _Run(checks[use.check], query, catalogue[query.resource], plan.as_of) for use in query.uses
            ]
            for query in plan.queries
        }
        self._excluded = [check for check in program.checks if check.excluded is not None]
        self._order = [check.name for check in program.checks]

    def add(self, page: Page) -> None:
        """Offer the records of one page to every check that its query serves."""
        for run in self._runs[page.query]:
            run.add(page.records)

    def finish(self, ends: Iterable[QueryEnd]) -> tuple[Verdict, ...]:
        """Return the verdict of every check, in the order of the program."""
        by_query = {end.query: end for end in ends}
        verdicts = {check.name: _excluded(check) for check in self._excluded}
        for query_id, runs in self._runs.items():
            for run in runs:
                verdicts[run.check.name] = run.finish(by_query.get(query_id))
        return tuple(verdicts[name] for name in self._order)


@dataclass(slots=True)
class _Run:
    """One check on its way over the records of its query."""

    check: CompiledCheck
    query: PlannedQuery
    kind: ResourceKind
    as_of: datetime
    population: int = 0
    problem: str = ""
    code: str = ""
    selects: Callable[[Mapping[str, Any]], bool] = field(init=False)
    reducers: list[Reducer] = field(init=False)

    def __post_init__(self) -> None:
        where = self.check.query.where
        self.selects = (
            scim.predicate(scim.parse(where, self.check.values), scim.rules(self.kind))
            if where
            else _everything
        )
        self.reducers = [self._reducer(expectation) for expectation in self.check.expectations]

    def _reducer(self, expectation: CompiledExpectation) -> Reducer:
        values = self.check.values
        expression = jmes.compile(jmes.parse(expectation.expression, values), as_of=self.as_of)
        template = jmes.Template.parse(expectation.message, values) if expectation.message else None
        subject = Subject(
            check=self.check.name,
            kind=self.kind,
            template=template,
            default_message=_DEFAULT_MESSAGES[expectation.form].format(expectation.expression),
        )
        if expectation.form == "every":
            return Every(expression, subject, expectation.on_missing)
        return Whole(expectation.form, expression, subject, expectation.on_missing)

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        if self.problem:
            return
        try:
            for record in records:
                if belongs(record, self.query, self.kind) and self.selects(record):
                    self.population += 1
                    for reducer in self.reducers:
                        reducer.step(record)
        except TooMany:
            self.code = "evaluation.too-many"
            self.problem = f"The expectation needs the whole list, which has more than {MAX_ITEMS:,} records."
        except ValueError as error:
            self.code, self.problem = "evaluation.not-comparable", f"A record can not be selected: {error}."

    def finish(self, end: QueryEnd | None) -> Verdict:
        outcomes = tuple(
            self._outcome(expectation, reducer, end)
            for expectation, reducer in zip(self.check.expectations, self.reducers, strict=True)
        )
        status = max(outcome.status for outcome in outcomes)
        # Of those that decided, the gravest speaks for the check; of equals, the first.
        deciding = max(
            (outcome for outcome in outcomes if outcome.status is status),
            key=lambda outcome: _SEVERITY_RANK[outcome.severity],
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
            where=self.check.query.where,
            window=str(self.query.window) if self.query.window else "",
            queries=(self.query.id,),
            caveats=(*self.query.caveats, *(end.warnings if end else ())),
            elapsed_s=end.elapsed_s if end else 0,
        )

    def _outcome(self, expectation: CompiledExpectation, reducer: Reducer, end: QueryEnd | None) -> Outcome:
        status, code, reason, help_text, finding = self._judge(expectation, reducer, end)
        return Outcome(
            form=expectation.form,
            expression=expectation.expression,
            severity=expectation.severity,
            status=status,
            code=code,
            reason=reason,
            expected=_EXPECTED[expectation.form].format(expectation.expression),
            observed=finding.observed if finding else "no records",
            population=self.population - (finding.skipped if finding else 0),
            exceptions=finding.violations.total if finding else 0,
            undecided=finding.undecided.records if finding else 0,
            violations=finding.violations.first() if finding else (),
            help=help_text,
        )

    def _judge(
        self, expectation: CompiledExpectation, reducer: Reducer, end: QueryEnd | None
    ) -> tuple[Status, str, str, str, Finding | None]:
        """Return status, code, reason and help of one expectation; what could not be told comes first."""
        finding = reducer.finish() if self.population and not self.problem else None
        if end is None:
            return (
                Status.ERROR,
                "evidence.incomplete",
                "The query was not carried out.",
                "Run again.",
                finding,
            )
        if end.failure is not None:
            return Status.ERROR, end.failure.code, end.failure.reason, end.failure.help, finding
        if self.problem:
            return Status.ERROR, self.code, self.problem, _PROBLEM_HELP[self.code], None
        if finding is None and (empty := self._empty(expectation)) is not None:
            return empty
        finding = finding or reducer.finish()
        if finding.error:
            reason = f"The expression can not be evaluated: {finding.error}."
            return (
                Status.ERROR,
                "evaluation.error",
                reason,
                "Mend the expression, or narrow `where`.",
                finding,
            )
        if finding.undecided.records:
            return Status.ERROR, "policy.undecided", _undecided(finding, self.population), _DECIDE, finding
        if finding.status is Status.FAIL:
            return Status.FAIL, "policy.violation", f"{_capital(finding.observed)}.", "", finding
        if finding.status is Status.SKIP:
            return (
                Status.SKIP,
                "policy.undecided",
                "It can not be decided, and on_missing says skip.",
                "",
                finding,
            )
        return finding.status, "policy.holds", f"{_capital(finding.observed)}.", "", finding

    def _empty(self, expectation: CompiledExpectation) -> tuple[Status, str, str, str, None] | None:
        """Return what an empty population counts as; None where the expression itself is evaluated."""
        match expectation.on_empty:
            case "pass":
                return (
                    Status.PASS,
                    "policy.no-occurrences",
                    "No occurrences: there was nothing to examine.",
                    "",
                    None,
                )
            case "skip":
                return (
                    Status.SKIP,
                    "policy.no-occurrences",
                    "No occurrences, and on_empty says skip.",
                    "",
                    None,
                )
            case "fail":
                return (
                    Status.FAIL,
                    "policy.empty",
                    "Nothing was found, and something must be there.",
                    "",
                    None,
                )
            case "error":
                reason = f"There are no {self.kind.kind} in the window, which can not be right."
                hint = "Check the window and the filter; if nothing is an answer, say on_empty: pass | fail | skip."
                return Status.ERROR, "evidence.empty", reason, hint, None
        return None


_SEVERITY_RANK: Final = {"info": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}

_EXPECTED: Final = {
    "every": "true of every record: {}",
    "none": "nothing is yielded by: {}",
    "some": "something is yielded by: {}",
    "that": "true of the whole list: {}",
}

_DEFAULT_MESSAGES: Final = {
    "every": "not true: {}",
    "none": "found by: {}",
    "some": "nothing found by: {}",
    "that": "not true: {}",
}

_DECIDE: Final = (
    "Say what such a record counts as, with on_missing: fail | pass | skip, or let the expression decide: "
    "test the field first (field && …), or give a value for an absent one (field || 'none')."
)

_PROBLEM_HELP: Final = {
    "evaluation.too-many": "Narrow `where` or the window, or write the expectation as `every`.",
    "evaluation.not-comparable": "The record is not as documented; report it, or exclude it in `where`.",
}


def _undecided(finding: Finding, population: int) -> str:
    parts = [f"`{text}` is absent in {count}" for text, count in sorted(finding.undecided.operands.items())]
    return f"Of {population} records, {finding.undecided.records} can not be decided: {'; '.join(parts)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _everything(_: Mapping[str, Any]) -> bool:
    return True


def _identity(check: CompiledCheck) -> dict[str, Any]:
    return {
        "environment": check.environment,
        "pack": check.pack,
        "pack_title": check.pack_title,
        "check": check.id,
        "title": check.title,
        "description": check.description,
        "resource": check.query.resource,
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
        where=check.query.where,
    )
