"""Waivers held against what was found: what they cover, and what nothing ever covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import planner
from auditor.config import yaml
from auditor.evaluator import Audit
from auditor.model.evidence import Page, QueryEnd
from auditor.model.query import Program
from auditor.model.value import JSON
from auditor.model.verdict import Status, Verdict
from auditor.model.waiver import Waiver, WaiverUse
from tests.support import ROOT, examples
from tests.test_compiler import KINDS, program
from tests.test_evaluator import CUT, WINDOW, events
from tests.test_planner_windows import NOW

TABLE: Any = yaml.load((ROOT / "tests" / "spec" / "waiving.yaml").read_text("utf-8"), "waiving.yaml").value
CASES = [case for group in TABLE for case in group["cases"]]
DAY = date(2026, 11, 20)
SOUND = Waiver(
    name="w",
    kind="exception",
    check="pack/check",
    environments=("prod",),
    reason="migration",
    approved_by="ciso",
    ticket="SEC-1",
    starts=date(2026, 11, 1),
    expires=date(2026, 11, 30),
)


def waiver(number: int, changes: Mapping[str, Any]) -> Waiver:
    """Return the waiver of a table; with records it is a disposition."""
    given: dict[str, Any] = {"name": f"w{number}", **changes}
    for key in ("starts", "expires"):
        if key in given:
            given[key] = date.fromisoformat(given[key])
    for key in ("records", "environments"):
        if key in given:
            given[key] = tuple(given[key])
    if "records" in given:
        given |= {"kind": "disposition", "starts": None, "expires": None}
    return replace(SOUND, **given)


def waived(
    *records: JSON, waivers: Sequence[Waiver], cut: bool = False, day: date | None = DAY, **check: Any
) -> tuple[Verdict, tuple[WaiverUse, ...]]:
    """Judge records by one check, and by another that holds."""
    checks = {
        "check": {"query": WINDOW, **check},
        "other": {"query": WINDOW, "expect": {"every": "id != 'x'"}},
    }
    compiled = replace(program(checks), waivers=tuple(waivers))
    verdicts, uses = judged(compiled, records, cut=cut, day=day)
    return verdicts[0], uses


def judged(
    compiled: Program, records: Sequence[JSON], *, cut: bool = False, day: date | None = DAY
) -> tuple[tuple[Verdict, ...], tuple[WaiverUse, ...]]:
    """Judge the same records for every query of a program."""
    plan = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test")
    audit = Audit(compiled, plan, KINDS, day=day)
    for query in plan.queries:
        audit.add(Page(query=query.id, number=1, records=tuple(records)))
    ends = [QueryEnd(query=query.id, failure=CUT if cut else None, assurance=None) for query in plan.queries]
    verdicts = audit.finish(ends)
    return verdicts, audit.uses(verdicts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.get('expect', '')} {case['waivers']}"[:150])
def test_a_waiver_covers_what_it_is_about(case: Mapping[str, Any]):
    waivers = [waiver(number, changes) for number, changes in enumerate(case["waivers"])]
    verdict, uses = waived(
        *events(case.get("records", [{}, {}])),
        waivers=waivers,
        cut=case.get("cut", False),
        expect=case.get("expect", {"every": "id == 'x'"}),
    )
    assert [verdict.exceptions, verdict.waived, verdict.is_waived] == case["gives"]
    by = [
        name
        for outcome in verdict.outcomes
        for name in ([one.waived_by for one in outcome.violations] or [outcome.waived_by])
    ]
    assert by == case["by"]
    assert [[use.state, use.matched] for use in uses] == case["uses"]


def test_every_violation_is_judged_and_not_only_those_that_are_shown():
    records = events([{}] * 50)
    names = tuple(str(number) for number in range(49))
    all_but_one = replace(SOUND, kind="disposition", records=names, starts=None, expires=None)
    verdict, uses = waived(*records, waivers=[all_but_one], expect="none")
    assert (verdict.exceptions, verdict.waived, verdict.is_waived) == (50, 49, False)
    assert len(verdict.outcomes[0].violations) == 20
    assert all(one.waived_by for one in verdict.outcomes[0].violations)
    assert uses[0].matched == 49
    last = replace(all_but_one, name="last", records=("49",))
    verdict, _ = waived(*records, waivers=[all_but_one, last], expect="none")
    assert (verdict.waived, verdict.is_waived) == (50, True)


def test_without_a_day_nothing_is_waived():
    verdict, uses = waived(*events([{}]), waivers=[SOUND], day=None, expect="none")
    assert (verdict.status, verdict.waived, uses) == (Status.FAIL, 0, ())


def test_of_checks_that_are_not_judged_nothing_is_said():
    checks = {"check": {"query": WINDOW, "expect": "none"}}
    compiled = program(checks)
    excluded = tuple(replace(check, excluded="because") for check in compiled.checks)
    found = judged(replace(compiled, checks=excluded, waivers=(SOUND,)), events([{}]))
    assert (found[0][0].status, found[1]) == (Status.SKIP, ())


# --- laws ----------------------------------------------------------------------------------------------

numbers = st.integers(0, 7)
filters = st.sampled_from(["", 'id eq "0"', 'not (id eq "0")', 'id in ["1", "2"]', "actors.client.id pr"])
days = st.integers(-3, 3).map(lambda number: DAY + timedelta(days=number))
waivers = st.lists(
    st.one_of(
        st.builds(
            lambda where, starts, expires: replace(SOUND, where=where, starts=starts, expires=expires),
            filters,
            days,
            days,
        ),
        st.builds(
            lambda where, records: replace(
                SOUND, kind="disposition", starts=None, expires=None, where=where, records=tuple(records)
            ),
            filters,
            st.lists(numbers.map(str), min_size=1, max_size=4),
        ),
    ),
    max_size=3,
).map(lambda found: [replace(each, name=f"w{number}") for number, each in enumerate(found)])
expectations = st.sampled_from(
    [
        {"every": "id == 'x'"},
        {"every": "id == '0' || id == '1'"},
        {"every": "result.status == 'x'"},
        "none",
        {"none": "[].{x: id}"},
        {"some": "[?id == 'x']"},
        "length(@) == `5`",
    ]
)


@settings(deadline=None, max_examples=examples(200))
@given(expectations, st.integers(0, 8), waivers, st.booleans())
def test_the_verdict_beneath_is_as_it_would_be_without_waivers(expect, count, found, cut):
    records = events([{}] * count)
    verdict, uses = waived(*records, waivers=found, cut=cut, expect=expect)
    raw, _ = waived(*records, waivers=(), cut=cut, expect=expect)
    outcomes = tuple(
        replace(
            outcome,
            waived=0,
            waived_by=None,
            violations=tuple(replace(violation, waived_by=None) for violation in outcome.violations),
        )
        for outcome in verdict.outcomes
    )
    assert replace(verdict, waived=0, outcomes=outcomes) == raw
    assert verdict.waived == sum(outcome.waived for outcome in verdict.outcomes) <= verdict.exceptions
    if verdict.is_waived:
        assert verdict.status is Status.FAIL
        assert verdict.waived == verdict.exceptions
        assert verdict.waived or verdict.outcomes[0].waived_by
    holds = {use.waiver.name for use in uses if use.state in ("active", "unused")}
    assert {one.waived_by for one in verdict.outcomes[0].violations} <= holds | {None}
    assert all(use.matched == 0 for use in uses if use.state == "unused")
