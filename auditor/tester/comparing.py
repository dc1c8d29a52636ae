"""What a test asserts, held against a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.model.policy import EVERY_ITEM
from auditor.model.policy_test import Expected
from auditor.model.query import CompiledCheck
from auditor.model.testing import KINDS, Difference, Kind
from auditor.model.value import JSON
from auditor.model.verdict import Status, Verdict, Violation


def differences(expected: Expected, verdict: Verdict) -> tuple[Difference, ...]:
    """
    Return what is not as a test asserts; nothing where all of it is.

    A pass of which nothing was examined would hold whatever the check says, so that a test has to say
    `population: 0` where it means one.
    """
    return tuple(_differences(expected, verdict))


def _differences(expected: Expected, verdict: Verdict) -> Iterator[Difference]:
    violations = [violation for outcome in verdict.outcomes for violation in outcome.violations]
    observed: dict[str, JSON] = {
        "verdict": verdict.status.word,
        "code": verdict.code,
        "population": verdict.population,
        "violations": [*map(_name, violations), *_left_out(verdict)],
        "message": violations[0].message if violations else None,
    }
    for what, value in expected.asserted.items():
        wanted = list(value) if isinstance(value, tuple) else value
        if wanted is not None and wanted != observed[what]:
            yield Difference(what=what, expected=wanted, observed=observed[what])
    is_vacuous = verdict.status is Status.PASS and not verdict.population
    if is_vacuous and expected.verdict == "pass" and expected.population is None:
        yield Difference(what="population", expected="some record (else say population: 0)", observed=0)


def _left_out(verdict: Verdict) -> Iterator[str]:
    """Yield what stands for violations that the verdict does not show, so that no test passes without them."""
    more = sum(outcome.exceptions - len(outcome.violations) for outcome in verdict.outcomes)
    if more:
        yield f"and {more} more: split the test, a verdict shows the first ones only"


def _name(violation: Violation) -> str:
    """Return the identity of a record, or the key of what an expression made of records."""
    item = violation.item
    return str(item["key"]) if isinstance(item, dict) and "key" in item else violation.identity


def possible_kinds(check: CompiledCheck) -> tuple[Kind, ...]:
    """Return the kinds of verdicts that a check can have: where nothing may be selected, no record can pass."""
    selects_nothing = any(
        each.form == "none" and each.expression == EVERY_ITEM for each in check.expectations
    )
    return tuple(kind for kind in KINDS if not (selects_nothing and kind == "pass"))


def kinds_of(verdict: Verdict) -> set[Kind]:
    """Return what a verdict shows of its check; one on no record at all shows what nothing counts as."""
    kinds: set[Kind] = {"fail"} if verdict.status is Status.FAIL else set()
    if verdict.status in (Status.ERROR, Status.SKIP) or not verdict.population:
        kinds.add("neither")
    elif verdict.status is Status.PASS:
        kinds.add("pass")
    return kinds
