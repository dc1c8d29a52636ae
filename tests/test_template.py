"""Messages: text with expressions in braces, which say what they can and never raise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor.jmes import Template
from auditor.model.diagnostic import Mistake
from auditor.model.value import JSON, Value, Values
from tests.support import ROOT, examples

unhurried = settings(deadline=None)
TABLE = YAML(typ="safe").load((ROOT / "tests" / "spec" / "messages" / "templates.yaml").read_text("utf-8"))
CASES = [(group, *case) for group in TABLE for case in group.get("cases", ())]
MISTAKES = [(group, *case) for group in TABLE for case in group.get("mistakes", ())]
AS_OF = datetime(2026, 11, 21, tzinfo=UTC)


def values_of(group: dict[str, Any]) -> Values:
    return {name: Value(**value) for name, value in group.get("values", {}).items()}


@pytest.mark.parametrize(("group", "text", "said"), CASES, ids=[case[1] for case in CASES])
def test_a_message_says(group, text, said):
    assert Template.parse(text, values_of(group)).render(group["item"]) == said


@pytest.mark.parametrize(("group", "text", "code", "span"), MISTAKES, ids=[case[1] for case in MISTAKES])
def test_a_mistake_in_a_message_is_told_with_its_place(group, text, code, span):
    with pytest.raises(Mistake) as raised:
        Template.parse(text, values_of(group))
    assert (raised.value.code, raised.value.span) == (code, tuple(span))
    assert raised.value.summary
    assert "canary" not in repr((raised.value.args, raised.value.detail, raised.value.help))


def test_a_message_knows_the_instant_of_the_audit():
    template = Template.parse("{age_days(at)} days", {}, as_of=AS_OF)
    assert template.render({"at": "2026-11-19T12:00:00Z"}) == "1.5 days"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "a", "b"]), inner, max_size=3)
    ),
)
EXPRESSIONS = [
    "id",
    "a.b",
    "[0].id",
    "length(@)",
    "max(a)",
    "a[?id > `1`]",
    "sum([].id)",
    "to_number(a)",
    "@",
]
messages = st.lists(st.sampled_from([f"{{{text}}}" for text in EXPRESSIONS] + ["x", "{{", "}}"])).map("".join)


@unhurried
@given(messages, json_values)
def test_a_message_is_a_text_whatever_the_item(text: str, item: JSON):
    assert isinstance(Template.parse(text, {}).render(item), str)


def test_what_nests_too_deep_or_is_too_large_a_number_can_not_be_told():
    deep: JSON = []
    for _ in range(100_000):
        deep = [deep]
    template = Template.parse("{a} {id}", {})
    assert template.render({"a": deep, "id": 1}) == "(absent) 1"
    assert template.render({"a": 10**5_000, "id": 1}) == "(absent) 1"


@settings(max_examples=examples(300), deadline=None)
@given(st.text() | st.text("{}$'`\"\\ab.[]|", max_size=12))
def test_any_text_is_a_message_or_a_mistake_inside_of_it(text: str):
    try:
        template = Template.parse(text, {})
    except Mistake as mistake:
        first, last = mistake.span or (-1, -1)
        assert 0 <= first <= last <= len(text)
    else:
        assert isinstance(template.render({"a": 1}), str)


@unhurried
@given(st.text(st.characters(exclude_characters="{}$")))
def test_a_text_without_signs_is_what_it_says(text: str):
    assert Template.parse(text, {}).render(None) == text


@unhurried
@given(st.text("{}a "))
def test_doubled_braces_are_the_signs_themselves(text: str):
    assert Template.parse(text.replace("{", "{{").replace("}", "}}"), {}).render(None) == text
