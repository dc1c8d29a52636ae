"""Waivers, held against what was found: the verdict beneath stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date

from auditor import scim
from auditor.model.query import CompiledCheck, Program
from auditor.model.resource import Catalogue, ResourceKind, value_at
from auditor.model.value import JSON
from auditor.model.verdict import Outcome, Status, Verdict, Violation
from auditor.model.waiver import Waiver, WaiverUse


class Waiving:
    """
    The waivers of a program on a day, asked about every violation, and counting what each is about.

    Only a failure is waived: what could not be read or decided stays an error, whatever was found in it.
    """

    def __init__(self, program: Program, catalogue: Catalogue, day: date) -> None:
        self._program = program
        self._catalogue = catalogue
        self._day = day
        self._checks = {check.name: check for check in program.checks}
        self.matched: Counter[str] = Counter()
        """How many violations each waiver is about, whether it holds or not."""

    def asked_by(self, check: CompiledCheck) -> Callable[[Violation], str | None] | None:
        """Return what names the waiver that covers a violation of a check; None where there is no waiver of it."""
        about = [_About(waiver, check, self._catalogue) for waiver in self._program.waivers_of(check)]
        if not about:
            return None
        return lambda violation: self._first([each.waiver for each in about if each.matches(violation)])

    def applied(self, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
        """Return the verdicts, in which waivers of every violation cover also failures without exceptions."""
        return tuple(self._applied(verdict) for verdict in verdicts)

    def _applied(self, verdict: Verdict) -> Verdict:
        waivers = self._program.waivers_of(self._checks[verdict.name])
        whole = [waiver for waiver in waivers if not waiver.where and not waiver.records]
        if not whole:
            return verdict
        return replace(verdict, outcomes=tuple(self._covered(outcome, whole) for outcome in verdict.outcomes))

    def uses(self, verdicts: Iterable[Verdict]) -> tuple[WaiverUse, ...]:
        """Return what became of each waiver of the checks that were judged."""
        judged = {
            (verdict.environment, f"{verdict.pack}/{verdict.check}"): verdict.status
            for verdict in verdicts
            if verdict.outcomes
        }
        uses = []
        for waiver in self._program.waivers:
            found = [judged.get((environment, waiver.check)) for environment in waiver.environments]
            if any(status is not None for status in found):
                is_sure = all(status is not None and status is not Status.ERROR for status in found)
                uses.append(self._use(waiver, is_sure=is_sure))
        return tuple(uses)

    def _use(self, waiver: Waiver, *, is_sure: bool) -> WaiverUse:
        matched = self.matched[waiver.name]
        state = waiver.state(self._day)
        # A disposition is quiet when its records have left the window.
        unused = state == "active" and waiver.kind == "exception" and not matched and is_sure
        return WaiverUse(waiver=waiver, state="unused" if unused else state, matched=matched)

    def _covered(self, outcome: Outcome, whole: Sequence[Waiver]) -> Outcome:
        if outcome.status is not Status.FAIL or outcome.exceptions:
            return outcome
        return replace(outcome, waived_by=self._first(whole))

    def _first(self, about: Sequence[Waiver]) -> str | None:
        """Count what waivers are about, and return the name of the first that holds."""
        self.matched.update(waiver.name for waiver in about)
        return next((waiver.name for waiver in about if waiver.state(self._day) == "active"), None)


class _About:
    """
    A waiver of a check, and which of its violations it is about.

    Filters and names are about records. An item that an expression made of them, or the whole list, is covered
    only by a waiver of every violation: what a filter can not see would satisfy every `not`.
    """

    def __init__(self, waiver: Waiver, check: CompiledCheck, catalogue: Catalogue) -> None:
        self.waiver = waiver
        self._records = frozenset(waiver.records)
        names = {expectation.over or next(iter(check.queries)) for expectation in check.expectations}
        self._kinds = [catalogue[kind] for kind in sorted({check.queries[name].resource for name in names})]
        rules = scim.rules(self._kinds[0])
        self._selects = scim.predicate(scim.parse(waiver.where, {}), rules) if waiver.where else None

    def matches(self, violation: Violation) -> bool:
        item = violation.item
        if self._records and violation.identity not in self._records:
            return False
        if not self._records and self._selects is None:
            return True
        if not isinstance(item, dict) or not any(_is_record(item, kind) for kind in self._kinds):
            return False
        try:
            return self._selects is None or self._selects(item)
        except ValueError:  # whether the filter is about it can not be told
            return False


def _is_record(item: dict[str, JSON], kind: ResourceKind) -> bool:
    """Tell a record as it was received from what an expression picked from one."""
    required = kind.item.get("required", ())
    return all(key in item for key in required) and all(
        value_at(item, path) is not None for path in kind.identity
    )
