"""Pages are cut into arrays without a parser, and nothing is lost, made up or taken from elsewhere by that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor.config import pages, records
from tests.support import examples
from tests.test_compiler import KINDS

KIND = KINDS["activities"]

TEXTS = st.sampled_from(
    ["", "a", '},{"a"', '"},{"a":"', "}]", ']},"b":[{"a"', '"activities":[{"a":1}]', "\\", "\n", "é"]
)
VALUES = st.recursive(
    TEXTS | st.integers(0, 3) | st.none(),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "activities", '"},{"a']), below, max_size=3)
        | st.lists(st.fixed_dictionaries({"a": below}), min_size=2, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.lists(st.fixed_dictionaries({"a": VALUES}, optional={"b": VALUES}), max_size=6)
BESIDE = st.sampled_from(
    [
        "",
        '"x":1',
        '"x":[{"a":1}]',
        '"activities":[{"a":2},{"a":3}]',
        '"x":"\\"activities\\":[{"',
        '"_embedded":0',
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw the text of a page or an array."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ":"), (",", ": "), ("\n,", ":")]))
    items = json.dumps(draw(RECORDS), separators=separators, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        return items
    inner = draw(st.permutations([f'"activities":{items}', draw(BESIDE)]))
    page = f'"_embedded":{{{",".join(filter(None, inner))}}}'
    return "{" + ",".join(filter(None, draw(st.permutations([page, draw(BESIDE), draw(BESIDE)])))) + "}"


def strict(block: bytes) -> list[Any]:
    """Read a block as whoever takes it has to: what is no JSON is an error."""
    if block.startswith(b"["):
        return [*json.loads(block)]
    return [json.loads(line) for line in block.split(b"\n") if line.strip()]


@given(documents(), st.integers(0, 60))
@example('{"_embedded":{"activities":[{"a":[{"a":1},{"a":2}]},{"a":3}]}}', 0)
@example('{"_embedded":{"activities":[{"a":"},{\\"a"},{"a":3}]},"x":"}]"}', 0)
@example('{"x":{"activities":[{"a":1}]},"_embedded":{"activities":[{"a":2}]}}', 0)
@example('{"_embedded":{"activities":[{"a":1}]},"_embedded":{"activities":[{"a":2}]}}', 0)
@example('{"_embedded":{"activities":[{"a":1},{"a":2}]},"x":[{"a":3}]}', 0)
@example('{"_embedded":{"activities":[{"a":1},{"a":1}],"activities":[{"a":2},{"a":3}]}}', 0)
@settings(max_examples=examples(1000))
def test_whatever_a_page_holds_its_records_are_those_that_a_parser_finds(tmp_path_factory, text, least):
    path = tmp_path_factory.getbasetemp() / "page.json"
    path.write_text(text, encoding="utf-8")
    try:
        expected = list(pages.read_page(text.encode(), KIND).items)
    except ValueError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_BLOCK", least)
        try:
            found = [record for block in records.Items(path, KIND).decoded(strict) for record in block]
        except ValueError:
            assert text.count('"activities":[') > 1
        else:
            assert found == expected


def page(*items: dict[str, Any]) -> bytes:
    """Return a page as PingOne writes it."""
    document = {
        "_links": {"self": {"href": "x"}},
        "_embedded": {"activities": list(items)},
        "size": len(items),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def test_a_page_as_pingone_writes_it_is_cut_and_not_parsed(tmp_path: Path, monkeypatch):
    events = [{"_links": {"self": {"href": str(number)}}, "id": str(number)} for number in range(50)]
    path = tmp_path / "page.json"
    path.write_bytes(page(*events))
    monkeypatch.setattr(records, "_BLOCK", 200)
    given_: list[bytes] = []

    def decode(block: bytes) -> list[Any]:
        given_.append(block)
        return strict(block)

    found = [record for block in records.Items(path, KIND).decoded(decode) for record in block]
    assert found == events
    assert len(given_) > 5
    assert all(block.startswith(b"[") for block in given_)


def test_what_was_cut_in_the_wrong_place_is_told_apart_by_a_parser_from_there_on(tmp_path: Path, monkeypatch):
    events: list[dict[str, Any]] = [{"id": str(number)} for number in range(50)]
    events[30]["id"] = [{"id": "a"}, {"id": "b"}] * 20
    path = tmp_path / "page.json"
    path.write_bytes(page(*events))
    monkeypatch.setattr(records, "_BLOCK", 100)
    forms: list[bytes] = []

    def decode(block: bytes) -> list[Any]:
        made = strict(block)
        forms.append(block[:1])
        return made

    assert [record for block in records.Items(path, KIND).decoded(decode) for record in block] == events
    assert (forms[0], forms[-1]) == (b"[", b"{")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[1,2]",
        '{"_embedded":{"activities":[]}}',
        '{"_embedded":{"activities":[ {"a":1}]}}',
        '{"_embedded":{"x":{"activities":[{"a":1}]}}}',
        '{"_embedded":{"activities":[{"a":1}]',
        '{"_embedded":{"activities":[{"a":1}]}}}',
        '{"activities":[{"a":1}]}',
        "",
    ],
)
def test_a_page_that_is_not_as_simple_has_no_frame(text):
    assert pages.frame(text.encode(), KIND) is None
