"""How the attributes of a resource kind are found in its records."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import scim
from auditor.model.instant import Window, parse_instant
from auditor.model.resource import fields, value_at
from auditor.scim import Rule
from tests.test_compiler import KINDS

ACTIVITIES = KINDS["activities"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("action.type", Rule(("action", "type"), "string", case_exact=True)),
        ("correlationid", Rule(("correlationId",), "string", case_exact=True)),
        ("actor.user.id", Rule(("actors", "user", "id"), "string", case_exact=True)),
        ("recordedAt", Rule(("recordedAt",), "instant", case_exact=True)),
        ("resources.name", Rule(("resources", "name"), "string", case_exact=True)),
        ("resources", Rule(("resources",), "any", case_exact=True)),
        ("_links.self.href", Rule(("_links", "self", "href"), "any", case_exact=True)),
    ],
)
def test_an_attribute_follows_its_descriptor_and_a_field_its_schema(name, rule):
    assert scim.rules(ACTIVITIES)(name) == rule


def test_a_field_of_any_json_type_has_a_rule():
    item = {
        "properties": {
            "n": {"type": "number"},
            "i": {"type": "integer"},
            "b": {"type": "boolean"},
            "s": {"type": "string"},
            "at": {"type": "string", "format": "date-time"},
            "many": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
            "either": {"type": ["string", "null"]},
            "open": {},
        }
    }
    rules = scim.rules(ACTIVITIES.model_copy(update={"item": item, "filter": None}))
    assert {path: rules(path).type for path, _, _ in fields(item)} == {
        "n": "number",
        "i": "number",
        "b": "boolean",
        "s": "string",
        "at": "instant",
        "many": "number",
        "either": "any",
        "open": "any",
    }


@pytest.mark.parametrize("name", ["nothing", "action.nothing", "environment.id", "tags.x"])
def test_what_no_record_shows_has_no_rule(name):
    with pytest.raises(KeyError):
        scim.rules(ACTIVITIES)(name)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("result.status", "result.status"),
        ("RESULT.Status", "result.status"),
        ("_links.any.Thing", "_links.any.Thing"),
        ("result.statuz", None),
        ("", None),
    ],
)
def test_a_field_is_found_in_any_case_and_has_its_own_spelling(name, spelled):
    assert scim.spelling(ACTIVITIES, name) == spelled


def test_every_field_and_attribute_of_a_shipped_kind_has_a_rule():
    for kind in KINDS.values():
        rules = scim.rules(kind)
        shown = [name for name, rule in (kind.filter.attributes if kind.filter else {}).items() if rule.path]
        for name in [*shown, *(path for path, _, _ in fields(kind.item))]:
            assert rules(name).path


def test_a_window_stands_where_its_ends_are_named():
    window = Window(parse_instant("2026-11-01"), parse_instant("2026-11-02"))
    text = 'at ge ${window.start} and at lt ${window.end} and a eq "$${window.end}"'
    filled = 'at ge "2026-11-01T00:00:00.000Z" and at lt "2026-11-02T00:00:00.000Z" and a eq "$${window.end}"'
    assert scim.fill_window(text, window) == filled
    assert scim.fill_window(text, None) == text
    assert scim.fill_window("", window) == ""
    assert scim.as_sent(text, window) == filled.replace("$${", "${")


@given(text=st.text(alphabet='$x{}\\"', max_size=8))
def test_what_looks_like_a_placeholder_is_sent_as_it_is(text: str):
    """No server knows that `$${` stands for `${` in policies."""
    where = scim.Compare(scim.Attribute("a"), scim.Operator.EQ, scim.Literal(text))
    assert scim.as_sent(scim.render(where), None) == f"a eq {json.dumps(text)}"


def test_a_value_is_found_through_objects_alone():
    record = {"a": {"b": 1}, "list": [{"b": 1}], "null": None}
    found = [value_at(record, path) for path in ("a.b", "a", "a.b.c", "list.b", "null.b", "x")]
    assert found == [1, {"b": 1}, None, None, None, None]
