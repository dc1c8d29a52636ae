"""The simulator's own filter language: what it reads, what it refuses, what matches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.resource import Attribute, Filter, ResourceKind
from auditor.simulator.filters import (
    And,
    Compare,
    Not,
    Or,
    checked,
    conjuncts,
    parse_filter,
    possible_values,
    predicate,
)
from auditor.simulator.refusal import Refusal
from tests.test_simulator import CATALOGUE, SPEC, read_yaml

ACTIVITIES = CATALOGUE["activities"]
SPECIFICATION = read_yaml(SPEC / "filters.yaml")


def plain(tree: Any) -> Any:
    """Return a tree as the lists that the specification writes."""
    match tree:
        case Compare(attribute, operator, value):
            return [attribute, operator, list(value) if isinstance(value, tuple) else value]
        case And(parts):
            return {"and": [plain(part) for part in parts]}
        case Or(parts):
            return {"or": [plain(part) for part in parts]}
        case Not(part):
            return {"not": plain(part)}
    raise AssertionError(tree)


@pytest.mark.parametrize("case", SPECIFICATION["read"], ids=lambda case: case["filter"])
def test_reads_a_filter(case: dict[str, Any]):
    assert plain(parse_filter(case["filter"])) == case["tree"]


@pytest.mark.parametrize("text", SPECIFICATION["refused"])
def test_refuses_what_is_no_filter(text: str):
    with pytest.raises(Refusal) as refused:
        parse_filter(text)
    assert refused.value.status == 400
    assert refused.value.details[0].code == "INVALID_FILTER"


def test_refuses_what_is_nested_too_deeply():
    with pytest.raises(Refusal, match="not accepted"):
        parse_filter("(" * 5_000 + 'a eq "b"' + ")" * 5_000)


# One attribute of each type, with every operator: more than any endpoint of today supports.
EVERYTHING: dict[str, Any] = {
    "operators": ("eq", "ne", "co", "sw", "ew", "pr", "gt", "ge", "lt", "le", "in"),
}
ANY_KIND: ResourceKind = ACTIVITIES.model_copy(
    update={
        "filter": Filter(
            attributes={
                "name": Attribute(path="name", **EVERYTHING),
                "nick": Attribute(path="nick", case_exact=False, **EVERYTHING),
                "at": Attribute(path="at", type="instant", **EVERYTHING),
                "size": Attribute(path="size", type="number", **EVERYTHING),
                "on": Attribute(path="on", type="boolean", **EVERYTHING),
                "groups.id": Attribute(path="groups.id", **EVERYTHING),
                "hidden": Attribute(**EVERYTHING),
            },
            disjunction="documented",
        )
    }
)


@pytest.mark.parametrize("case", SPECIFICATION["matches"], ids=lambda case: case["filter"])
def test_matches_a_record_or_not(case: dict[str, Any]):
    record = SPECIFICATION["record"]
    matches = predicate(checked(parse_filter(case["filter"]), ANY_KIND), ANY_KIND, {"hidden": "seek"})
    assert matches(record) is case["matches"]


def test_a_negation_matches_what_its_part_does_not():
    part = parse_filter('name eq "Ada"')
    assert not predicate(Not(part), ANY_KIND, {})({"name": "Ada"})
    assert predicate(Not(part), ANY_KIND, {})({})


names = st.sampled_from(["action.type", "actors.user.id", "recordedAt", "$ref", "urn:ping:x.y-z", "and_more"])
scalars = st.text() | st.integers(-(10**9), 10**9) | st.booleans() | st.none()
compares = st.builds(Compare, names, st.sampled_from(["eq", "ne", "co", "gt"]), scalars) | st.builds(
    Compare, names, st.just("in"), st.lists(scalars, min_size=1, max_size=3).map(tuple)
)
trees = st.recursive(
    compares | st.builds(Compare, names, st.just("pr"), st.none()),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts)))
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts)))
        | st.builds(Not, inner)
    ),
    max_leaves=8,
)


def written(tree: Any, word: Any) -> str:
    """Return a tree as a filter with every part in parentheses; `word` spells keywords."""
    match tree:
        case Compare(attribute, "pr", _):
            return f"{attribute} {word('pr')}"
        case Compare(attribute, operator, tuple() as values):
            return f"{attribute} {word(operator)} [{', '.join(map(json.dumps, values))}]"
        case Compare(attribute, operator, value):
            return f"{attribute} {word(operator)} {json.dumps(value)}"
        case Not(part):
            return f"{word('not')} ({written(part, word)})"
    keyword = word("and" if isinstance(tree, And) else "or")
    return f" {keyword} ".join(f"({written(part, word)})" for part in tree.parts)


@given(trees, st.sampled_from([str.lower, str.upper, str.title]))
def test_what_is_written_is_read_back(tree: Any, word: Any):
    assert parse_filter(written(tree, word)) == tree


events = st.fixed_dictionaries(
    {},
    optional={
        "action": st.fixed_dictionaries({"type": st.sampled_from(["A", "B", "C"])}),
        "correlationId": st.sampled_from(["1", "2"]),
    },
)
two = st.builds(Compare, st.just("action.type"), st.just("eq"), st.sampled_from(["A", "B"])) | st.builds(
    Compare, st.just("correlationid"), st.just("eq"), st.sampled_from(["1", "2"])
)
monotone = st.recursive(
    two,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([And(tuple(parts)), Or(tuple(parts))])
    ),
    max_leaves=6,
)


@given(monotone, events)
def test_possible_values_never_lose_a_record(tree: Any, event: Mapping[str, Any]):
    possible = possible_values(tree, "action.type")
    if predicate(tree, ACTIVITIES, {})(event) and possible is not None:
        assert event["action"]["type"] in possible


@given(monotone)
def test_conjuncts_are_no_conjunctions_and_mean_the_same(tree: Any):
    parts = conjuncts(tree)
    assert not any(isinstance(part, And) for part in parts)
    for event in ({"action": {"type": a}, "correlationId": c} for a in "AB" for c in "12"):
        assert predicate(tree, ACTIVITIES, {})(event) == all(
            predicate(p, ACTIVITIES, {})(event) for p in parts
        )
