"""What is taken to be as documented without asking jsonschema is what jsonschema would take too."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.model import drift
from tests.pages import KINDS, event
from tests.support import examples

NAMES = st.sampled_from(["a", "b", "c"])
INSTANTS = st.sampled_from(["2026-11-21T09:00:00Z", "2026-11-21", "2019-02-31", "yesterday", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(-1, 1) | st.just("text") | INSTANTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
TYPES = ["object", "array", "string", "integer", "number", "boolean", "null"]


def _schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, unique=True, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "format": st.just("date-time"),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "minimum": st.integers(-1, 1),
            "description": st.just("What it is."),
        },
    )


SCHEMAS = st.recursive(st.just({}) | st.builds(lambda name: {"type": name}, st.sampled_from(TYPES)), _schemas)


@settings(max_examples=examples(300), deadline=None)
@given(schema=SCHEMAS, value=VALUES)
def test_what_surely_keeps_a_schema_is_valid(schema: dict[str, Any], value: Any):
    documented = drift.Documented(schema)
    assert not drift.surely_keeps(schema)(value) or documented.judge.is_valid(value)


def test_a_schema_may_nest_deeper_than_one_function_of_python_can():
    schema: dict[str, Any] = {"type": "string"}
    good: Any = "text"
    bad: Any = 1
    for level in range(60):
        if level % 2:
            schema, good, bad = {"type": "array", "items": schema}, [good], [bad]
        else:
            schema, good, bad = {"type": "object", "properties": {"a": schema}}, {"a": good}, {"a": bad}
    assert drift.surely_keeps(schema)(good)
    assert not drift.surely_keeps(schema)(bad)


def test_no_name_of_a_schema_gets_into_the_source_of_its_test():
    name = '"): return True #\n'
    schema = {"type": "object", "required": [name], "properties": {name: {"type": "string"}}}
    assert drift.surely_keeps(schema)({name: "text"})
    assert not drift.surely_keeps(schema)({name: 1})
    assert not drift.surely_keeps(schema)({})


@settings(max_examples=examples(100), deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from(["id", "recordedAt", "action", "actors", "resources", "tags"]), VALUES, max_size=3
    )
)
def test_a_record_is_refused_exactly_where_jsonschema_refuses_it(changes: dict[str, Any]):
    schema = KINDS["activities"].item
    record = event(1, **changes)
    documented = drift.Documented(schema)
    assert (documented.flaw(record) == "") is documented.judge.is_valid(record)


def test_an_ordinary_event_needs_no_judge():
    """Or a page of a thousand would keep everything else waiting for a sixth of a second."""
    assert drift.surely_keeps(KINDS["activities"].item)(event(1))
