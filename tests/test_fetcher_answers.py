"""What is read of an answer record by record is what reading it whole gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor.fetcher import FetchError, answers
from auditor.model.value import parse_json
from tests.pages import KINDS
from tests.support import examples

READ = answers.reader(KINDS["activities"])

values = st.recursive(
    st.sampled_from([None, True, 0, -0.0, 2**70, 1e300, "", "é", "\ud800", 'a"b\\', "\u2028", "🙂"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "href", "é"]), inner, max_size=2)
    ),
    max_leaves=6,
)
links = st.fixed_dictionaries({}, optional=dict.fromkeys(["next", "prev", "self"], values))
pages = st.fixed_dictionaries(
    {},
    optional={
        "_links": links | values,
        "_embedded": st.fixed_dictionaries(
            {}, optional={"activities": st.lists(values, max_size=4) | values, "x": values}
        ),
        "count": values,
        "size": values,
    },
)


def at(document: Any, path: str | None) -> Any:
    for step in (path or "").split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


@settings(max_examples=examples(400), deadline=None)
@given(document=pages | values, escaped=st.booleans(), indent=st.sampled_from([None, 1]))
@example(document={"_embedded": {"activities": [{}, 5, []]}}, escaped=True, indent=None)
def test_an_answer_is_what_it_is_read_as_a_whole(document: Any, *, escaped: bool, indent: int | None):
    text = json.dumps(document, ensure_ascii=escaped or "\\ud800" in json.dumps(document), indent=indent)
    body = text.encode()
    whole, read = parse_json(body), READ(body)
    page = KINDS["activities"].page
    for path in (page.next, *page.back, page.total):
        assert at(read, path) == at(whole, path)
    items, records = at(whole, page.items), at(read, page.items)
    assert isinstance(items, list) == isinstance(records, list)
    if isinstance(items, list):
        assert [answers.is_record(each) for each in records] == [isinstance(item, dict) for item in items]
        found = [answers.record(each, 1) if answers.is_record(each) else None for each in records]
        assert found == [item if isinstance(item, dict) else None for item in items]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"_embedded": {"activities": [{"a": NaN}]}}',
        b'{"_embedded": {"activities": [{"a": "\xff"}]}}',
        b'{"_embedded": {"activities": [{"a": "\\x"}]}}',
        b'{"_embedded": {"activities": [{}]}} {}',
        b'{"_embedded": {"activities": [{}}}',
    ],
)
def test_what_is_no_json_is_none_also_where_only_a_record_is_not(body: bytes):
    with pytest.raises(ValueError, match=r"."):
        READ(body)


def test_a_record_that_nests_too_deep_is_refused():
    deep = b'{"a": ' * 100_000 + b"5" + b"}" * 100_000
    body = b'{"_embedded": {"activities": [' + deep + b"]}}"
    with pytest.raises((ValueError, FetchError), match="deep"):
        [answers.record(each, 1) for each in READ(body)["_embedded"]["activities"]]
