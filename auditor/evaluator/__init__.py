"""
From records to verdicts.

`Audit(program, plan, catalogue)`, then `add` for every page, then `finish` with the ends of the queries. No
verdict is a pass unless everything that it rests on was read completely, decoded and decided.

Memory does not grow with the number of records, but for what has to be kept: items of an expression that does not
stream (`jmes.stream`), records of checks that bind values, up to `max_items`, and keys of groups. Beyond, the
verdict is an error.
"""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, TypeAlias

from auditor import jmes
from auditor.evaluator.checking import CheckAudit, CheckState, skipped
from auditor.evaluator.onepass import OnePass, Rows
from auditor.evaluator.populations import Population
from auditor.evaluator.violations import Hook
from auditor.evaluator.waivers import Waiving
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan
from auditor.model.query import CompiledCheck, Engine, Program
from auditor.model.resource import Catalogue
from auditor.model.value import JSON
from auditor.model.verdict import Verdict, Violation
from auditor.model.waiver import BASELINE, WaiverUse

__all__ = ["MAX_ITEMS", "Audit", "AuditState", "OnViolation", "OnePass", "Population", "Rows"]

MAX_ITEMS: Final = jmes.MAX_ITEMS
"""Records or items that one part of an expression, or one query of a check that binds values, may keep."""

OnViolation: TypeAlias = Callable[[str, Violation], None]
"""What is shown every violation with the name of its check, when it is found and in no order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """What an audit knows of some records: of each check by name, and how many violations each waiver is about."""

    checks: Mapping[str, CheckState]
    matched: Counter[str]

    def __reduce__(self) -> tuple[Callable[[bytes], AuditState], tuple[bytes]]:
        """Pickle also items that nest as deep as JSON is read, of which `pickle` by itself follows half."""
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(_DEEPER * limit)
        try:
            return _unpickled, (pickle.dumps((self.checks, self.matched), pickle.HIGHEST_PROTOCOL),)
        finally:
            sys.setrecursionlimit(limit)


_DEEPER: Final = 4


def _unpickled(content: bytes) -> AuditState:
    checks, matched = pickle.loads(content)  # noqa: S301  # part of what is being unpickled
    return AuditState(checks=checks, matched=matched)


class Audit:
    """
    All checks of a program on their way over the records of a plan.

    The waivers of the program are judged by *day* (UTC), and not applied without one; `uses` says what became of
    them. *on_violation* is shown each violation once, with the waiver that covers it, also where the verdict is an
    error in the end. Violations that are *known*, by check and fingerprint, count as waived by `BASELINE`.
    The engine `reference` evaluates expressions with jmespath.py.
    """

    def __init__(
        self,
        program: Program,
        plan: Plan,
        catalogue: Catalogue,
        *,
        day: date | None = None,
        on_violation: OnViolation | None = None,
        known: Mapping[str, frozenset[str]] | None = None,
        max_items: int | None = None,
        engine: Engine = "compiled",
    ) -> None:
        max_items = MAX_ITEMS if max_items is None else max_items
        self._waiving = Waiving(program, catalogue, day) if day and program.waivers else None
        checks = {check.name: check for check in program.checks}
        self._checks = program.checks
        self._skipped = plan.skipped
        self._probes = {(probe.environment, probe.resource): probe.id for probe in plan.probes}
        self._uses: dict[str, list[Population]] = {}
        self._passes: dict[str, OnePass] = {}
        populations: dict[str, dict[str, Population]] = {}
        for query in plan.queries:
            for use in query.uses:
                check = checks[use.check]
                kind = catalogue[query.resource]
                keeps = max_items if check.bind else 0
                population = Population(check, use, query, kind, keeps=keeps)
                self._uses.setdefault(query.id, []).append(population)
                populations.setdefault(check.name, {})[use.name] = population
        resources = {query.resource for query in plan.queries}
        types = {name: jmes.type_of(catalogue[name].item) for name in resources}
        self._audits = {
            name: CheckAudit(
                checks[name],
                {each: own[each] for each in checks[name].queries},
                types,
                plan,
                hook=_hook(checks[name], self._waiving, on_violation, (known or {}).get(name, frozenset())),
                max_items=max_items,
                engine=engine,
            )
            for name, own in populations.items()
        }

    def add(self, page: Page) -> None:
        """Offer the records of one page to every check that its query serves."""
        if page.query not in self._passes:
            self._passes[page.query] = self.one_pass([page.query])
        self._passes[page.query].take(page.records, page.number)

    def one_pass(
        self,
        queries: Collection[str],
        ensure_documented: Callable[[JSON], None] = lambda _: None,
    ) -> OnePass:
        """Return what takes records as bytes for several queries on one resource kind, in place of `add`."""
        populations = [population for query in queries for population in self._uses[query]]
        return OnePass(populations[0].kind, populations, ensure_documented)

    def state(self) -> AuditState:
        """
        Return what is known of the records so far, for `merge`; from now on this audit takes no more of them.

        It is plain data: `pickle` takes it to another process. What it holds does not grow with the records but
        for what `Audit` keeps.
        """
        checks = {name: audit.state() for name, audit in self._audits.items()}
        return AuditState(checks=checks, matched=self._waiving.matched if self._waiving else Counter())

    def merge(self, state: AuditState) -> None:
        """
        Take in what an audit of the same program, plan, day and baseline knows of other records; it is used up.

        Merging is associative and commutative: `finish` gives what it gives after all the records, whatever
        they were cut into and in whatever order it is merged. Where one record came twice, its pages have to
        have numbers that no cut changes. Violations were shown to `on_violation` of the other audit.

        Raises:
            ValueError: the state is that of other checks.
        """
        if state.checks.keys() != self._audits.keys():
            raise ValueError("the state is that of other checks")
        for name, audit in self._audits.items():
            audit.merge(state.checks[name])
        if self._waiving is not None:
            self._waiving.matched.update(state.matched)

    def finish(self, ends: Iterable[QueryEnd]) -> tuple[Verdict, ...]:
        """Return the verdict of every check, in the order of the program."""
        by_query = {end.query: end for end in ends}
        probes = {what: by_query[probe] for what, probe in self._probes.items() if probe in by_query}
        verdicts = tuple(
            skipped(check, self._skipped[check.name])
            if check.name in self._skipped
            else self._audits[check.name].finish(by_query, probes)
            for check in self._checks
        )
        return verdicts if self._waiving is None else self._waiving.applied(verdicts)

    def uses(self, verdicts: Iterable[Verdict]) -> tuple[WaiverUse, ...]:
        """Return what became of each waiver of the checks that have been judged, once they are."""
        return () if self._waiving is None else self._waiving.uses(verdicts)


def _hook(
    check: CompiledCheck, waiving: Waiving | None, on_violation: OnViolation | None, known: frozenset[str]
) -> Hook | None:
    waived_by = waiving.asked_by(check) if waiving else None
    if waived_by is None and on_violation is None and not known:
        return None

    def hook(violation: Violation) -> Violation:
        waiver = waived_by(violation) if waived_by else None
        if waiver is None and violation.fingerprint in known:
            waiver = BASELINE
        if waiver is not None:
            violation = replace(violation, waived_by=waiver)
        if on_violation:
            on_violation(check.name, violation)
        return violation

    return hook
