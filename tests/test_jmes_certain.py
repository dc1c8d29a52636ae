"""What is told to be certainly true is true; and of what policies ask, all that is true is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import jmes
from auditor.evaluator.typed import Attributes, Decoder, is_typed, plain
from auditor.model.value import JSON
from tests.support import examples

TEXT, NUMBER, BOOLEAN = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
OBJECT = {
    "type": "object",
    "required": ["x"],
    "properties": {"x": TEXT, "y": TEXT, "z": {"type": "object", "properties": {"w": TEXT}}},
}
SCHEMA = {
    "type": "object",
    "required": ["id", "in"],
    "properties": {
        "id": TEXT,
        "in": {**OBJECT, "required": ["x", "z"]},
        "t": TEXT,
        "n": NUMBER,
        "b": BOOLEAN,
        "o": OBJECT,
        "l": {"type": "array", "items": TEXT},
        "os": {"type": "array", "items": OBJECT},
        'quo"te': TEXT,
    },
}

texts = st.sampled_from(("", "a", "ab", "b", "é"))
numbers = st.sampled_from((0, 1, 1.0, 2.5, -0.0, 2**63 - 1))
objects = st.fixed_dictionaries(
    {"x": texts}, optional={"y": texts, "z": st.fixed_dictionaries({}, optional={"w": texts})}
)
records = st.fixed_dictionaries(
    {"id": texts, "in": objects.map(lambda found: {"z": {}, **found})},
    optional={
        "t": texts,
        "n": numbers,
        "b": st.booleans(),
        "o": objects,
        "l": st.lists(texts, max_size=3),
        "os": st.lists(objects, max_size=3),
        "other": st.none(),
    },
)

PATHS = ("id", "t", "n", "b", "o.x", "o.y", "o.z.w", "in.x", "in.z.w", "os[0].x", "os[-1].z.w", "l[1]", "t.x")
LISTS = ("l", "l[]", "os[].x", "os[*].y", "os[].z.w", "not_null(l, `[]`)", "not_null(os[].y, l, `[]`)")
LITERALS = ("'a'", "''", "'é'", "`0`", "`1`", "`1.0`", "`true`", "`false`", "`null`", "`[]`", '`{"x": 1}`')
paths, lists, literals = map(st.sampled_from, (PATHS, LISTS, LITERALS))
values = st.one_of(
    paths,
    literals,
    st.builds("not_null({}, {})".format, paths, literals),
    st.builds("not_null({}, {})".format, paths, paths),
    st.builds("not_null(not_null({}, {}), {})".format, paths, paths, literals),
)
operators = st.sampled_from(("==", "!=", "<", "<=", ">", ">="))
atoms = st.one_of(
    st.builds("{} {} {}".format, values, operators, values),
    st.builds("contains({}, {})".format, st.one_of(lists, paths), values),
    st.builds('contains(`["a", ""]`, {})'.format, values),
    st.builds("contains(`[1, true]`, {})".format, values),
    st.builds("{}({}, {})".format, st.sampled_from(("starts_with", "ends_with")), values, values),
    values,
    lists,
    st.sampled_from(("matches(t, '^a')", "length(l) > `1`", "o", "os[?x == 'a'].y", "sum(l) > `0`")),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.lists(inner, min_size=2, max_size=4).map(lambda found: f"({' && '.join(found)})"),
        st.lists(inner, min_size=2, max_size=4).map(lambda found: f"({' || '.join(found)})"),
    ),
    max_leaves=8,
)


def decoded(expressions: list[jmes.Expression], record: JSON) -> tuple[Any, jmes.Shape]:
    """Return what is decoded of a record for some expressions, and its shape."""
    need = jmes.Need()
    need.at("id").whole = True
    for expression in expressions:
        jmes.add_needs(expression.node, need)
    if not is_typed(SCHEMA, need):
        return None, jmes.Shape("object")
    decoder = Decoder(SCHEMA, need, Attributes())
    return decoder.decode(json.dumps(record).encode()), decoder.shape


def result(expression: jmes.Expression, value: JSON) -> Any:
    try:
        return expression.decide(value, jmes.Missing(select=False))
    except jmes.EvaluationError as error:
        return error


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(conditions, min_size=1, max_size=4), st.lists(records, min_size=1, max_size=4))
def test_what_is_certain_is_true_and_what_is_decoded_gives_what_the_whole_does(written, given_records):
    expressions = [jmes.compile(jmes.parse(text, {})) for text in written]
    for record in given_records:
        row, shape = decoded(expressions, record)
        if row is None:  # an object is needed as a whole
            return
        results = [result(expression, record) for expression in expressions]
        on_row = [result(expression, plain(row)) for expression in expressions]
        assert [str(each) for each in on_row] == [str(each) for each in results]
        left = jmes.left_open(expressions, shape)(row)
        assert left is None or left == sorted(set(left))
        assert [
            number for number, found in enumerate(results) if found is not True and number not in (left or ())
        ] == []


FULL = {
    "id": "ab",
    "in": {"x": "a", "z": {"w": "b"}},
    "t": "ab",
    "n": 1,
    "b": True,
    "o": {"x": "a", "y": "b", "z": {"w": "c"}},
    "l": ["a", "b"],
    "os": [{"x": "a", "y": "b"}, {"x": "b", "z": {"w": "c"}}],
}


@pytest.mark.parametrize(
    "expression",
    [
        'contains(`["ab"]`, t)',
        'contains(`["ab"]`, not_null(t, id))',
        '!contains(`["x"]`, t)',
        "t == 'ab' && t != 'x' && 'ab' == id",
        "n == `1` && n < `2` && n >= `0.5` && !(n > `1`)",
        "b == `true` && b && !(b == `false`)",
        "!(contains(not_null(os[].x, `[]`), 'q') && t == 'ab')",
        "!(contains(not_null(l, `[]`), 'q') || starts_with(not_null(o.x, ''), 'b'))",
        "contains(os[].z.w, 'c') && ends_with(o.y, 'b')",
        "os[0].x != `null` && os[5].x == `null` && os[-1].z.w == 'c'",
        "os[0].x != not_null(t, id) && !contains(os[].y, not_null(t, id))",
        "t && (o.y == 'b' || matches(t, 'x'))",
        "!(t == 'x' && matches(t, 'x'))",
        "contains(t, 'b') && contains(t, id)",
    ],
)
def test_what_policies_ask_is_told_where_it_is_true(expression):
    compiled = jmes.compile(jmes.parse(expression, {}))
    row, shape = decoded([compiled], FULL)
    assert compiled.decide(FULL, jmes.Missing(select=False)) is True
    assert jmes.left_open([compiled], shape)(row) is None


@pytest.mark.parametrize(
    "expression",
    ["!(contains(n, 'a') && t == 'x')", "contains(n, 'a') || t == 'ab'", "!(sum(l) > `0` && t == 'x')"],
)
def test_what_comes_after_an_error_makes_nothing_certain(expression):
    compiled = jmes.compile(jmes.parse(expression, {}))
    row, shape = decoded([compiled], FULL)
    assert isinstance(result(compiled, FULL), jmes.EvaluationError)
    assert jmes.left_open([compiled], shape)(row) == [0]


def test_many_conditions_beside_and_inside_one_another_are_no_error():
    flat = " || ".join(["t == 'x'"] * 100)
    deep = "!(" * 60 + "t == 'x'" + ")" * 60
    expressions = [jmes.compile(jmes.parse(text, {})) for text in (flat, deep, f"!({flat})")]
    row, shape = decoded(expressions, FULL)
    assert jmes.left_open(expressions, shape)(row) == [0, 1]


def test_a_field_of_any_name_is_decoded_or_the_whole_record_is():
    expression = jmes.compile(jmes.parse('"quo\\"te" == \'a\'', {}))
    assert decoded([expression], {**FULL, 'quo"te': "a"})[0] is None
