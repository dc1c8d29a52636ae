"""Every resource kind that ships, held against its schema, itself, and what is known of PingOne."""

from __future__ import annotations

import json
from datetime import date

import pytest
from jsonschema import Draft202012Validator

from auditor.config import shipped_kinds, yaml
from auditor.config.descriptors import lint, lint_holders, refused_path
from auditor.model.instant import Duration
from auditor.model.resource import Attribute, Filter, ResourceKind, Shape, field, fields, value_at, without
from tests.support import ROOT, SHARED, needs_shared

FILES = sorted((ROOT / "schemas" / "resources").glob("*.yaml"))
KINDS = shipped_kinds()
SEEDS = {"activities", "active_identity_counts", "metrics_active_identity_counts", "user_activities"}
"""The endpoints that the first policies need."""


def attributes(kind: ResourceKind) -> list[Attribute]:
    return list(kind.filter.attributes.values()) if kind.filter else []


def kinds_and_filters() -> list[tuple[ResourceKind, Filter]]:
    return [(kind, kind.filter) for kind in KINDS.values() if kind.filter]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_validates_against_the_exported_schema(path):
    schema = json.loads((ROOT / "schemas" / "resource.schema.json").read_text("utf-8"))
    document = yaml.load(path.read_text("utf-8"), path.name)
    assert document.diagnostics == ()
    assert list(Draft202012Validator(schema).iter_errors(document.value)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_the_name_of_its_kind_and_points_editors_at_the_schema(path):
    assert KINDS[path.stem].kind == path.stem
    first, *_ = path.read_text("utf-8").splitlines()
    assert first == "# yaml-language-server: $schema=../resource.schema.json"


def test_the_seed_endpoints_are_described():
    assert set(KINDS) >= SEEDS


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_a_kind_does_not_contradict_itself(kind):
    """Paths exist, names are unique, shapes and windows name attributes that can do it, periods are complete."""
    assert [*lint(kind), *lint_holders(kind, KINDS)] == []
    assert refused_path(kind) == ""


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_a_kind_says_where_its_facts_come_from_and_when_that_was_read(kind):
    for source in kind.sources:
        assert source.title
        assert date.fromisoformat(source.read) <= date.fromisoformat("2100-01-01")


@pytest.mark.parametrize(("kind", "rule"), kinds_and_filters(), ids=lambda value: getattr(value, "kind", ""))
def test_every_shape_says_where_it_was_promised_or_seen(kind, rule):
    for shape in rule.shapes:
        assert shape.source, kind.kind


@pytest.mark.parametrize(("kind", "rule"), kinds_and_filters(), ids=lambda value: getattr(value, "kind", ""))
def test_shapes_stand_in_the_order_of_the_most_selective_first(kind, rule):
    """A shape that asks for more comes before the one that asks for a part of it, or it would never be used."""

    def slots(shape: Shape) -> set[str]:
        return {slot.attribute for slot in shape.all}

    for position, shape in enumerate(rule.shapes):
        assert not any(slots(earlier) < slots(shape) for earlier in rule.shapes[:position]), kind.kind


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_what_names_a_person_in_a_filter_is_personal_in_a_record_and_the_other_way_round(kind):
    in_filters = {attribute.path for attribute in attributes(kind) if attribute.personal}
    assert in_filters <= set(kind.personal)
    assert {attribute.path for attribute in attributes(kind) if attribute.path in kind.personal} <= in_filters


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_objects_are_open_only_where_they_say_so(kind):
    """An object that forgot its fields would let every misspelt one pass."""
    closed = [
        path
        for path, schema, _ in fields(kind.item)
        if schema.get("type") == "object"
        and not schema.get("properties")
        and schema.get("additionalProperties") is not True
    ]
    assert closed == []
    assert all("type" in schema for _, schema, _ in fields(kind.item))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_instants_of_a_record_are_told_as_such(kind):
    """So that the decoding of a record checks them, and expressions compare them as instants."""
    paths = [attribute.path for attribute in attributes(kind) if attribute.type == "instant"]
    paths.append(kind.instant)
    if kind.buckets:
        paths += [kind.buckets.start, kind.buckets.end]
    for path in filter(None, paths):
        found = field(kind.item, path)
        assert found
        assert found[0].get("format") == "date-time", path


def test_a_hot_window_of_activities_leaves_time_for_late_events():
    """Events reach the store after they are recorded, by less than the settling time."""
    activities = KINDS["activities"]
    assert activities.retention
    assert activities.window
    assert activities.window.longest
    assert activities.settling
    assert Duration.parse(activities.settling).seconds >= 60
    assert (
        Duration.parse(activities.window.longest).seconds <= Duration.parse(activities.retention.hot).seconds
    )


@needs_shared
def test_the_known_action_types_are_those_that_public_sources_name():
    listed = json.loads((SHARED / "data" / "pingone_action_types.json").read_text("utf-8"))["actionTypes"]
    assert KINDS["activities"].filter
    assert set(KINDS["activities"].filter.attributes["action.type"].values) == set(listed)


@needs_shared
def test_recorded_events_are_events_as_the_kind_describes_them():
    validator = Draft202012Validator(KINDS["activities"].item)
    log = (SHARED / "data" / "elastic_ping_one_audit_activities.ndjson").read_text("utf-8")
    events = [json.loads(line) for line in log.splitlines()]
    assert len(events) == 98
    for number, event in enumerate(events, start=1):
        assert [error.message for error in validator.iter_errors(event)] == [], number


RECORDED = {
    "applications": "applications",
    "environments": "environment_d959e98c",
    "groups": "groups",
    "users": "users",
}
"""Answers that were recorded from PingOne in 2022, by the kind of their records."""


@needs_shared
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_answer_is_as_the_kind_describes_it(name):
    kind = KINDS[name]
    body = json.loads((SHARED / "data" / "jupiterone" / f"{RECORDED[name]}.json").read_text("utf-8"))
    answer = body["response"]["body"]
    assert kind.page.items
    records = value_at(answer, kind.page.items) or [answer]
    for record in records:
        assert [error.message for error in Draft202012Validator(kind.item).iter_errors(record)] == []
        unknown = {path for path in record if field(kind.item, path) is None}
        assert unknown == set()
    if kind.page.count == "items":
        assert answer[kind.page.total] == len(records)


@pytest.mark.parametrize(
    ("scope", "path", "allowed"),
    [
        ("organization", "/environments", True),
        ("organization", "/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6", False),
        ("environment", "/environments", False),
        ("service", "/Users", True),
        ("service", "/scim/v2/Groups", True),
        ("service", "/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/users", False),
        ("service", "/Environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/users", False),
        ("service", "/organizations/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/licenses", False),
        ("service", "/as/token", False),
        ("service", "/Users/../as/token", False),
        ("service", "//evil.example/Users", False),
        ("service", "/Users?count=1", False),
        ("service", "/users/{each}/roleAssignments", False),
    ],
)
def test_a_kind_reads_what_belongs_to_its_scope_and_no_secret(scope, path, allowed):
    """So that no file of a merge request makes the auditor read another environment's records."""
    kind = KINDS["groups"].model_copy(update={"scope": scope, "path": path})
    assert (refused_path(kind) == "") == allowed


@pytest.mark.parametrize(
    ("changes", "route", "why"),
    [
        ({}, None, ""),
        ({"resource": "usres"}, ("for_each", "resource"), 'no resource kind "usres"'),
        ({"resource": "activities"}, ("for_each", "resource"), "for a window of time"),
        ({"resource": "sign_on_policy_actions"}, ("for_each", "resource"), "once for each"),
        ({"field": "externalId"}, ("for_each", "field"), 'need not have "externalId"'),
        ({"keep": ["id", "usernmae"]}, ("for_each", "keep", 1), 'no field "usernmae"'),
        ({"keep": ["id", "title"]}, ("for_each", "keep", 1), 'no field "user.title"'),
        ({"field": "username"}, ("identity",), "could have one identity"),
    ],
)
def test_a_kind_that_is_read_for_each_of_another_fits_that_one(changes, route, why):
    kind = KINDS["user_role_assignments"]
    assert kind.for_each
    changed = kind.model_copy(update={"for_each": kind.for_each.model_copy(update=changes)})
    flaws = [(flaw.route, flaw.detail) for flaw in lint_holders(changed, KINDS)]
    if route is None:
        assert flaws == []
    else:
        assert [detail for where, detail in flaws if where == route and why in detail]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/environments/{environment_id}/users/{each}/roleAssignments", True),
        ("/environments/{environment_id}/{each}", True),
        ("/environments/{environment_id}/users/roleAssignments", False),
        ("/environments/{environment_id}/users/{each}/{each}", False),
        ("/environments/{environment_id}/users/{each}x/roleAssignments", False),
        ("/environments/{each}/users", False),
        ("/environments/{environment_id}/users/{each}/password", False),
        ("/environments/{environment_id}/applications/{each}/secret", False),
        ("/environments/{environment_id}/gateways/{each}/credentials", False),
    ],
)
def test_what_is_read_for_each_record_of_another_kind_stands_below_it_and_is_no_secret(path, allowed):
    kind = KINDS["user_role_assignments"].model_copy(update={"path": path})
    assert (refused_path(kind) == "") == allowed


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_no_field_of_a_record_has_the_name_of_a_secret(kind):
    """What may hold one is taken out of every record (`secret`), so a policy can not even name it."""
    told = [path for path, schema, _ in fields(kind.item) if schema.get("type") == "string"]
    words = ("secret", "password", "privatekey", "credential", "sharedsecret", "apikey")
    assert [path for path in told if path.casefold().endswith(words)] == []


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ((), {"a": {"b": [{"c": 1, "d": 2}, 3], "c": 4}, "c": 5}),
        (("c",), {"a": {"b": [{"c": 1, "d": 2}, 3], "c": 4}}),
        (("a.c", "c"), {"a": {"b": [{"c": 1, "d": 2}, 3]}}),
        (("a.b.c",), {"a": {"b": [{"d": 2}, 3], "c": 4}, "c": 5}),
        (("a.b", "a.b.c"), {"a": {"c": 4}, "c": 5}),
        (("a", "a.c"), {"c": 5}),
        (("x", "c.x", "a.x.c"), {"a": {"b": [{"c": 1, "d": 2}, 3], "c": 4}, "c": 5}),
    ],
)
def test_fields_are_taken_out_of_a_record_also_below_arrays(paths, left):
    record = {"a": {"b": [{"c": 1, "d": 2}, 3], "c": 4}, "c": 5}
    before = json.dumps(record)
    assert without(record, paths) == left
    assert json.dumps(record) == before
