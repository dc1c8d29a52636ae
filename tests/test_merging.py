"""Checks share queries where that reads nothing more, and lose nothing by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import planner, scim
from auditor.evaluator import Audit
from auditor.model.evidence import Page, QueryEnd
from auditor.model.instant import parse_instant
from auditor.model.plan import Count, Plan, PlannedQuery, Use
from auditor.model.query import CompiledCheck, Program
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON
from tests.support import examples
from tests.test_compiler import KINDS, program
from tests.test_planner_windows import NOW

ACTIVITIES = KINDS["activities"]
assert ACTIVITIES.filter
FILTER = ACTIVITIES.filter


def checks(**queries: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return checks on `activities`, each with the keys of its query."""
    return {
        name: {"query": {"resource": "activities", "window": "hot", **query}}
        for name, query in queries.items()
    }


def plan(compiled: Program, *, merge: bool = True, kinds: Mapping[str, ResourceKind] = KINDS) -> Plan:
    return planner.plan(compiled, kinds, as_of=NOW, tool_version="test", merge=merge)


def served(made: Plan) -> list[str]:
    """Return for each query the names of the checks that it serves, as one word."""
    return ["".join(use.check.rpartition("/")[2] for use in query.uses) for query in made.queries]


CREATED, DELETED, ROLES = (
    {"where": f'action.type eq "{name}"'}
    for name in ("USER.CREATED", "USER.DELETED", "ROLE_ASSIGNMENT.CREATED")
)
BY_ADA, TAGGED = {"where": 'actors.user.id eq "ada"'}, {"where": 'tags eq "adminIdentityEvent"'}
EITHER = {"where": 'action.type in ["USER.CREATED", "USER.DELETED"]'}
OPEN = {"where": 'result.status ne "SUCCESS"'}
DAY, WEEK, OLD = {"window": "1d"}, {"window": "7d"}, {"window": {"from": "2026-10-01", "to": "2026-11-21"}}


@pytest.mark.parametrize(
    ("queries", "pushdown", "groups"),
    [
        # Filters of one endpoint become one, whatever they compare.
        ({"a": CREATED, "b": DELETED}, "documented", ["ab"]),
        ({"a": CREATED, "b": BY_ADA, "c": TAGGED}, "documented", ["abc"]),
        # What is about everything takes the others along.
        ({"a": CREATED, "b": OPEN, "c": TAGGED}, "documented", ["abc"]),
        ({"a": CREATED, "b": TAGGED}, "range", ["ab"]),
        # A shorter window costs nothing where the longer query finds its records anyway,
        ({"a": OPEN, "b": {**CREATED, **DAY}, "c": {**OPEN, **WEEK}}, "documented", ["abc"]),
        ({"a": CREATED, "b": {**CREATED, **WEEK}}, "documented", ["ab"]),
        ({"a": EITHER, "b": {**DELETED, **DAY}}, "documented", ["ab"]),
        # and would cost something where not.
        ({"a": CREATED, "b": {**DELETED, **DAY}}, "documented", ["a", "b"]),
        ({"a": CREATED, "b": {**OPEN, **DAY}}, "documented", ["a", "b"]),
        # A window that the endpoint no longer holds would spoil what lies in it.
        ({"a": {**OPEN, **OLD}, "b": OPEN}, "documented", ["a", "b"]),
    ],
)  # fmt: skip
def test_checks_share_a_query_where_that_reads_nothing_more(queries, pushdown, groups):
    assert served(plan(program(checks(**queries), pushdown=pushdown))) == groups


def test_a_filter_on_the_instant_narrows_what_is_asked():
    where = 'recordedAt ge "2026-11-18T00:00:00.0004Z" and recordedAt le "2026-11-19T00:00:00Z" and tags pr'
    (made,) = plan(program(checks(a={"where": where}))).queries
    assert str(made.window) == "2026-11-18T00:00:00.000Z .. 2026-11-19T00:00:00.001Z"
    assert made.uses[0].window == plan(program(checks(a=CREATED))).queries[0].window
    old = checks(a={"window": "60d", "where": 'recordedAt ge "2026-11-20T00:00:00Z"'})
    (made,) = plan(program(old)).queries
    assert made.coverage
    assert made.coverage.covered


def test_filters_that_an_endpoint_can_not_join_stay_apart():
    """Where an endpoint has no `or`, joining two filters would mean to read everything."""
    filter_ = FILTER.model_copy(update={"disjunction": None})
    kinds = {**KINDS, "activities": ACTIVITIES.model_copy(update={"filter": filter_})}
    many = checks(a=BY_ADA, b=TAGGED, c=BY_ADA)
    assert served(plan(program(many, kinds=kinds), kinds=kinds)) == ["ac", "b"]


@pytest.mark.parametrize("is_counted", [False, True])
def test_queries_with_other_options_stay_apart_whatever_is_counted(is_counted):
    """A count of days is no count of months, even where both are asked for the same window."""
    window = {"from": "2026-05-01", "to": "2026-11-01"}
    two = {
        sampling.lower(): {
            "query": {"resource": "metrics_active_identity_counts", "window": window, "sampling": sampling}
        }
        for sampling in ("DAY", "MONTH")
    }
    count = Count(
        environment="prod", resource="metrics_active_identity_counts", filter="", window=None, records=1
    )
    made = planner.plan(
        program(two), KINDS, as_of=NOW, tool_version="test", counts=[count] if is_counted else []
    )
    assert served(made) == ["day", "month"]


def test_a_window_that_is_not_held_stays_a_window_whatever_is_counted():
    compiled = program(checks(a={**CREATED, **OLD}, b={**OPEN, **OLD}))
    count = Count(environment="prod", resource="activities", filter="", window=None, records=1)
    made = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test", counts=[count])
    assert [query.window for query in made.queries] == [query.window for query in plan(compiled).queries]
    assert all(query.window for query in made.queries)


def test_without_merging_every_check_has_its_own_query():
    compiled = program(checks(a=CREATED, b=DELETED, c=OPEN))
    made = plan(compiled, merge=False)
    assert served(made) == ["a", "b", "c"]
    assert made.requests_at_least == made.requests_unmerged == plan(compiled).requests_unmerged == 3


def test_a_query_that_serves_one_filter_only_has_nothing_to_fall_back_to():
    assert plan(program(checks(a=CREATED, b=CREATED))).queries[0].fallbacks == ()
    assert plan(program(checks(a=CREATED, b=OPEN))).queries[0].fallbacks == ()


def test_a_filter_too_long_for_a_url_is_split_where_there_is_no_other_way():
    kinds = {**KINDS, "activities": ACTIVITIES.model_copy(update={"post": None})}
    names = FILTER.attributes["action.type"].values[:150]
    where = f"action.type in [{', '.join(json.dumps(name) for name in names)}]"
    (made,) = plan(program(checks(a={"where": where}), kinds=kinds), kinds=kinds).queries
    filters = (made.filter, *made.further_filters)
    assert (made.method, len(filters) > 1, made.requests_at_least) == ("GET", True, len(filters))
    found = [name for text in filters for name in names if f'"{name}"' in text]
    assert sorted(found) == sorted(names)
    assert all("recordedAt" in text for text in filters)


def test_a_filter_that_no_url_takes_and_that_can_not_be_split_is_left_to_this_program():
    kinds = {**KINDS, "activities": ACTIVITIES.model_copy(update={"post": None})}
    where = f'correlationid eq "{"x" * 7_000}"'
    (made,) = plan(program(checks(a={"where": where}), kinds=kinds), kinds=kinds).queries
    assert (made.filter, made.further_filters) == (
        "recordedAt ge ${window.start} and recordedAt lt ${window.end}",
        (),
    )


def test_the_longest_window_of_a_log_is_probed():
    made = plan(program(checks(a={**CREATED, **DAY}, b={**DELETED, **WEEK})))
    (probe,) = made.probes
    assert (probe.id, probe.window, probe.uses) == ("prod/activities/probe", made.queries[1].window, ())
    assert [use.window for use in made.queries[1].uses] == [made.queries[1].window]
    assert (probe.parameters["limit"], probe.page_size, probe.requests_at_least) == ("1", 1, 1)
    assert "action.type" not in probe.filter
    assert probe.method == "GET"


def test_what_is_never_empty_is_not_probed():
    counts = {"a": {"query": {"resource": "user_activities", "window": "7d"}, "expect": {"some": "[]"}}}
    assert plan(program(counts)).probes == ()


# --- the law -------------------------------------------------------------------------------------------

SPANS = [
    {"where": 'recordedAt ge "2026-11-15T00:00:00Z"'},
    {"where": 'recordedAt gt "2026-11-15T00:00:00Z" and action.type eq "USER.CREATED"'},
    {"where": 'recordedAt le "2026-11-18T12:00:00.5Z" and recordedAt lt "2026-11-20T00:00:00Z"'},
    {"where": 'recordedAt eq "2026-11-18T12:00:00.5Z"'},
    {"where": 'not (recordedAt lt "2026-11-18T00:00:00Z")'},
    {"where": 'recordedAt lt "2026-01-01T00:00:00Z" or tags pr'},
]
WHERES = st.sampled_from([CREATED, DELETED, ROLES, BY_ADA, TAGGED, OPEN, {}, *SPANS])
WINDOWS = st.sampled_from(
    [{"window": "hot"}, DAY, WEEK, {"window": {"from": "2026-11-15", "to": "2026-11-19"}}]
)
QUERIES = st.builds(lambda where, window: {**where, **window}, WHERES, WINDOWS)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "recordedAt": st.sampled_from(
                ["2026-11-08T00:00:00Z", "2026-11-15T00:00:00Z", "2026-11-18T12:00:00.5Z", "2026-11-21T00:00:00Z"]
            ),
            "action": st.sampled_from(["USER.CREATED", "USER.DELETED", "GROUP.CREATED"]).map(lambda t: {"type": t}),
        },
        optional={
            "actors": st.just({"user": {"id": "ada"}}),
            "tags": st.just(["adminIdentityEvent"]),
            "result": st.sampled_from([{"status": "SUCCESS"}, {"status": "FAILED"}]),
        },
    ),
    max_size=6,
)  # fmt: skip


def answer(query: PlannedQuery, events: list[dict[str, JSON]]) -> tuple[JSON, ...]:
    """Return what a server answers that filters as it is asked to."""
    found = scim.predicate(scim.parse(scim.fill_window(query.filter, query.window)), scim.rules(ACTIVITIES))
    return tuple(event for event in events if found(event))


def uses(made: Plan) -> list[tuple[int, Use]]:
    """Return how each check is served, by its number."""
    found = [(int(use.check.rpartition("/c")[2]), use) for query in made.queries for use in query.uses]
    return sorted(found, key=lambda pair: pair[0])


def selected(check: CompiledCheck, use: Use, events: list[dict[str, JSON]]) -> int:
    """Return how many events lie in the window of a check and satisfy its filter, whatever was asked."""
    where = scim.parse(use.where, check.values) if use.where else scim.Constant(True)
    holds = scim.predicate(where, scim.rules(ACTIVITIES))
    assert use.window
    return sum(parse_instant(str(each["recordedAt"])) in use.window and holds(each) for each in events)


def verdicts(compiled: Program, events: list[dict[str, JSON]], *, merge: bool) -> list[tuple[Any, ...]]:
    made = plan(compiled, merge=merge)
    audit = Audit(compiled, made, KINDS)
    for query in made.queries:
        audit.add(Page(query=query.id, number=1, records=answer(query, events)))
    ends = [QueryEnd(query=query.id, failure=None, assurance="end of links") for query in made.queries]
    return [
        # Which query brought a record is what differs.
        (
            one.check,
            one.status,
            one.code,
            one.population,
            [replace(found, page="") for found in one.outcomes[0].violations],
        )
        for one in audit.finish(ends)
    ]


@settings(deadline=None, max_examples=examples(60))
@given(queries=st.lists(QUERIES, min_size=1, max_size=6), events=EVENTS)
def test_sharing_queries_changes_no_verdict_and_asks_no_more(queries, events):
    named = [{"id": str(number), **event} for number, event in enumerate(events)]
    compiled = program(checks(**{f"c{number}": query for number, query in enumerate(queries)}))
    assert verdicts(compiled, named, merge=True) == verdicts(compiled, named, merge=False)
    made, apart = plan(compiled), plan(compiled, merge=False)
    populations = [population for _, _, _, population, _ in verdicts(compiled, named, merge=True)]
    assert populations == [selected(compiled.checks[number], use, named) for number, use in uses(apart)]
    assert len(made.queries) <= len(apart.queries)
    # Nothing is read that no check's own query would have read.
    read = {(r["id"]) for query in made.queries for r in answer(query, named)}
    assert read == {(r["id"]) for query in apart.queries for r in answer(query, named)}
    assert all(parse_instant("2026-11-07") <= query.window.start for query in made.queries if query.window)
