"""Windows as instants, and what of them an endpoint still holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor import compiler, planner
from auditor.model.instant import Duration, Window, parse_instant
from auditor.model.plan import Coverage, Plan, PlannedQuery, belongs, coverage
from auditor.model.resource import ResourceKind, Retention
from tests.support import ROOT, examples
from tests.test_compiler import KINDS, program, project

TABLE = YAML(typ="safe").load((ROOT / "tests" / "spec" / "windows.yaml").read_text("utf-8"))
CASES = [{**group, **case} for group in TABLE for case in group["cases"]]
OPTIONS = ("resource", "window", "sampling", "include_partial")
NOW = datetime(2026, 11, 21, 9, 10, 11, 123_000, tzinfo=UTC)


def plan_of(query: Mapping[str, Any], as_of: datetime, kinds: Mapping[str, ResourceKind] = KINDS) -> Plan:
    """Plan one check on a query."""
    compiled = program({"check": {"query": query}}, kinds=kinds)
    return planner.plan(compiled, kinds, as_of=as_of, tool_version="test")


def planned(
    query: Mapping[str, Any], as_of: datetime = NOW, kinds: Mapping[str, ResourceKind] = KINDS
) -> PlannedQuery:
    """Return the one query of a plan of one check."""
    (made,) = plan_of(query, as_of, kinds).queries
    return made


def window_of(
    query: Mapping[str, Any], as_of: datetime = NOW, kinds: Mapping[str, ResourceKind] = KINDS
) -> Window:
    """Return the window of a planned query."""
    window = planned(query, as_of, kinds).window
    assert window is not None
    return window


def name_of(case: Mapping[str, Any]) -> str:
    return " ".join(str(case[key]) for key in (*OPTIONS, "as_of") if key in case)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_window_comes_to_two_instants(case: Mapping[str, Any]):
    query = {key: case[key] for key in OPTIONS if key in case}
    found = window_of(query, parse_instant(case["as_of"]))
    assert found == Window(parse_instant(case["from"]), parse_instant(case["to"]))


# --- laws of buckets ---------------------------------------------------------------------------------

instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001  # given a zone at once
lasts = st.sampled_from(["1d", "36h", "7d", "8d", "30d", "1mo", "5mo", "1y"])
bucketed = st.one_of(
    st.fixed_dictionaries(
        {"resource": st.just("metrics_active_identity_counts")},
        optional={"sampling": st.sampled_from(["DAY", "MONTH"]), "include_partial": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"resource": st.just("user_activities")},
        optional={"sampling": st.sampled_from(["HOUR", "DAY", "WEEK"])},
    ),
    st.fixed_dictionaries(
        {"resource": st.just("active_identity_counts")},
        optional={"sampling": st.integers(1, 24), "include_partial": st.booleans()},
    ),
)


@st.composite
def windows(draw: st.DrawFn) -> Any:
    """Return a window of any form."""
    match draw(st.sampled_from(["last", "aligned", "between"])):
        case "last":
            return draw(lasts)
        case "aligned":
            align = draw(st.sampled_from(["day", "week", "month"]))
            zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]))
            return {"last": draw(lasts), "align": align, "timezone": zone}
    start, length = draw(instants), draw(st.integers(1, 500))
    return {"from": start.isoformat(), "to": (start + timedelta(hours=12 * length)).isoformat()}


def length_of(query: PlannedQuery) -> Duration:
    buckets = KINDS[query.resource].buckets
    assert buckets is not None
    return buckets.period.length(query.options["sampling"])


@settings(max_examples=examples(300), deadline=None)
@given(bucketed, windows(), instants)
def test_a_window_holds_whole_periods_that_are_over_and_nothing_beyond_now(query, window, as_of):
    if isinstance(window, dict) and "align" in window:
        query = {**query, "include_partial": False}
    written = {**query, "window": window}
    compiled = compiler.compile(project({"check": {"query": written}}))
    if compiled.value is None:  # it can be shorter than a period
        assert [problem.code for problem in compiled.diagnostics] == ["policy.bad-window"]
        return
    found = planned(written, as_of)
    as_of = as_of.replace(microsecond=as_of.microsecond // 1_000 * 1_000)
    length, got = length_of(found), found.window
    assert got is not None
    assert got.start <= got.end
    assert got.end <= as_of or got.start == got.end
    edge = got.start
    while edge < got.end:
        edge = length.after(edge)
    running = query.get("include_partial") and got.end == as_of
    assert edge == got.end or running
    assert found.coverage is not None
    assert found.coverage.covered == (got.start < got.end)


@settings(max_examples=examples(200), deadline=None)
@given(instants, lasts, st.sampled_from(["hour", "day", "week", "month"]))
def test_an_aligned_window_is_not_over_as_of_now_and_at_least_as_long_as_asked(as_of, last, align):
    query = {"resource": "activities", "window": {"last": last, "align": align, "timezone": "Europe/Berlin"}}
    window = window_of(query, as_of)
    assert window.end <= as_of
    hour = timedelta(hours=1)  # a day of 23 hours is a day
    assert Duration.parse(last).after(window.start) <= window.end + hour


def test_a_bucketed_kind_that_forgets_has_a_hot_window_of_whole_periods():
    kind = KINDS["metrics_active_identity_counts"].model_copy(
        update={"retention": Retention(hot="30d", older="Gone.")}
    )
    kinds = {kind.kind: kind}
    whole = {"resource": kind.kind, "window": "hot"}
    assert str(window_of(whole, kinds=kinds)) == "2026-10-23T00:00:00.000Z .. 2026-11-21T00:00:00.000Z"
    running = window_of({**whole, "include_partial": True}, kinds=kinds)
    assert str(running) == "2026-10-23T00:00:00.000Z .. 2026-11-21T09:10:11.123Z"


def test_a_hot_window_needs_a_hot_span():
    compiled = program({"check": {"query": {"resource": "activities", "window": "hot"}}})
    kinds = {"activities": KINDS["activities"].model_copy(update={"retention": None})}
    with pytest.raises(ValueError, match="activities has no hot span"):
        planner.plan(compiled, kinds, as_of=NOW, tool_version="test")


# --- coverage ----------------------------------------------------------------------------------------

HELD = Retention(hot="14d", older="Restore it.")
EVENTS = KINDS["activities"].model_copy(update={"retention": HELD})
COUNTS = KINDS["user_activities"]


def at(text: str) -> datetime:
    return parse_instant(text)


def between(start: str, end: str) -> Window:
    return Window(at(start), at(end))


def test_what_is_there_now_needs_no_coverage():
    assert coverage(None, EVENTS, NOW) is None


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (
            between("2026-11-10", "2026-11-11"),
            Coverage(covered=True, until=at("2026-11-24")),
        ),
        (
            Window(at("2026-11-07T09:10:11.123Z"), NOW),
            Coverage(covered=True, until=NOW),
        ),
        (
            between("2026-11-01", "2026-11-10"),
            Coverage(
                covered=False,
                uncovered=between("2026-11-01", "2026-11-07T09:10:11.123Z"),
                note="Restore it.",
            ),
        ),
        (
            between("2026-10-01", "2026-10-10"),
            Coverage(covered=False, uncovered=between("2026-10-01", "2026-10-10"), note="Restore it."),
        ),
        (
            between("2026-11-20", "2026-11-22"),
            Coverage(
                covered=False,
                uncovered=Window(NOW, at("2026-11-22")),
                note="The window ends in the future.",
            ),
        ),
        (
            between("2026-12-01", "2026-12-02"),
            Coverage(
                covered=False,
                uncovered=between("2026-12-01", "2026-12-02"),
                note="The window ends in the future.",
            ),
        ),
        (
            between("9999-01-01", "9999-12-31T23:59:59.999Z"),
            Coverage(
                covered=False,
                uncovered=between("9999-01-01", "9999-12-31T23:59:59.999Z"),
                note="The window ends in the future.",
            ),
        ),
        (
            between("2026-11-20", "2026-11-20"),
            Coverage(
                covered=False,
                uncovered=between("2026-11-20", "2026-11-20"),
                note="The window has no length.",
            ),
        ),
    ],
    ids=[
        "held",
        "just held",
        "aged out in part",
        "aged out",
        "future in part",
        "future",
        "end of time",
        "empty",
    ],
)
def test_an_endpoint_holds_its_hot_span_up_to_now(window, expected):
    assert coverage(window, EVENTS, NOW) == expected


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (between("2020-01-01", "2026-11-21"), Coverage(covered=True)),
        (
            between("2026-11-21", "2026-11-21"),
            Coverage(
                covered=False,
                uncovered=between("2026-11-21", "2026-11-21"),
                note="The window holds no whole period that is over.",
            ),
        ),
        (
            between("2026-11-21", "2026-11-22"),
            Coverage(
                covered=False,
                uncovered=Window(NOW, at("2026-11-22")),
                note="The window ends in the future.",
            ),
        ),
    ],
    ids=["no limit", "empty", "future"],
)
def test_counts_are_held_for_ever(window, expected):
    assert coverage(window, COUNTS, NOW) == expected


def test_a_window_that_is_as_long_as_the_hot_span_is_gone_before_it_can_be_asked_for():
    (found,) = plan_of({"resource": "activities", "window": "14d"}, NOW).queries
    assert found.coverage is not None
    assert not found.coverage.covered
    assert str(found.coverage.uncovered) == "2026-11-07T09:10:11.123Z .. 2026-11-07T09:10:11.124Z"


def test_a_hot_window_is_held_for_an_hour():
    plan = plan_of({"resource": "activities", "window": "hot"}, NOW)
    assert plan.valid_until == NOW + timedelta(hours=1)


# --- membership --------------------------------------------------------------------------------------

DAYS = {"resource": "user_activities", "window": {"from": "2026-11-01", "to": "2026-11-03"}}
RUNNING = {"resource": "metrics_active_identity_counts", "window": "7d", "include_partial": True}


@pytest.mark.parametrize(
    ("query", "record", "inside"),
    [
        (DAYS, {"startDate": "2026-11-01T00:00:00Z"}, True),
        (DAYS, {"startDate": "2026-11-02T01:00:00+01:00"}, True),
        (DAYS, {"startDate": "2026-11-02T00:00:01Z"}, False),
        (DAYS, {"startDate": "2026-10-31T00:00:00Z"}, False),
        (DAYS, {"startDate": "2026-11-03T00:00:00Z"}, False),
        (RUNNING, {"startDate": "2026-11-21T00:00:00Z"}, True),
        (RUNNING, {"startDate": "2026-11-22T00:00:00Z"}, False),
        ({"resource": "activities", "window": "hot"}, {"recordedAt": "2026-11-07T10:10:11.123Z"}, True),
        ({"resource": "activities", "window": "hot"}, {"recordedAt": "2026-11-07T10:10:11.122Z"}, False),
        ({"resource": "activities", "window": "hot"}, {"recordedAt": "2026-11-21T09:08:11.123Z"}, False),
    ],
)
def test_a_record_belongs_to_the_window_that_its_instant_or_whole_period_lies_in(query, record, inside):
    found = planned(query)
    assert belongs(record, found, KINDS[found.resource]) is inside


def test_every_record_belongs_to_a_query_without_a_window():
    now = KINDS["activities"].model_copy(update={"kind": "now", "window": None})
    found = planned({"resource": "now"}, kinds={"now": now})
    assert belongs({"recordedAt": "1970-01-01"}, found, now)


def test_a_record_whose_instant_is_none_belongs_nowhere():
    found = planned({"resource": "activities", "window": "hot"})
    with pytest.raises(ValueError, match="no ISO 8601 instant"):
        belongs({"recordedAt": 5}, found, KINDS["activities"])
