"""`${var.x}` is a value and nothing else: whatever it holds, filters, expressions and messages keep their shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor import app, jmes, scim
from auditor.config import shipped_kinds
from auditor.model.diagnostic import Mistake
from auditor.model.query import CompiledCheck
from auditor.model.value import JSON, Value
from tests.support import examples
from tests.test_pushdown_law import HOSTILE

CODE = [
    '" or id pr or id eq "', '"] or tags in ["', "`] || `true", "' || 'a' == 'a", "@", "`1`", "a.b", "]", "}", "{id}",
    "${var.text}", "${var.other}", "$${var.text}", "\\u0022", "not (id pr)", "null", "# no comment", ": {", "- a",
]  # fmt: skip
"""Texts that mean something in one of the languages."""

TEXTS = st.sampled_from([*HOSTILE, *CODE]) | st.text(max_size=8)
SENDABLE = TEXTS.filter(lambda text: text.isprintable() and "\u2028" not in text)
"""Texts that stand in a file as they are."""

NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)

EXPRESSIONS = [
    "id == ${var.x}",
    "!(id != ${var.x}) && tags || ${var.x}",
    "contains(${var.x}, id)",
    "contains(tags, ${var.x})",
    "resources[?id == ${var.x}].name | [0]",
    "{a: ${var.x}, b: [${var.x}, id]}",
    "${var.x}",
    "${var.x}[0].k",
    "sort_by(${var.x}, &id)[*].{x: id, y: ${var.x}}",
    "add(${var.x}, `1`) > value",
]


def shape(text: str, value: JSON) -> list[type] | None:
    """Return the nodes of an expression in their order; None where it says that it can not take the value."""
    try:
        return [type(node) for node in jmes.walk(jmes.parse(text, {"var.x": Value(value)}))]
    except Mistake:
        return None


@pytest.mark.parametrize("text", EXPRESSIONS)
@settings(max_examples=examples(60), deadline=None)
@given(value=VALUES, other=VALUES)
def test_no_value_changes_the_shape_of_an_expression(text, value, other):
    shapes = [found for found in (shape(text, value), shape(text, other)) if found is not None]
    assert all(found == shapes[0] for found in shapes)


@settings(max_examples=examples(60), deadline=None)
@given(value=VALUES)
def test_an_expression_compares_with_the_value_itself(value):
    values = {"var.x": Value(value)}
    for text in ("${var.x}", "[${var.x}][0]", "{a: ${var.x}}.a", "`true` && ${var.x}"):
        assert jmes.compile(jmes.parse(text, values)).search({}) == value


@settings(max_examples=examples(100), deadline=None)
@given(text=TEXTS)
def test_a_message_shows_a_value_and_reads_nothing_into_it(text):
    template = jmes.Template.parse("<${var.x}> {id}", {"var.x": Value(text)})
    assert template.render({"id": "event"}) == f"<{text}> event"


POLICY = """\
version: 1
pack: {{id: pack}}
variables:
  text: {{type: string}}
  texts: {{type: list(string)}}
checks:
  check:
    title: A check
    query:
      resource: activities
      window: 1d
      where: actors.user.name eq ${{var.text}} or resources[name in ${{var.texts}} and type eq "USER"]
    expect: {{every: "actors.user.name == ${{var.text}} || contains(${{var.texts}}, id)", on_missing: fail}}
"""


def compiled(folder: Path, text: str, texts: list[str]) -> CompiledCheck:
    """Compile the policy with values of a file of variables."""
    (folder / "policy.yaml").write_text(POLICY.format(), "utf-8")
    (folder / "auditor.vars.yaml").write_text(
        json.dumps({"text": text, "texts": texts}, ensure_ascii=False), "utf-8"
    )
    checked = app.validate(app.Job(folder=folder, environ={}, paths=["policy.yaml"]))
    assert checked.value is not None, checked.diagnostics
    (check,) = checked.value.program.checks
    return check


def literals(tree: scim.Filter) -> Iterator[JSON]:
    for _, term in scim.terms(tree):
        yield from (operand.value for operand in scim.operands(term) if isinstance(operand, scim.Literal))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=SENDABLE, texts=st.lists(SENDABLE, min_size=1, max_size=3))
def test_from_a_file_of_variables_to_the_request_a_value_stays_a_value(tmp_path, text, texts):
    (query,) = compiled(tmp_path, text, texts).queries.values()
    where = scim.parse(query.where)
    assert isinstance(where, scim.Or)
    assert [type(term) for term in where.terms] == [scim.Compare, scim.ValuePath]
    assert list(literals(where)) == [text, *texts, "USER"]
    pushed = set(literals(scim.parse(query.pushed))) if query.pushed else set()
    assert pushed <= {text, *texts}
    event = {"actors": {"user": {"id": "u", "name": text}}}
    selects = scim.predicate(where, scim.rules(shipped_kinds()["activities"]))
    assert selects(event)
    assert not selects({"actors": {"user": {"id": "u", "name": f"{text}!"}}})
