"""What is decoded by a type alone is as its schema says: nothing that breaks a rule of it is taken."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor import jmes
from auditor.evaluator.typed import Attributes, Decoder, is_typed
from auditor.model.decoding import UNLIKE
from auditor.model.drift import Documented
from tests.support import examples

LEAVES = [
    {"type": "string", "description": "Any text."},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "email"},
    {"type": "string", "enum": ["a", "b"]},
    {"type": "string", "pattern": "^a"},
    {"type": "string", "minLength": 2},
    {"type": "integer"},
    {"type": "integer", "minimum": 0},
    {"type": "number"},
    {"type": "number", "exclusiveMaximum": 5},
    {"type": "boolean"},
    {"type": "array", "items": {"type": "integer"}},
    {"type": "array", "items": {"type": "string", "format": "date-time"}, "maxItems": 1},
    {"type": "object", "properties": {"x": {"type": "string"}}, "anyOf": [{"required": ["x"]}]},
]
INSTANTS = st.builds(
    "{}-{}-{}T{}:{}:{}{}".format,
    st.sampled_from(["0000", "0001", "2024", "2026", "٢٠٢٦"]),
    *(
        st.sampled_from(range_)
        for range_ in (["00", "02", "04", "12", "13"], ["00", "28", "29", "30", "31", "32"])
    ),
    *(st.sampled_from(["00", "23", "24", "59", "60", "9"]) for _ in range(3)),
    st.sampled_from(["Z", "", ".5Z", ".123456Z", ".1234567Z", ".1234567890Z", "+01:00", "Z\n", "z"]),
)
VALUES = st.one_of(
    INSTANTS,
    st.sampled_from(
        ["a", "b", "c", "", "garbage", 0, -1, 7, 1.0, 1.5, -0.0, 2**63, 1e300, True, None, {}, {"x": "y"}]
    ),
    st.lists(st.one_of(st.sampled_from([1, 1.5, "a"]), INSTANTS), max_size=2),
)


@pytest.mark.parametrize("leaf", LEAVES, ids=json.dumps)
@settings(max_examples=examples(200), deadline=None)
@given(value=VALUES)
@example(value="2026-02-28T09:00:00.000Z")
def test_a_value_that_breaks_a_rule_is_not_decoded_as_if_it_kept_it(leaf, value):
    schema = {"type": "object", "required": ["v"], "properties": {"v": leaf}}
    need = jmes.Need()
    need.at("v.x" if leaf["type"] == "object" else "v").whole = True
    if not is_typed(schema, need):
        return
    record = json.loads(json.dumps({"v": value}))
    try:
        Decoder(schema, need, Attributes()).decode(json.dumps(record).encode())
    except UNLIKE:
        return
    assert Documented(schema).flaw(record) == ""


@pytest.mark.parametrize("leaf", [LEAVES[number] for number in (0, 1, 6, 8, 10, 11)], ids=json.dumps)
def test_what_has_plain_rules_alone_is_decoded(leaf):
    need = jmes.Need()
    need.at("v").whole = True
    assert is_typed({"type": "object", "properties": {"v": leaf}}, need)
