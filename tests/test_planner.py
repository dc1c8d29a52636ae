"""The plan: exactly what will be asked, the same for the same inputs, in text and JSON."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from auditor import app, planner, scim
from auditor.model.environment import Environment
from auditor.model.instant import Window
from auditor.model.plan import Plan, PlannedQuery
from auditor.model.project import LoadedPack
from auditor.model.query import Pushdown
from auditor.model.resource import Bound, Rate, ResourceKind, WindowRule
from auditor.model.value import Value
from tests.support import ROOT
from tests.test_compiler import KINDS, PROD, QUERIES, pack_of, policy_file, program, query
from tests.test_planner_windows import NOW, at, planned

GOLDEN = ROOT / "tests" / "golden" / "plan"
SCHEMA = json.loads((ROOT / "schemas" / "plan.schema.json").read_text("utf-8"))
CANARY = "canary-5f1e"
Checks: TypeAlias = Mapping[str, Mapping[str, Any]]


def plan(checks: Checks | None = None, *, pushdown: Pushdown = "documented", **of: Any) -> Plan:
    """Plan a project without mistakes as of `NOW`."""
    kinds = of.get("kinds", KINDS)
    return planner.plan(program(checks, pushdown=pushdown, **of), kinds, as_of=NOW, tool_version="test")


def example(**job: Any) -> Plan:
    """Plan the example project."""
    made = app.plan(app.Job(folder=GOLDEN / "project", environ={}, **job), NOW)
    assert made.value is not None, made.diagnostics
    return replace(made.value.plan, tool_version="test")


EXAMPLE = example(environments=["prod", "test"])


# --- documents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plan.txt", "plan.json"])
def test_a_plan_reads_as_its_golden_file(name):
    """`UPDATE_GOLDEN=1` writes the golden files anew, to be read before they are kept."""
    document = (
        app.plan_document(EXAMPLE)
        if name.endswith(".json")
        else app.plan_text(EXAMPLE, width=100, color=False)
    )
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(document, encoding="utf-8", newline="")
    assert document == (GOLDEN / name).read_text("utf-8")


def test_the_schema_of_plans_is_a_schema_and_allows_nothing_else():
    Draft202012Validator.check_schema(SCHEMA)
    closed = [SCHEMA, *(d for d in SCHEMA["$defs"].values() if d.get("type") == "object")]
    assert closed
    for definition in closed:
        assert definition["additionalProperties"] is False
        assert sorted(definition["required"]) == sorted(definition["properties"])


def test_a_plan_is_as_its_schema_says():
    for made in (EXAMPLE, plan({"check": {}}), example(environments=["prod"], pushdown="range")):
        document = json.loads(app.plan_document(made))
        assert list(Draft202012Validator(SCHEMA).iter_errors(document)) == []


def test_the_document_sums_up():
    document = planner.to_document(EXAMPLE)
    assert document["covered"] is False
    assert document["requests_at_least"] == sum(q["requests"]["at_least"] for q in document["queries"])
    assert planner.to_document(plan({"check": {}}))["covered"] is True


def test_no_sensitive_value_is_in_a_plan():
    for level in ("documented", "proven", "range"):
        made = example(environments=["prod"], pushdown=level)
        text = app.plan_text(made, width=200, color=False)
        for shown in (repr(made), text, app.plan_document(made)):
            assert CANARY not in shown
        assert "${var.secret}" in text


# --- the same inputs, the same plan ------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.permutations([("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)]), st.permutations(range(3)))
def test_no_order_of_files_or_checks_changes_a_plan(order, names):
    queries = {
        "a": query('action.type eq "USER.CREATED"'),
        "b": query('action.type eq "USER.DELETED"'),
        "c": query('action.type eq "USER.CREATED"'),
        "d": QUERIES["user_activities"],
        "e": QUERIES["activities"],
    }
    files = [
        policy_file({name: {"query": queries[name]} for name, file in order if file == number})
        for number in names
    ]
    expected = plan(packs=(pack_of(policy_file({name: {"query": q} for name, q in queries.items()})),))
    assert plan(packs=(pack_of(*files),)) == expected


def test_a_plan_says_of_what_it_was_made():
    made = plan({"a": {}, "b": {}})
    assert (made.tool_version, made.as_of) == ("test", NOW)
    assert made.policy_digest == program({"a": {}, "b": {}}).digest
    assert made.checks == ("prod/pack/a", "prod/pack/b")


# --- which queries -----------------------------------------------------------------------------------

CREATED, DELETED = (query(f'action.type eq "USER.{verb}"') for verb in ("CREATED", "DELETED"))


def asked_by(made: Plan) -> dict[str, list[str]]:
    return {q.id: [use.check.rpartition("/")[2] for use in q.uses] for q in made.queries}


def test_checks_that_need_the_same_records_share_a_query():
    checks: Checks = {
        "a": {"query": CREATED},
        "b": {"query": DELETED},
        "c": {"query": CREATED, "expect": "some"},
    }
    made = plan(checks)
    assert asked_by(made) == {"prod/activities/1": ["a", "b", "c"]}
    (shared,) = made.queries
    created, deleted = 'action.type eq "USER.CREATED"', 'action.type eq "USER.DELETED"'
    assert shared.filter.endswith(f"({created} or {deleted})")
    assert [use.residual for use in shared.uses] == [created, deleted, created]
    one_by_one, range_alone = shared.fallbacks
    assert [text.rpartition(" and ")[2] for text in one_by_one] == [created, deleted]
    assert "action.type" not in " ".join(range_alone)
    assert (made.requests_at_least, made.requests_unmerged) == (1, 3)


def test_a_query_names_what_is_left_to_each_of_its_checks():
    checks: Checks = {
        "a": {"query": CREATED},
        "b": {"query": query('action.type eq "USER.CREATED" and result.status ne "SUCCESS"')},
    }
    (made,) = plan(checks).queries
    assert [(use.check, use.where, use.residual) for use in made.uses] == [
        ("prod/pack/a", 'action.type eq "USER.CREATED"', ""),
        (
            "prod/pack/b",
            'action.type eq "USER.CREATED" and result.status ne "SUCCESS"',
            'result.status ne "SUCCESS"',
        ),
    ]


def test_nothing_but_the_same_records_is_shared():
    counts = QUERIES["metrics_active_identity_counts"]
    checks: Checks = {
        "a": {"query": counts},
        "b": {"query": {**counts, "window": "8d"}},
        "c": {"query": {**counts, "include_partial": True}},
        "d": {"query": {**counts, "window": "12mo", "sampling": "MONTH"}},
        "e": {"query": QUERIES["active_identity_counts"]},
        "f": {"query": {**counts, "where": "value gt 5"}},
    }
    assert list(asked_by(plan(checks)).values()) == [["a", "f"], ["b"], ["c"], ["d"], ["e"]]


def test_windows_that_come_to_the_same_instants_are_the_same():
    whole = {"from": (NOW - timedelta(days=1)).isoformat(), "to": NOW.isoformat()}
    checks: Checks = {
        "a": {"query": {"resource": "activities", "window": "24h"}},
        "b": {"query": {"resource": "activities", "window": "1d"}},
        "c": {"query": {"resource": "activities", "window": whole}},
    }
    assert list(asked_by(plan(checks)).values()) == [["a", "b", "c"]]


def test_each_environment_is_asked_for_itself():
    made = plan({"a": {}}, environments=(PROD, Environment(name="test")))
    assert [(q.id, q.path) for q in made.queries] == [
        ("prod/activities/1", "/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/activities"),
        ("test/activities/1", "/environments/{environment_id}/activities"),
    ]


def test_an_excluded_check_asks_for_nothing():
    made = plan(packs=(pack_of(policy_file({"a": {}, "b": {}}), excluded={"b": "because"}),))
    assert asked_by(made) == {"prod/activities/1": ["a"]}
    assert made.skipped == {"prod/pack/b": "Excluded by the project: because"}
    assert made.checks == ("prod/pack/a", "prod/pack/b")


# --- what is asked -----------------------------------------------------------------------------------


RANGE = "recordedAt ge ${window.start} and recordedAt lt ${window.end}"


@pytest.mark.parametrize(
    ("written", "filter_", "parameters"),
    [
        (
            CREATED,
            f'{RANGE} and action.type eq "USER.CREATED"',
            {"limit": "500"},
        ),
        (
            query('tags eq "a" or resources.id eq "r"'),
            f'{RANGE} and (resources.id eq "r" or tags eq "a")',
            {"limit": "500"},
        ),
        (
            {**QUERIES["active_identity_counts"], "sampling": 6},
            'startDate ge ${window.start} and samplingPeriod eq "6"',
            {"order": "startDate", "limit": "100"},
        ),
        (
            QUERIES["metrics_active_identity_counts"],
            "startDate ge ${window.start}",
            {"order": "startDate", "samplePeriod": "DAY", "limit": "100"},
        ),
        (
            {"resource": "metrics_active_identity_counts", "window": "12mo", "sampling": "MONTH"},
            "startDate ge ${window.start}",
            {"order": "startDate", "samplePeriod": "MONTH", "limit": "24"},
        ),
        (
            {"resource": "user_activities", "window": "2w", "sampling": "WEEK"},
            "startDate eq ${window.start} and endDate eq ${window.end}",
            {"sampleSize": "WEEK"},
        ),
    ],
)  # fmt: skip
def test_an_endpoint_is_asked_as_its_descriptor_says(written, filter_, parameters):
    made = planned(written)
    assert (made.filter_parameter, made.filter, made.parameters) == ("filter", filter_, parameters)


def changed(resource: str, **fields: Any) -> Mapping[str, ResourceKind]:
    """Return the shipped kinds with one changed."""
    return {**KINDS, resource: KINDS[resource].model_copy(update=fields)}


def test_an_endpoint_that_filters_nothing_is_sent_no_filter():
    kinds = changed("activities", filter=None, window=None, post=None)
    made = planned({"resource": "activities", "where": 'tags eq "x"'}, kinds=kinds)
    assert (made.filter_parameter, made.filter, made.window, made.slices) == (None, "", None, ())
    assert (made.requests_at_least, made.requests_exact) == (1, False)
    assert made.uses[0].residual == 'tags eq "x"'


def test_an_endpoint_of_the_organization_is_asked_there():
    organization = replace(PROD, organization_id="21a3c8a0-1e5e-4a6e-9d5c-9f2c5a3f5f10")
    kinds = changed("activities", path="/organizations/{organization_id}/activities")
    (made,) = plan({"a": {}}, kinds=kinds, environments=(organization,)).queries
    assert made.path == "/organizations/21a3c8a0-1e5e-4a6e-9d5c-9f2c5a3f5f10/activities"


@pytest.mark.parametrize(
    ("where", "method"),
    [
        ('action.type eq "USER.CREATED"', "GET"),
        ('actors.user.name eq "ada"', "POST"),
        ('actors.user.name eq "ada" or tags eq "x"', "POST"),
        # Here, and so in no URL.
        ('actors.user.name ne "ada"', "GET"),
        ('resources.name eq "ada"', "GET"),
        ('actors.user.name eq "ada" and actors.user.id eq "u"', "GET"),
    ],
)
def test_a_filter_that_names_a_person_is_sent_in_a_body(where, method):
    assert planned(query(where)).method == method


def test_a_filter_too_long_for_a_url_is_sent_in_a_body():
    filter_ = KINDS["activities"].filter
    assert filter_ is not None
    names = filter_.attributes["action.type"].values

    def asked(count: int) -> PlannedQuery:
        listed = ", ".join(f'"{name}"' for name in names[:count])
        return planned(query(f"action.type in [{listed}]"))

    def length(made: PlannedQuery) -> int:
        sent = {"filter": scim.fill_window(made.filter, made.window), **made.parameters}
        return len(f"{made.path}?{urlencode(sent, quote_via=quote)}")

    counts = range(1, len(names) + 1)
    first_post = bisect_left(counts, "POST", key=lambda count: asked(count).method)
    assert length(asked(counts[first_post - 1])) <= planner.MAX_URL < length(asked(counts[first_post]))


def test_where_there_is_no_other_way_a_url_has_to_do():
    kinds = changed("activities", post=None)
    assert planned(query('actors.user.name eq "ada"'), kinds=kinds).method == "GET"


# --- slices, requests, cost --------------------------------------------------------------------------


def test_a_long_window_is_cut_into_slices_the_oldest_first():
    made = planned({"resource": "activities", "window": {"from": "2026-10-01", "to": "2026-11-01"}})
    days = ("2026-10-01", "2026-10-15", "2026-10-29", "2026-11-01")
    assert made.slices == tuple(Window(at(start), at(end)) for start, end in pairwise(days))
    assert (made.requests_at_least, made.requests_exact) == (3, False)


@pytest.mark.parametrize(
    ("written", "expected", "requests", "exact"),
    [
        # An endpoint that answers up to now answers more periods than the window holds.
        ({"resource": "metrics_active_identity_counts", "window": "99d"}, 99, 1, True),
        ({"resource": "metrics_active_identity_counts", "window": "100d"}, 100, 2, True),
        ({"resource": "metrics_active_identity_counts", "window": "12mo", "sampling": "MONTH"}, 12, 1, True),
        ({"resource": "metrics_active_identity_counts", "window": "24mo", "sampling": "MONTH"}, 24, 2, True),
        ({"resource": "active_identity_counts", "window": "7d", "sampling": 1}, 168, 2, True),
        (
            {"resource": "active_identity_counts", "window": {"from": "2026-01-01", "to": "2026-01-08"}},
            7,
            4,
            True,
        ),
        ({"resource": "user_activities", "window": "99w", "sampling": "HOUR"}, 99 * 168, 1, True),
        ({"resource": "activities", "window": "1d"}, None, 1, False),
    ],
)
def test_requests_are_counted_where_periods_say_how_many(written, expected, requests, exact):
    made = planned(written)
    assert (made.expected_records, made.requests_at_least, made.requests_exact) == (expected, requests, exact)


def test_pages_of_what_is_no_period_are_not_counted_beforehand():
    window = WindowRule(start=Bound(attribute="recordedAt", operator="ge"))
    made = planned({"resource": "activities", "window": "1d"}, kinds=changed("activities", window=window))
    assert (made.requests_at_least, made.requests_exact, made.expected_records) == (1, False, None)


def test_a_query_keeps_to_its_share_of_the_licence():
    rate = Rate(group="g", requests=30, per_s=60, share=0.5)
    made = planned({"resource": "activities", "window": "1d"}, kinds=changed("activities", rate=rate))
    assert (made.rate_group, made.requests_per_s) == ("g", 0.25)


def test_a_plan_is_valid_until_the_first_window_that_is_held_begins_to_age_out():
    def valid_until(*windows: str) -> Any:
        checks = {f"c{n}": {"query": {"resource": "activities", "window": w}} for n, w in enumerate(windows)}
        return plan(checks).valid_until

    assert valid_until("24h", "12d", "hot") == NOW + timedelta(hours=1)
    assert valid_until("24h", "12d", "30d") == NOW + timedelta(days=2)
    assert plan({"a": {"query": QUERIES["user_activities"]}}).valid_until is None


# --- what has to be known ----------------------------------------------------------------------------


def test_a_query_names_roles_and_caveats_of_its_kind():
    made = planned(QUERIES["metrics_active_identity_counts"])
    kind = KINDS["metrics_active_identity_counts"]
    assert (made.roles, made.caveats) == (kind.roles, kind.caveats)


UNSETTLED = (
    "Records may appear up to 2m late, so the newest of the window may be missing; "
    "window: hot ends before them."
)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("24h", True),
        ({"from": "2026-11-01", "to": "2026-11-21T09:08:11.124Z"}, True),
        ({"from": "2026-11-01", "to": "2026-11-21T09:08:11.123Z"}, False),
        ({"last": "1d", "align": "day"}, False),
        ("hot", False),
    ],
    ids=str,
)
def test_a_window_that_ends_before_its_records_have_settled_says_so(window, said):
    made = planned({"resource": "activities", "window": window})
    assert (UNSETTLED in made.uses[0].caveats) is said


def test_resources_of_the_project_are_marked():
    made = plan({"a": {}}, own_resources=frozenset({"activities"}))
    assert [q.own_resource for q in made.queries] == [True]
    assert not any(q.own_resource for q in plan({"a": {}}).queries)


def test_a_value_that_is_not_sensitive_is_pushed_and_a_sensitive_one_stays():
    values = {"var.a": Value("open"), "var.b": Value(CANARY, sensitive=True)}
    checks = {"a": {"query": query("tags eq ${var.a} and correlationid eq ${var.b}")}}
    (made,) = plan(checks, variables=values).queries
    assert made.filter.endswith('and tags eq "open"')
    assert made.uses[0].residual == "correlationid eq ${var.b}"
    assert CANARY not in repr(made)


def test_packs_do_not_mix():
    packs = tuple(
        LoadedPack(id=name, title="", files={"f": policy_file({"a": {}})}) for name in ("one", "two")
    )
    made = plan(packs=packs)
    assert [use.check for use in made.queries[0].uses] == ["prod/one/a", "prod/two/a"]


def test_a_planned_query_keeps_the_options_that_were_decided():
    made: PlannedQuery = planned({**QUERIES["active_identity_counts"], "sampling": "DAY"})
    assert (made.options, made.include_partial, made.page_size) == ({"sampling": 24}, False, 100)
