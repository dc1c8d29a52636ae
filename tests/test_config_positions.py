"""From addresses to lines and columns, and the traps that a line can be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor.config import yaml
from auditor.config.positions import lines, locate
from auditor.config.traps import quoted_form
from auditor.model.source import Address, Location, Route
from auditor.model.value import JSON
from tests.support import ROOT

SPEC = ROOT / "tests" / "spec" / "config"


def read_spec(name: str) -> Any:
    return YAML(typ="safe").load((SPEC / name).read_text("utf-8"))


def editor_lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def marked(location: Location) -> str:
    """The characters of the first line that a location marks."""
    end = location.end_column - 1 if location.end_line == location.line else None
    return location.snippet[location.column - 1 : end]


@pytest.mark.parametrize(
    ("text", "case"),
    [
        pytest.param(group["text"], case, id=f"{group['comment']}: {case}")
        for group in read_spec("places.yaml")
        for case in group["cases"]
    ],
)
def test_an_address_falls_where_the_table_says(text, case):
    span = tuple(case["span"]) if "span" in case else None
    address = Address(file="f.yaml", route=tuple(case["route"]), span=span, on_key=case.get("key", False))
    found = locate(address, text)
    assert (found.line, marked(found)) == (case["line"], case["marks"])
    assert found.file == "f.yaml"
    assert found.snippet == editor_lines(text)[found.line - 1]


def texts(value: JSON, route: Route = ()) -> Iterator[tuple[Route, str]]:
    """Every text of a document with the route to it."""
    if isinstance(value, str):
        yield route, value
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, child in entries:
        yield from texts(child, (*route, step))


def replaced(data: JSON, route: Route, value: JSON) -> JSON:
    """The data with another value at a route."""
    if not route:
        return value
    step, *rest = route
    changed = dict(data) if isinstance(data, dict) else list(data)
    changed[step] = replaced(changed[step], tuple(rest), value)  # type: ignore[index]
    return changed


PIECES = [
    *"ab'\"\\ \t\n#-|>é𝄞[]{},:",
    *("\r\n", "\r", "\x85", "\u2028", "\n\n", "  ", "''", "\\n", "\\x41", "\\u00e9", "\\U0001F600", "\\\n"),
    *(
        "a: ",
        "|\n",
        "|2\n",
        "|1-\n",
        ">+\n",
        ">-\n",
        "- ",
        "\n  ",
        "\n   ",
        "\n    ",
        "&x ",
        "!!str ",
        " # c\n",
    ),
]
BEGINNINGS = [
    "",
    "k: ",
    "k: |\n  ",
    "k: >\n  ",
    "k: '",
    'k: "',
    "- &x >\n  ",
    "k:\n  l: >2\n    ",
    "k: a\n  ",
]


@settings(deadline=None)
@given(
    st.sampled_from(BEGINNINGS),
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.sampled_from(["", "'", '"', "\n"]),
    st.data(),
)
@example("k: >\n  ", "a\n\n   b\n\n  a\n  b", "\n", None)
@example('k: "', "a\\\n\n  b \n \n a", '"', None)
def test_the_place_of_a_character_is_where_the_character_stands(beginning, middle, end, data):
    """
    Whatever the style of a text: the character at its place is the character of the value.

    And it is that one and no other: with another letter written there, the value differs in that one place.
    """
    source = beginning + middle + end
    loaded = yaml.load(source, "f.yaml")
    found = list(texts(loaded.value))
    assume(found and not loaded.diagnostics)
    for route, value in found:
        positions = range(len(value)) if data is None else [data.draw(st.integers(0, max(len(value) - 1, 0)))]
        for position in positions:
            if position < len(value):
                check_place(source, loaded.value, route, value, position)


def check_place(source: str, data: JSON, route: Route, value: str, position: int) -> None:
    place = locate(Address(file="f.yaml", route=route, span=(position, position + 1)), source)
    offset = offset_of(source, place)
    character, written = value[position], source[offset : offset + 1]
    if written == "\\" and character != "\\":
        return  # an escape, which the table of places covers
    if character in " \n" and written in "\r\n\x85":
        return  # a folded line
    assert written == character
    if character in "ab" and written == character:
        changed = source[:offset] + "Z" + source[offset + 1 :]
        other = value[:position] + "Z" + value[position + 1 :]
        assert yaml.load(changed, "f.yaml").value == replaced(data, route, other)


def offset_of(source: str, place: Location) -> int:
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", source))]
    return starts[place.line - 1] + place.column - 1


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (("a",), range(1, 2)),
        (("b",), range(2, 5)),
        (("b", "c"), range(3, 5)),
        (("b", "c", 1), range(4, 5)),
    ],
)
def test_the_lines_of_a_value_are_those_of_its_key_too(route, expected):
    assert lines(Address(file="f.yaml", route=route), "a: 1\nb:\n  c: [1,\n    2]\nd: 3\n") == expected


def test_what_is_no_document_has_no_lines():
    assert list(lines(Address(file="f.yaml"), "a: [")) == []


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{group['comment']}: {case['line']}")
        for group in read_spec("traps.yaml")
        for case in group["cases"]
    ],
)
def test_a_trap_shows_the_text_in_quotes(case):
    why, _, shown = quoted_form(case["line"]).partition(":\n")
    assert shown == case.get("shows", "")
    assert bool(why) == ("shows" in case)


@pytest.mark.parametrize(
    "case",
    [case for group in read_spec("traps.yaml") for case in group["cases"] if "shows" in case],
    ids=lambda case: case["line"],
)
def test_the_form_in_quotes_is_read_as_its_author_meant_it(case):
    """What is shown is YAML in which the text is whole, and it is no trap itself."""
    loaded = yaml.load(case["shows"], "f.yaml")
    assert loaded.diagnostics == ()
    quoted = re.search(r"'(?:[^']|'')*'", case["shows"])
    assert quoted
    assert quoted[0][1:-1].replace("''", "'") in [value for _, value in texts(loaded.value)]
