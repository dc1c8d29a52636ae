"""From what was found to what it counts as: the words and codes of outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from auditor.evaluator.populations import Population
from auditor.evaluator.reducers import Finding
from auditor.model.evidence import QueryEnd
from auditor.model.policy import EVERY_ITEM, Form, OnEmpty
from auditor.model.verdict import Status
from auditor.model.wording import quantity


class Judgement(NamedTuple):
    """What decided an expectation."""

    status: Status
    code: str
    reason: str
    help: str = ""


def gravest(judgements: Iterable[Judgement]) -> Judgement | None:
    """Return the first of the gravest judgements; None where there is none."""
    return max(judgements, key=lambda judgement: judgement.status, default=None)


def unread(population: Population, end: QueryEnd | None, probe: QueryEnd | None) -> Judgement | None:
    """Return what keeps every expectation from being judged, whatever was found; None where nothing does."""
    if end is None:
        return _error("evidence.incomplete", "The query was not carried out.", "Run again.")
    if end.failure is not None:
        return _error(end.failure.code, end.failure.reason, end.failure.help)
    if population.unselectable:
        return _error(
            "evaluation.not-comparable",
            f"Of {quantity(population.unselectable, 'record')} it can not be told whether the check is about them: "
            f"{population.unselectable_reason}.",
            "The record is not as documented; report it, or exclude it in `where`.",
        )
    if population.is_too_large:
        return _error(
            "evaluation.too-many",
            "What is bound needs all records of a query at once, and one has too many.",
            ERROR_HELP["evaluation.too-many"],
        )
    return _silent(population, probe)


def _silent(population: Population, probe: QueryEnd | None) -> Judgement | None:
    """Return the error that nothing at all was found, where the log shows nothing else either."""
    if probe is None or population.count:
        return None
    if probe.failure is not None:
        return _error(
            "evidence.silent",
            "Nothing was found, and whether there is anything at all could not be told: "
            f"{probe.failure.reason}",
            probe.failure.help,
        )
    if probe.records:
        return None
    return _error(
        "evidence.silent",
        f"There is not a single record of {population.kind.kind} in the whole window, so that nothing was found "
        "proves nothing.",
        "Check that the environment is the one that is meant, that it is in use, and that the worker application "
        "may see its records.",
    )


def of_finding(finding: Finding) -> Judgement:
    """Judge one expectation on records that are all there; what could not be told comes first."""
    if finding.error:
        reason = f"The expression can not be evaluated: {finding.error}."
        return _error(finding.code, reason, ERROR_HELP[finding.code])
    if finding.undecided:
        return _error("policy.undecided", finding.undecided_reason, DECIDE)
    if finding.status is Status.SKIP:
        reason = "Nothing could be decided, and on_missing says skip."
        return Judgement(Status.SKIP, "policy.undecided", reason)
    code = "policy.violation" if finding.status is Status.FAIL else "policy.holds"
    return Judgement(finding.status, code, f"{finding.observed[:1].upper()}{finding.observed[1:]}.")


def of_emptiness(on_empty: OnEmpty, population: Population) -> Judgement:
    """Return what an empty population counts as."""
    what = f" of {population.name}" if population.name else ""
    match on_empty:
        case "pass":
            reason = f"No occurrences{what}: there was nothing to examine."
            return Judgement(Status.PASS, "policy.no-occurrences", reason)
        case "skip":
            reason = f"No occurrences{what}, and on_empty says skip."
            return Judgement(Status.SKIP, "policy.no-occurrences", reason)
        case "fail":
            return Judgement(Status.FAIL, "policy.empty", "Nothing was found, and something must be there.")
    return _error(
        "evidence.empty",
        f"There are no {population.kind.kind} to examine, which can not be right.",
        "Check the window and the filter; if nothing is an answer, say on_empty: pass | fail | skip.",
    )


def _error(code: str, reason: str, help: str) -> Judgement:
    return Judgement(Status.ERROR, code, reason, help)


def expected(form: Form, expression: str) -> str:
    """Return what an expectation expects, as a sentence; the short forms look at the selected records themselves."""
    if expression == EVERY_ITEM and form in _SHORT:
        return _SHORT[form]
    return _EXPECTED[form].format(expression)


_SHORT: Final[Mapping[Form, str]] = {"none": "no record is selected", "some": "some record is selected"}

_EXPECTED: Final[Mapping[Form, str]] = {
    "every": "true of every record: {}",
    "none": "nothing is yielded by: {}",
    "some": "something is yielded by: {}",
    "that": "true of the whole list: {}",
}

DEFAULT_MESSAGES: Final[Mapping[Form, str]] = {
    "every": "not true: {}",
    "none": "found by: {}",
    "some": "nothing found by: {}",
    "that": "not true: {}",
}

DECIDE: Final = (
    "Say what such a record counts as, with on_missing: fail | pass | skip, or let the expression decide: "
    "test the field first (field && …), or give a value for an absent one (field || 'none')."
)

ERROR_HELP: Final = {
    "evaluation.error": "Mend the expression, or narrow `where`.",
    "evaluation.too-many": "Narrow `where` or the window, ask for something that need not be kept, such as length, "
    "or write the expectation as `every`.",
}
